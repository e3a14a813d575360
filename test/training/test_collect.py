# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Collecting demonstrations: an interrupted run must end in the same bytes as a whole one."""

import dataclasses
import json

import numpy as np
import pytest

from dysl_vla_ros.datasets.packed import ARRAYS
from dysl_vla_ros.errors import DatasetError, DySLVLAError
from dysl_vla_ros.training import collect as module
from dysl_vla_ros.training.collect import CollectConfig, collect
from dysl_vla_ros.training.dataset import Demonstrations

pytest.importorskip('pybullet')
pytestmark = [pytest.mark.sim, pytest.mark.slow]

CONFIG = CollectConfig(image_size=16, chains=2, subtasks=1, workers=1, seed=3)


def test_a_resumed_collection_equals_a_whole_one_and_can_be_read(tmp_path, monkeypatch):
    whole = collect(CONFIG, tmp_path / 'whole')
    monkeypatch.setattr(module, '_worker', module._Worker(CONFIG, tmp_path / 'parts'))
    module._collect_one(1)  # as if stopped after the second chain
    parts = collect(CONFIG, tmp_path / 'parts')

    manifests = [json.loads((f / 'manifest.json').read_text()) for f in (whole, parts)]
    assert manifests[0] == manifests[1]
    assert manifests[0]['frames'] > 0
    for name in (*(f'{a}.npy' for a in ARRAYS), 'episodes.json'):
        assert (whole / name).read_bytes() == (parts / name).read_bytes(), name
    assert not (parts / 'chains').exists()

    data = Demonstrations([whole], held_out_every=1000)
    labels = data.arrays['actions']
    assert np.abs(labels[:, :6]).max() <= 1
    assert set(np.unique(labels[:, 6])) <= {-1.0, 1.0}
    assert sorted(e.seed for e in (*data.train, *data.held_out)) == [0, 1]

    before = (whole / 'actions.npy').stat().st_mtime_ns
    collect(CONFIG, whole)  # finished: nothing is done again
    assert (whole / 'actions.npy').stat().st_mtime_ns == before
    with pytest.raises(DatasetError, match='another configuration'):
        collect(dataclasses.replace(CONFIG, seed=4), whole)


def test_held_out_chains_alone_are_those_of_the_whole(tmp_path):
    config = dataclasses.replace(CONFIG, held_out_every=2)
    whole = collect(dataclasses.replace(config, chains=3), tmp_path / 'whole')
    few = collect(dataclasses.replace(config, chains=3, held_out_only=True), tmp_path / 'few')
    every, some = (json.loads((f / 'episodes.json').read_text())['episodes']
                   for f in (whole, few))
    assert {e['seed'] for e in every} == {0, 1, 2}
    assert {e['seed'] for e in some} == {0, 2}
    keep = np.concatenate([np.arange(e['start'], e['end']) for e in every if e['seed'] != 1])
    for name in ('actions', 'rgb_static'):
        assert np.array_equal(np.load(whole / f'{name}.npy')[keep], np.load(few / f'{name}.npy'))
    data = Demonstrations([few], held_out_every=2, needs_training=False)
    assert not data.train
    with pytest.raises(DatasetError, match='no training episodes'):
        Demonstrations([few], held_out_every=2)


@pytest.mark.parametrize('change', [
    {'format': 'calvin', 'held_out_only': True}, {'held_out_every': 0, 'held_out_only': True},
    {'chains': 0}, {'seed': -1}, {'clean_share': 1.5}, {'tasks': ()}, {'tasks': ('dance',)},
    {'image_size': None}, {'depth': True}, {'held_out_every': -1}, {'physics': 'turbo'}])
def test_impossible_settings_are_refused(change):
    with pytest.raises(ValueError, match='must'):
        dataclasses.replace(CONFIG, **change)


@pytest.mark.parametrize('change', [{'learner': 'nowhere'}, {'renderer': 'crayon'},
                                    {'assets_dir': 'nowhere'}, {'scene': 'calvin_scene_X'}])
def test_what_a_worker_cannot_do_ends_the_run_with_its_reason(tmp_path, change):
    (name,) = change.values()
    with pytest.raises(DySLVLAError, match=name):
        collect(dataclasses.replace(CONFIG, **change), tmp_path)
