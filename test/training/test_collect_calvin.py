# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Collecting in CALVIN's layout, killed twice: one byte of difference and nobody can repeat it."""

import itertools
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from dysl_vla_ros.control.relative_action import relative_from_absolute
from dysl_vla_ros.datasets.calvin import CalvinSplit
from dysl_vla_ros.training.calvin_store import CalvinStore
from dysl_vla_ros.training.collect import CollectConfig, collect
from dysl_vla_ros.training.rollout import Chain

pytest.importorskip('pybullet')
pytestmark = [pytest.mark.sim, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = {'format': 'calvin', 'tasks': ['turn_on_led', 'turn_off_led'],
           'first_task_in_turn': True, 'chains': 3, 'subtasks': 2, 'held_out_every': 3, 'seed': 5,
           'image_size': None}
DEADLINE_S = 240  # of a loaded machine; the loops end as soon as what they wait for is there


def start(folder, options, workers):
    path = folder.with_suffix('.yaml')
    path.write_text(yaml.safe_dump(options))
    return subprocess.Popen(
        [sys.executable, '-m', 'dysl_vla_ros.cli', 'collect', '--config', str(path), '--out',
         str(folder), '--workers', str(workers)], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env={**os.environ, 'PYTHONPATH': f'{ROOT}:' + os.environ.get(
            'PYTHONPATH', '')})


def finish(process):
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, output.decode()


def until(condition, process=None):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert process is None or process.poll() is None, process.stdout.read().decode()
        assert time.monotonic() < end, 'condition never met'
        time.sleep(0.005)


def is_alive(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] not in 'ZX'
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill_after(folder, chains):
    """Start, kill -9 once so many chains are complete, and see the workers end."""
    process = start(folder, OPTIONS, workers=2)
    until(lambda: len(list(folder.glob('chains/*/chain.json'))) >= chains, process)
    children = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
    assert children
    process.send_signal(signal.SIGKILL)
    process.wait()
    until(lambda: not any(map(is_alive, children)))


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes()
            for p in sorted(folder.rglob('*')) if p.is_file()}


def test_killed_twice_and_resumed_ends_in_the_same_bytes(tmp_path):
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    finish(start(whole, OPTIONS, workers=1))
    kill_after(parts, 1)
    kill_after(parts, 2)
    assert not (parts / 'manifest.json').exists()
    finish(start(parts, OPTIONS, workers=2))
    assert files(whole) == files(parts)
    check_contents(whole)


def check_contents(folder):
    manifest = json.loads((folder / 'manifest.json').read_text())
    training, validation = CalvinSplit(folder), CalvinSplit(folder, 'validation')
    assert manifest['frames'] == int(training.lengths.sum() + validation.lengths.sum())
    assert manifest['attempts'] == 6
    assert manifest['episodes'] == len(training.annotations) + len(validation.annotations)
    assert manifest['success'] == sum(t['success'] for t in manifest['per_task'].values())
    assert (manifest['renderer'], manifest['physics'], manifest['config']['seed']) \
        == ('tiny', 'calvin', 5)
    assert set(training.scenes) == {'calvin_scene_D'}
    assert training.verify() == [] == validation.verify()
    assert len({a.sentence for a in training.annotations}) > 1
    # Chain 2 is the validation split; frame numbers are unique over both.
    assert training.spans[-1, 1] < validation.spans[0, 0]
    assert [a.task for a in training.annotations][:2] == ['turn_on_led', 'turn_off_led']
    for first, last in training.spans.tolist():
        check_chain([training.frame(n) for n in range(first, last + 1)])


def check_chain(frames):
    for now, then in itertools.pairwise(frames):
        assert np.array_equal(now['actions'][:6], then['robot_obs'][:6])
        assert now['actions'][6] == then['robot_obs'][14] == -1
    for frame in frames:
        assert frame['rgb_static'].shape == (200, 200, 3)
        assert frame['rgb_gripper'].shape == (84, 84, 3)
        assert frame['rgb_static'].std() > 10
        assert np.abs(frame['rel_actions']).max() <= 1
        assert np.abs(relative_from_absolute(frame['actions'], frame['robot_obs'])).max() <= 1


def chain(index, count):
    frame = {'actions': np.zeros(7), 'rel_actions': np.zeros(7), 'robot_obs': np.zeros(15),
             'scene_obs': np.zeros(24), 'rgb_static': np.full((4, 4, 3), index, np.uint8),
             'rgb_gripper': np.zeros((4, 4, 3), np.uint8)}
    subtask = {'task': 'open_drawer', 'success': bool(count), 'steps': 9, 'instruction': 'open',
               'start': 0 if count else None, 'end': count or None}
    return Chain(index, 0.0, {k: [v] * count for k, v in frame.items()}, [subtask])


@pytest.mark.parametrize('moved', [0, 1, 4, 7])
def test_a_run_killed_while_frames_move_is_finished_later(tmp_path, moved, monkeypatch):
    """Chains of 3, 0 and 4 frames; killed after ``moved`` frames have their final place."""
    config = CollectConfig(format='calvin', chains=3, image_size=4)
    stores = [CalvinStore(tmp_path / name, config) for name in ('whole', 'parts')]
    for store in stores:
        for index, count in enumerate((3, 0, 4)):
            store.save(chain(index, count))
    stores[0].finish(['c'])

    replace, count = Path.replace, iter(range(100))

    def dying(self, target):
        if next(count) == moved:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, 'replace', dying)
    with pytest.raises(KeyboardInterrupt):
        stores[1].finish(['c'])
    monkeypatch.setattr(Path, 'replace', replace)
    assert all(stores[1].has(i) for i in range(3))
    assert not stores[1].is_finished
    stores[1].finish(['c'])
    assert files(stores[0].folder) == files(stores[1].folder)
    split = CalvinSplit(tmp_path / 'parts')
    assert split.spans.tolist() == [[0, 2], [3, 6]]
    assert split.frame(6)['rgb_static'].max() == 2
    manifest = json.loads((tmp_path / 'parts/manifest.json').read_text())
    assert manifest['success_share'] == pytest.approx(2 / 3, abs=1e-6)
    assert not (tmp_path / 'parts/validation').exists()


def test_an_equal_chain_written_by_a_worker_that_lived_on_does_not_matter(tmp_path):
    store = CalvinStore(tmp_path, CollectConfig(format='calvin', chains=1, image_size=4))
    store.save(chain(0, 2))
    store.save(chain(0, 2))
    assert [p.name for p in (tmp_path / 'chains').iterdir()] == ['chain_00000']


def test_the_stamp_of_an_earlier_version_is_understood(tmp_path):
    """data/demos was collected before the layout was an option: no key 'format'."""
    config = CollectConfig(image_size=16, chains=1)
    old = {'scene': 'calvin_scene_D', 'image_size': 16, 'chains': 1, 'subtasks': 5,
           'max_steps': 150, 'noise_max': 0.35, 'clean_share': 0.3, 'seed': 1, 'learner': None,
           'learner_share': 0.8}
    (tmp_path / 'config.json').write_text(json.dumps(old))
    (tmp_path / 'manifest.json').write_text('{}')
    assert collect(config, tmp_path) == tmp_path
