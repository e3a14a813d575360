# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The strategies beside the shipped weights. Without these one could be named and not start."""

import numpy as np
import pytest

from dysl_vla_ros.observation.observation import Observation
from dysl_vla_ros.resources import resolve
from dysl_vla_ros.skipping import strategy_file
from dysl_vla_ros.skipping.policy import DySLPolicy

pytestmark = pytest.mark.weights
SHIPPED = ('action_reuse', 'deer', 'dysl_joint', 'dysl_no_split', 'dysl_one_stage', 'flexidepth',
           'one_shot_router', 'random', 'static_drop_gradient')


@pytest.fixture(scope='module')
def folder():
    return resolve('package://dysl_vla_ros/weights/dysl-mini')


def test_every_shipped_file_is_listed(folder):
    found = {path.stem for path in (folder / strategy_file.FOLDER).glob('*.json')}
    assert found == set(SHIPPED)


@pytest.mark.parametrize('name', SHIPPED)
def test_it_acts_at_its_default_and_cheaper_than_dense_at_every_budget(folder, name):
    known = strategy_file.read(folder, name)
    rng = np.random.default_rng(0)
    seen = [Observation(rng.integers(0, 256, (200, 200, 3), dtype=np.uint8),
                        rng.integers(0, 256, (84, 84, 3), dtype=np.uint8), np.zeros(15))
            for _ in range(2)]
    for budget in (None, *(s.budget for s in known.settings)):
        policy = DySLPolicy.from_pretrained(folder, name, budget=budget)
        policy.reset('open the drawer')
        for observation in seen:
            step = policy.act(observation)
            assert np.isfinite(step.action).all()
            assert abs(step.action).max() <= 1.0
        assert known.choose(budget).achieved < 0.75
