# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Snapshots: a search that restores must see the future it would have had, to the last bit."""

import numpy as np
import pytest

from dysl_vla_ros.errors import SimulationError
from dysl_vla_ros.sim import PlayTableEnv
from dysl_vla_ros.sim.sequences import EVALUATION_ROBOT_OBS

SCENE = np.zeros(24)
SCENE[3:6] = 0.088, 1, 1
SCENE[6:] = [0.05, -0.12, 0.46, 0, 0, 0, 0.23, -0.12, 0.46, 0, 0, 0, 0.1, 0.09, 0.461, 0, 0, 0]
# Down onto the red block's place and along the desk: contacts of fingers, blocks and desk.
DOWN, ALONG = np.array([0.3, 1, -1, 0, 0, 0, -1]), np.array([1, 0.1, -0.2, 0, 0, 0.5, 1])


def future(env, first, steps=25):
    """States and contacts of the next steps as text that shows every bit."""
    seen = [repr(first)]
    for i in range(steps):
        observation, _, _, info = env.step(ALONG if i % 3 else DOWN)
        seen.append(repr((observation['robot_obs'].tolist(), observation['scene_obs'].tolist(),
                          info)))
    return seen


@pytest.mark.parametrize('before', [0, 7, 18, 30])
def test_the_future_after_a_restore_is_equal_bit_for_bit(world, before):
    world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)
    for _ in range(before):
        world.step(DOWN)
    state = world.snapshot()
    expected = future(world, world.get_info())
    for _ in range(2):
        world.restore(state)
        assert future(world, world.get_info()) == expected
    world.forget(state)


def test_lights_and_the_last_gripper_command_come_back(world):
    before = world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)
    state = world.snapshot()
    dark = SCENE.copy()
    dark[3:6] = 0
    world.step(np.array([0.0, 0, 0, 0, 0, 0, -1]))
    world.reset(np.array(EVALUATION_ROBOT_OBS), dark)
    world.restore(state)
    after = world.get_state_obs()
    assert np.array_equal(after['scene_obs'], before['scene_obs'])
    assert np.array_equal(after['robot_obs'], before['robot_obs'])


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
