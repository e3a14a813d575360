# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings feed every table and plot; a shifted row or a half episode would go unnoticed."""

import json
import subprocess

from fake_rollout import GROUPS, N_LAYERS, CountingOracle, NumberedWorld, SkippingPolicy
import numpy as np
import pytest

from dysl_vla_ros.errors import DatasetError
from dysl_vla_ros.evaluation import recording as rec
from dysl_vla_ros.evaluation.inprocess import run_episode


@pytest.fixture
def recorded(tmp_path, spec):
    recorder = rec.RolloutRecorder(tmp_path, videos=False)
    world = NumberedWorld()
    run_episode(SkippingPolicy(), world, CountingOracle(30), spec('a', 'b'), recorder)
    return rec.read_recording(tmp_path / 'episodes' / 'e0'), world


def test_rows_pair_each_action_with_the_observation_it_came_from(recorded):
    recording, world = recorded
    assert np.array_equal(recording.steps['actions'], world.actions)
    # The world counts its steps in robot_obs: row k was seen before step k + 1.
    assert recording.steps['robot_obs'][:, 0].tolist() == list(range(60))
    assert recording.steps['subtask'].tolist() == [0] * 30 + [1] * 30
    assert recording.steps['subtask_step'].tolist() == [*range(30), *range(30)]


def test_statistics_equal_what_the_policy_reported(recorded):
    recording, _ = recorded
    policy = SkippingPolicy()
    from dysl_vla_ros.observation.observation import Observation
    image = np.zeros((8, 8, 3), np.uint8)
    steps = []
    for name in 'ab':
        policy.reset(name)
        steps += [policy.act(Observation(image, image)) for _ in range(30)]
    for key, values in {
            'executed': [s.trace.executed for s in steps],
            'executed_total': [s.trace.n_executed_total for s in steps],
            'is_verified': [s.trace.is_verified for s in steps],
            'group_reason': [[g.reason for g in s.trace.groups] for s in steps],
            'group_jump_from': [[g.jump_from for g in s.trace.groups] for s in steps],
            'decoder_ms': [s.timing.decoder_ms for s in steps]}.items():
        assert np.array_equal(recording.steps[key], values), key
    assert recording.steps['group_layers'].tolist() == [list(g) for g in GROUPS]
    assert recording.steps['executed'].shape == (60, N_LAYERS)
    assert recording.steps['is_verified'].any()


def test_lost_statistics_are_marked_not_invented(tmp_path, spec):
    recorder = rec.RolloutRecorder(tmp_path, videos=False)
    recorder.begin(spec('a'))
    observation = NumberedWorld().get_obs()
    recorder.step(0, observation, np.zeros(7), None)
    recorder.end({'succeeded': 0, 'subtasks': ['a'], 'steps': [1]})
    steps = rec.read_recordings(tmp_path)[0].steps
    assert not steps['has_stats'][0]
    assert np.isnan(steps['decoder_ms'][0])
    assert steps['executed_total'][0] == -1


def test_none_from_the_bridge_becomes_nan(tmp_path, spec):
    recorder = rec.RolloutRecorder(tmp_path, videos=False)
    recorder.begin(spec('a'))
    stats = {'executed': [True], 'executed_total': 1, 'groups': [], 'is_verified': False,
             'continuity': None, 'latency_ms': 2.5}
    recorder.step(0, NumberedWorld().get_obs(), np.zeros(7), stats)
    recorder.end({'succeeded': 0, 'subtasks': ['a'], 'steps': [1]})
    steps = rec.read_recordings(tmp_path)[0].steps
    assert np.isnan(steps['continuity'][0])
    assert steps['latency_ms'][0] == 2.5


def test_an_interrupted_attempt_leaves_nothing_of_itself(tmp_path, spec):
    recorder = rec.RolloutRecorder(tmp_path, videos=True)
    recorder.begin(spec('a'))
    for _ in range(5):
        recorder.step(0, NumberedWorld().get_obs(), np.ones(7), None)
    assert rec.finished_episodes(tmp_path) == []
    recorder.begin(spec('a'))
    recorder.step(0, NumberedWorld().get_obs(), np.zeros(7), None)
    recorder.end({'succeeded': 0, 'subtasks': ['a'], 'steps': [1]})
    assert rec.finished_episodes(tmp_path) == ['e0']
    assert rec.read_recordings(tmp_path)[0].steps['actions'].tolist() == [[0.0] * 7]
    recorder.begin(spec('a', episode_id='e1'))
    recorder.discard()
    assert [p.name for p in (tmp_path / 'episodes').iterdir()] == ['e0']


def test_the_video_has_one_frame_per_step_and_then_the_outcome(tmp_path, spec):
    import imageio_ffmpeg

    from dysl_vla_ros.evaluation import video
    recorder = rec.RolloutRecorder(tmp_path, videos=True)
    run_episode(SkippingPolicy(), NumberedWorld(), CountingOracle(20), spec('a'), recorder)
    path = rec.read_recordings(tmp_path)[0].video
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert frames == 20 + video._HOLD_FRAMES
    assert seconds == pytest.approx(frames / 30, abs=0.01)
    probe = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), '-i', str(path)],
                           capture_output=True, text=True).stderr
    assert 'h264' in probe
    assert 'yuv420p' in probe


def test_the_options_file_decides_for_a_process_that_was_not_told(tmp_path, spec):
    (tmp_path / rec.OPTIONS_FILE).write_text(json.dumps({'videos': False}))
    recorder = rec.RolloutRecorder(tmp_path)
    run_episode(SkippingPolicy(), NumberedWorld(), CountingOracle(2), spec('a'), recorder)
    assert rec.read_recordings(tmp_path)[0].video is None


@pytest.mark.parametrize('name', ['steps.npz', 'episode.json'])
def test_a_damaged_recording_is_reported_with_its_folder(recorded, name):
    folder = recorded[0].folder
    (folder / name).write_bytes(b'damaged')
    with pytest.raises(DatasetError, match='e0'):
        rec.read_recording(folder)
