# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training from CALVIN's layout: other frames, sizes or labels than the files hold stay unseen."""

from fakes.calvin_split import ANNOTATIONS, SPANS, write_split
import numpy as np
import pytest
import torch

from dysl_vla_ros.datasets.calvin import Annotation
from dysl_vla_ros.datasets.windows import ROBOFLAMINGO
from dysl_vla_ros.errors import DatasetError, FrameError
from dysl_vla_ros.training.behaviour_cloning import BehaviourCloning, Phase, TrainConfig
from dysl_vla_ros.training.dataset import Demonstrations

SIZE = 16


@pytest.fixture
def dataset(tmp_path):
    write_split(tmp_path / 'calvin/training')
    write_split(tmp_path / 'calvin/validation', ANNOTATIONS[:1], SPANS[:1])
    return tmp_path / 'calvin'


def open_dataset(*folders, **options):
    return Demonstrations(list(folders), image_size=SIZE, **options)


def check_batch(batch):
    """Every array of a frame says which frame it is."""
    numbers = batch.scene_obs[..., 0].long()
    assert torch.equal(batch.robot_obs[..., 3].long(), numbers)
    expected = torch.stack([numbers % 251, (numbers + 1) % 251], dim=-1).to(torch.uint8)
    assert torch.equal(batch.images, expected[..., None, None, None].expand_as(batch.images))
    assert torch.allclose(batch.actions[..., 0], numbers / 500 - 0.5)
    return numbers


def test_windows_of_calvins_layout_are_its_frames_resized(dataset):
    data = open_dataset(dataset)
    assert [(e.task, e.end - e.start) for e in data.train] == [
        (a.task, a.end - a.start + 1) for a in ANNOTATIONS]
    assert [e.task for e in data.held_out] == ['open_drawer']
    batch = data.windows(data.train, np.random.default_rng(0), 32, 6)
    assert batch.images.shape == (32, 6, 2, 3, SIZE, SIZE)
    numbers = check_batch(batch)
    assert set(numbers.flatten().tolist()) <= {*range(100, 140), *range(200, 215)}


def test_only_frames_asked_for_are_read(dataset):
    data = open_dataset(dataset)
    for path in (dataset / 'training').glob('episode_00001[0-2]*.npz'):
        path.unlink()
    batch = data.windows(data.train[2:], np.random.default_rng(0), 8, 4)
    check_batch(batch)
    with pytest.raises(FrameError, match=r'episode_00001\d\d\.npz: no such frame file'):
        data.windows(data.train[:1], np.random.default_rng(0), 8, 4)


def test_packed_folders_and_calvins_layout_are_joined(packed, dataset):
    data = open_dataset(packed, dataset, packed)
    count = len(np.load(packed / 'actions.npy'))
    column = data.arrays['scene_obs']
    assert len(column) == 2 * count + 55 + 20
    ends = np.array([[0, count - 1], [count, len(column) - 1]])
    assert column[ends][..., 23].tolist() == [[0, count - 1], [100, count - 1]]
    with pytest.raises(DatasetError, match='give image_size'):
        Demonstrations([dataset])


def test_roboflamingos_windows_are_whole_and_equally_likely(dataset):
    data = open_dataset(dataset, windowing=ROBOFLAMINGO)
    batch = data.windows(data.train, np.random.default_rng(0), 2000, 12)
    assert batch.valid.all()
    firsts = check_batch(batch)[:, 0]
    expected = [n for a in ANNOTATIONS for n in range(a.start, a.end + 1 - 12)]
    found, counts = np.unique(firsts.numpy(), return_counts=True)
    assert found.tolist() == expected
    assert counts.min() > 0.5 * 2000 / len(expected)
    short = data.windows(data.train, np.random.default_rng(0), 2000, 2)
    allowed = {n + k for n in expected for k in range(11)}
    assert set(check_batch(short)[:, 0].tolist()) == allowed


def test_annotations_too_short_for_a_window_are_an_error_when_nothing_is_left(tmp_path):
    folder = write_split(tmp_path / 'short', [Annotation(100, 111, 'open_drawer', 'open'),
                                              Annotation(200, 211, 'open_drawer', 'pull')])
    data = open_dataset(folder, windowing=ROBOFLAMINGO)
    assert not data.can_draw(data.train)
    with pytest.raises(DatasetError, match='long enough for windows of 12 frames'):
        data.windows(data.train, np.random.default_rng(0), 2, 12)


def test_damaged_frames_are_skipped_only_on_request(dataset):
    damaged = dataset / 'training/episode_0000105.npz'
    damaged.write_bytes(damaged.read_bytes()[:50])
    data = open_dataset(dataset)
    with pytest.raises(FrameError, match=r'episode_0000105\.npz: truncated or damaged'):
        data.windows(data.train[:1], np.random.default_rng(0), 64, 12)
    data = open_dataset(dataset, skip_damaged=True)
    assert [p.path for p in data.skipped] == [damaged]
    assert [e.task for e in data.train] == ['turn_on_led', 'open_drawer']
    check_batch(data.windows(data.train, np.random.default_rng(0), 64, 12))


@pytest.mark.parametrize('windowing', ['roboflamingo'])
def test_behaviour_cloning_runs_on_calvins_layout(dataset, tiny_size, tmp_path, windowing):
    config = TrainConfig(data=(str(dataset),), model=tiny_size, phases=(Phase(2, 4, 4),),
                         evaluate_every=2, threads=1, windowing=windowing)
    trainer = BehaviourCloning(config, tmp_path / 'run')
    folder = trainer.run(lambda step, values: None)
    assert (folder / 'model.safetensors').is_file()
    assert np.isfinite(trainer.state.history[-1]['mae'])
