# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Snapshots: what a search returns to. PyBullet itself forgets motors; we must not."""

import numpy as np
import pytest

from dysl_vla_ros.errors import SimulationError
from dysl_vla_ros.sim import PlayTableEnv
from dysl_vla_ros.sim.sequences import EVALUATION_ROBOT_OBS

SCENE = np.zeros(24)
SCENE[3:6] = 0.088, 1, 1
SCENE[6:] = [0.05, -0.12, 0.46, 0, 0, 0, 0.23, -0.12, 0.46, 0, 0, 0, 0.1, 0.09, 0.461, 0, 0, 0]
UP = np.array([0.5, -0.3, 1, 0.2, 0, 0.5, -1])


def future(env):
    """Robot states of the next steps."""
    return np.array([env.step(UP if i % 3 else -UP)[0]['robot_obs'] for i in range(20)])


@pytest.mark.parametrize('before', [0, 5])
def test_the_robots_future_comes_back(world, before):
    world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)
    for _ in range(before):
        world.step(UP)
    state = world.snapshot()
    joints = world.get_state_obs()['robot_obs'][7:]
    first = future(world)
    world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)
    world.restore(state)
    assert np.array_equal(world.get_state_obs()['robot_obs'][7:], joints)
    np.testing.assert_allclose(future(world), first, atol=1e-5)
    world.forget(state)


def test_a_moving_gripper_goes_on(world):
    """Motor commands are no part of PyBullet's own state."""
    world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)
    world.step(np.array([0.0, 0, 0, 0, 0, 0, -1]))
    state = world.snapshot()
    for _ in range(10):
        world.step(np.array([0.0, 0, 0, 0, 0, 0, 1]))
    world.restore(state)
    assert world.get_state_obs()['robot_obs'][14] == -1.0
    width = world.get_state_obs()['robot_obs'][6]
    for _ in range(8):
        world.robot.command_pose(world.robot.target_position, world.robot.target_euler)
    import pybullet
    for _ in range(40):
        pybullet.stepSimulation(physicsClientId=world.client)
    assert world.get_state_obs()['robot_obs'][6] < width / 4


def test_blocks_doors_and_lights_come_back(world):
    before = world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)['scene_obs']
    state = world.snapshot()
    dark = SCENE.copy()
    dark[3:7] = 0
    world.reset(np.array(EVALUATION_ROBOT_OBS), dark)
    world.restore(state)
    assert np.array_equal(world.get_state_obs()['scene_obs'], before)


def test_foreign_and_forgotten_snapshots_are_refused(world):
    other = PlayTableEnv(render=False)
    state = other.snapshot()
    with pytest.raises(SimulationError, match='another environment'):
        world.restore(state)
    other.forget(state)
    with pytest.raises(SimulationError, match='forgotten'):
        other.restore(state)
    other.close()
    with pytest.raises(SimulationError, match='closed'):
        other.snapshot()
