# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Start states. An infeasible one is a failure that no policy can avoid."""

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.sim.block_states import tcp_pose
from dysl_vla_ros.sim.expert import ScriptedExpert
from dysl_vla_ros.sim.instructions import FURNITURE_TASKS, TASKS
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


@pytest.mark.parametrize('seed', range(2))
def test_every_task_is_feasible_in_its_start_states(world, seed):
    expert = ScriptedExpert(world)
    for task in TASKS:
        robot_obs, scene_obs = random_initial_state(np.random.default_rng(seed), task)
        world.robot.gripper_action = robot_obs[14]
        world.reset(robot_obs, scene_obs)
        assert expert.why_infeasible(task) is None, task


def test_forward_kinematics_equal_those_of_the_simulated_arm(world):
    observation = world.reset(random_initial_state(np.random.default_rng(3))[0])
    position, _ = tcp_pose(observation['robot_obs'][7:14])
    assert np.allclose(position, observation['robot_obs'][:3], atol=1e-4)


def test_an_unknown_task_is_refused():
    with pytest.raises(ContractError, match='dance'):
        random_initial_state(np.random.default_rng(0), 'dance')
