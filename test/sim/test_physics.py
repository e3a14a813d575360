# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fast physics: an explicit choice, close to CALVIN's, and never what one gets unasked."""

import numpy as np
import pytest

from dysl_vla_ros.errors import SimulationError
from dysl_vla_ros.sim import PlayTableEnv, cameras
from dysl_vla_ros.sim.physics import PHYSICS, Physics
from dysl_vla_ros.sim.sequences import EVALUATION_ROBOT_OBS

SCENE = np.zeros(24)
SCENE[6:] = [0.05, -0.12, 0.46, 0, 0, 0, 0.23, -0.12, 0.46, 0, 0, 0, 0.1, 0.09, 0.461, 0, 0, 0]
MOVE = np.array([0.4, 0.3, -0.35, 0.1, 0.05, 0.25, 1])


@pytest.fixture(scope='module')
def fast():
    env = PlayTableEnv(render=False, physics='fast')
    yield env
    env.close()


def moved(env, steps=12):
    """States after each of a few steps from one start, and the gripper camera's last view."""
    env.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)
    states = [env.step(MOVE)[0] for _ in range(steps)]
    return states, cameras.gripper_view(env.client, *env.robot.camera_pose())


def test_the_default_is_calvins(world):
    assert world.physics == PHYSICS['calvin']
    assert (world.physics.rate_hz, world.physics.substeps) == (240, 8)
    assert world.physics.share(0.1) == 0.1  # bit for bit: the motors' gain


@pytest.mark.parametrize('name', ['turbo', None, 240])
def test_an_unknown_physics_names_the_known_ones(name):
    with pytest.raises(SimulationError, match=r"unknown physics .*'calvin', 'fast'"):
        PlayTableEnv(render=False, physics=name)


def test_longer_steps_close_the_same_error_in_the_same_time():
    for rate in (30, 60, 120):
        physics = Physics('some', rate)
        assert (1 - physics.share(0.1))**physics.substeps == pytest.approx(0.9**8)
    # An arm on its way from 1 to 0.81 in one step is at 0.9 half of the time earlier.
    assert 0.81 + Physics('half', 120).last_step_share * (1 - 0.81) == pytest.approx(0.9)


def test_fast_moves_the_arm_as_calvins_does(world, fast):
    (exact, exact_view), (close, close_view) = moved(world), moved(fast)
    for a, b in zip(exact, close, strict=True):
        np.testing.assert_allclose(b['robot_obs'][:3], a['robot_obs'][:3], atol=2e-5)
        np.testing.assert_allclose(b['robot_obs'][7:14], a['robot_obs'][7:14], atol=5e-5)
        np.testing.assert_allclose(b['scene_obs'], a['scene_obs'], atol=1e-3)
    np.testing.assert_allclose(close_view, exact_view, atol=1e-4)
    assert not np.array_equal(close[-1]['robot_obs'], exact[-1]['robot_obs'])


def test_observation_and_info_agree_and_a_reset_starts_anew(fast):
    fast.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)
    observation, _, _, info = fast.step(MOVE)
    assert np.array_equal(observation['robot_obs'][:3], info['robot_info']['tcp_pos'])
    assert np.array_equal(fast.get_state_obs()['robot_obs'], observation['robot_obs'])
    start = fast.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)['robot_obs']
    np.testing.assert_allclose(start[:6], EVALUATION_ROBOT_OBS[:6], atol=1e-4)


def test_a_snapshot_keeps_the_measured_pose(fast):
    fast.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)
    before = fast.step(MOVE)[0]['robot_obs']
    state = fast.snapshot()
    fast.step(MOVE)
    fast.restore(state)
    fast.forget(state)
    assert np.array_equal(fast.get_state_obs()['robot_obs'], before)


def test_fast_keeps_the_force_of_the_motors(world, fast):
    """PyBullet turns forces into impulses of the step in force at the command: easily halved."""
    widths = []
    for env in (world, fast):
        closed = np.array(EVALUATION_ROBOT_OBS)
        closed[6] = 0.0
        env.reset(closed, SCENE)
        widths.append([env.step(np.array([0.0, 0, 0, 0, 0, 0, 1]))[0]['robot_obs'][6]
                       for _ in range(4)])
    np.testing.assert_allclose(widths[1], widths[0], atol=4e-3)
