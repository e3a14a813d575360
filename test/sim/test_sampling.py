# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Start states. An infeasible one is a failure that no policy can avoid."""

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from dysl_vla_ros.sim.instructions import FURNITURE_TASKS
from dysl_vla_ros.sim.robot import LOWER_LIMITS, UPPER_LIMITS
from dysl_vla_ros.sim.sampling import feasible_furniture_tasks, random_initial_state
from dysl_vla_ros.sim.scene import get_scene


@given(st.integers(0, 2**32), st.sampled_from(FURNITURE_TASKS))
@settings(max_examples=60)
def test_the_asked_task_is_feasible_and_joints_lie_within_limits(seed, task):
    robot_obs, scene_obs = random_initial_state(np.random.default_rng(seed), task)
    scene = get_scene('calvin_scene_D')
    assert task in feasible_furniture_tasks(scene_obs, scene)
    assert ((robot_obs[7:14] > LOWER_LIMITS) & (robot_obs[7:14] < UPPER_LIMITS)).all()
    blocks = scene_obs[6:].reshape(3, 6)[:, :2]
    assert min(np.linalg.norm(blocks[i] - blocks[j]) for i, j in ((0, 1), (0, 2), (1, 2))) > 0.1


def test_equal_seeds_give_equal_states():
    a, b = (random_initial_state(np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(a[0], b[0])
    assert np.array_equal(a[1], b[1])


@pytest.mark.parametrize('seed', range(3))
def test_a_start_touches_nothing(world, seed):
    world.reset(*random_initial_state(np.random.default_rng(seed)))
    assert world.get_info()['robot_info']['contacts'] == ()
