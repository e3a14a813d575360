# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Windows: a frame of the next episode in a window would be a wrong label nobody sees."""

import json

import numpy as np
import pytest
import torch

from dysl_vla_ros.errors import DatasetError
from dysl_vla_ros.training.dataset import Demonstrations, draw_shifts, shift_images


def test_every_twentieth_seed_is_held_out(make_packed, tmp_path):
    data = Demonstrations([make_packed(tmp_path / 'many', seeds=range(41))])
    assert {e.seed for e in data.held_out} == {0, 20, 40}
    assert not {e.seed for e in data.train} & {0, 20, 40}


@pytest.mark.parametrize('window', [1, 2, 4, 12])
def test_windows_are_consecutive_frames_of_one_episode(packed, window):
    data = Demonstrations([packed], held_out_every=4)
    rng = np.random.default_rng(0)
    seen: set[int] = set()
    for _ in range(40):
        batch = data.windows(data.train, rng, 8, window)
        assert batch.images.shape == (8, window, 2, 3, 16, 16)
        assert batch.images.dtype == torch.uint8
        for row in range(8):
            frames = batch.scene_obs[row, batch.valid[row], 23].long().tolist()
            assert frames
            assert frames == list(range(frames[0], frames[0] + len(frames)))
            owner = [e for e in data.train if e.start <= frames[0] < e.end]
            assert len(owner) == 1
            assert frames[-1] < owner[0].end
            assert len(frames) == min(window, owner[0].end - frames[0])
            assert batch.instructions[row] in owner[0].instructions
            seen |= set(frames)
    assert seen == {i for e in data.train for i in range(e.start, e.end)}


def test_images_states_and_labels_are_of_the_same_frame(packed):
    data = Demonstrations([packed])
    batch = data.windows(data.train, np.random.default_rng(1), 6, 3)
    frames = batch.scene_obs[..., 23].long().numpy()
    stored = np.load(packed / 'rgb_gripper.npy')[frames]
    assert np.array_equal(batch.images[:, :, 1].permute(0, 1, 3, 4, 2).numpy(), stored)
    assert np.array_equal(batch.actions.numpy(), np.load(packed / 'actions.npy')[frames])


def test_equal_generators_draw_equal_windows(packed):
    data = Demonstrations([packed])
    first, second = (data.windows(data.train, np.random.default_rng(5), 4, 3) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert first.instructions == second.instructions


def test_folders_are_joined_with_their_own_frames(make_packed, tmp_path):
    a, b = make_packed(tmp_path / 'a', 0), make_packed(tmp_path / 'b', 1)
    data = Demonstrations([a, b])
    assert data.hashes == ['synthetic 0', 'synthetic 1']
    count = len(np.load(a / 'actions.npy'))
    assert np.array_equal(data.arrays['actions'][count:], np.load(b / 'actions.npy'))
    assert max(e.end for e in data.train) == 2 * count


@pytest.mark.parametrize('name', ['actions.npy', 'rgb_static.npy', 'episodes.json',
                                  'manifest.json'])
def test_a_missing_file_is_named(packed, name):
    (packed / name).unlink()
    with pytest.raises(DatasetError, match=name):
        Demonstrations([packed])


def test_a_truncated_array_is_refused(packed):
    path = packed / 'rgb_static.npy'
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DatasetError, match=r'rgb_static\.npy'):
        Demonstrations([packed])


def test_arrays_of_different_lengths_are_refused(packed):
    np.save(packed / 'actions.npy', np.zeros((5, 7), np.float32))
    with pytest.raises(DatasetError, match='different lengths'):
        Demonstrations([packed])


def test_another_image_size_in_a_second_folder_is_refused(make_packed, tmp_path):
    a, b = make_packed(tmp_path / 'a'), make_packed(tmp_path / 'b')
    listing = json.loads((b / 'episodes.json').read_text())
    (b / 'episodes.json').write_text(json.dumps({**listing, 'image_size': 20}))
    with pytest.raises(DatasetError, match='image size 20 differs from 16'):
        Demonstrations([a, b])


def test_shift_is_one_whole_pixel_offset_per_window_and_camera():
    images = torch.arange(2 * 3 * 2 * 3 * 64).reshape(2, 3, 2, 3, 8, 8) % 251
    images = images.to(torch.uint8)
    offsets = draw_shifts(2, (2, 0), torch.Generator().manual_seed(0))
    shifted = shift_images(images, offsets)
    assert torch.equal(shifted[:, :, 1], images[:, :, 1])
    grid = torch.arange(8)
    for row in range(2):
        fits = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3) if torch.equal(
            shifted[row, :, 0],
            images[row, :, 0][..., (grid + dy).clamp(0, 7), :][..., (grid + dx).clamp(0, 7)])]
        assert len(fits) == 1
