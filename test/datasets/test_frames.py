# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frame files: a damaged one must be named, never read as something else."""

import contextlib
from pathlib import Path
import tempfile

from fakes.calvin_split import frame_values
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from dysl_vla_ros.datasets.frames import KEYS, REQUIRED, frame_name, read_frame, write_frame
from dysl_vla_ros.errors import FrameError


def test_a_frame_has_calvins_keys_shapes_and_types(tmp_path):
    path = tmp_path / frame_name(358482)
    assert path.name == 'episode_0358482.npz'
    values = {**frame_values(7, 200, 84), 'depth_static': np.ones((200, 200), np.float32),
              'depth_gripper': np.ones((84, 84), np.float32)}
    write_frame(path, values)
    with np.load(path, allow_pickle=False) as data:
        found = {name: (data[name].shape, data[name].dtype) for name in data.files}
    assert found == {
        'actions': ((7,), np.float64), 'rel_actions': ((7,), np.float64),
        'robot_obs': ((15,), np.float64), 'scene_obs': ((24,), np.float64),
        'rgb_static': ((200, 200, 3), np.uint8), 'rgb_gripper': ((84, 84, 3), np.uint8),
        'depth_static': ((200, 200), np.float32), 'depth_gripper': ((84, 84), np.float32)}
    read = read_frame(path, values)
    assert all(np.array_equal(read[name], value) for name, value in values.items())


def test_equal_frames_are_equal_files(tmp_path):
    for name in 'ab':
        write_frame(tmp_path / name, frame_values(3))
    assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()


def test_float32_states_of_the_documentation_are_read_as_float64(tmp_path):
    path = tmp_path / 'a.npz'
    values = {k: v.astype(np.float32) if v.dtype == np.float64 else v
              for k, v in frame_values(3).items()}
    np.savez(path, **values)
    assert read_frame(path)['robot_obs'].dtype == np.float64


@pytest.mark.parametrize(('change', 'problem'), [
    ({'actions': None}, "no key 'actions'"),
    ({'robot_obs': np.zeros(14)}, r'robot_obs: expected shape \(15,\) of float64, got \(14,\)'),
    ({'scene_obs': np.full(24, np.nan)}, 'scene_obs: not finite'),
    ({'rgb_static': np.zeros((8, 8), np.uint8)}, 'rgb_static: expected shape'),
    ({'rgb_static': np.zeros((0, 8, 3), np.uint8)}, 'rgb_static: expected shape'),
    ({'rgb_gripper': np.zeros((8, 8, 3))}, r'rgb_gripper: .*uint8, got \(8, 8, 3\) of float64'),
    ({'rgb_gripper': np.zeros((8, 8, 3), np.uint16)}, 'rgb_gripper: .*got .*uint16'),
    ({'rel_actions': np.array(['a'] * 7)}, 'rel_actions: expected'),
    ({'rel_actions': np.array([object()] * 7)}, 'truncated or damaged: ValueError: Object arrays'),
])
def test_a_malformed_frame_is_named_with_what_was_expected(tmp_path, change, problem):
    path = tmp_path / 'episode_0000001.npz'
    values = {**frame_values(1), **change}
    np.savez(path, **{k: v for k, v in values.items() if v is not None}, allow_pickle=True)
    with pytest.raises(FrameError, match=problem) as caught:
        read_frame(path)
    assert caught.value.path == path
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_bare_array_are_named(tmp_path):
    with pytest.raises(FrameError, match='no such frame file'):
        read_frame(tmp_path / 'x.npz')
    np.save(tmp_path / 'y.npy', np.zeros(3))
    with pytest.raises(FrameError, match=r'not an \.npz archive'):
        read_frame(tmp_path / 'y.npy')


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_truncated_and_changed_bytes_never_give_other_values(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'episode_0000009.npz'
        values = frame_values(9)
        write_frame(path, values)
        good = path.read_bytes()
        damaged = bytearray(good)
        for _ in range(data.draw(st.integers(0, 3))):
            damaged[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(damaged[:data.draw(st.integers(len(good) // 3, len(good)))])
        with contextlib.suppress(FrameError):  # and nothing else
            read = read_frame(path)
            # An archive has a checksum per array.
            assert all(np.array_equal(read[name], values[name]) for name in REQUIRED)


def test_only_known_and_complete_frames_are_written(tmp_path):
    values = frame_values(1)
    with pytest.raises(FrameError, match=r"missing keys \['actions'\]"):
        write_frame(tmp_path / 'a', {k: v for k, v in values.items() if k != 'actions'})
    with pytest.raises(FrameError, match=r"unknown keys \['rgb_other'\]"):
        write_frame(tmp_path / 'a', {**values, 'rgb_other': values['rgb_static']})
    assert not (tmp_path / 'a').exists()
    assert set(REQUIRED) < set(KEYS)
