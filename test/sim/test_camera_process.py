# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures drawn in another process equal those drawn here."""

import os
import signal

import numpy as np
import pytest

from dysl_vla_ros.errors import SimulationError
from dysl_vla_ros.sim import PlayTableEnv
from dysl_vla_ros.sim.camera_process import Appearance, CameraProcess


@pytest.fixture(scope='module')
def camera():
    process = CameraProcess()
    yield process
    process.close()


def test_same_pixels_while_things_move(camera):
    lit = np.zeros(24)
    lit[:6] = 0.1, 0.15, 0.0, 0.088, 1, 1
    lit[6:] = [0.05, -0.12, 0.46, 0, 0, 1, 0.23, -0.12, 0.46, 0, 0, 0, 0.1, 0.09, 0.461, 0, 0, 2]
    here, there = PlayTableEnv(), PlayTableEnv(camera_process=camera)
    rng = np.random.default_rng(0)
    pairs = [(here.reset(None, lit), there.reset(None, lit))]
    for _ in range(8):
        action = np.append(rng.uniform(-1, 1, 6), rng.choice([-1.0, 1.0]))
        pairs.append((here.step(action)[0], there.step(action)[0]))
    for a, b in pairs:
        for kind in ('rgb_obs', 'depth_obs'):
            for name in a[kind]:
                np.testing.assert_array_equal(a[kind][name], b[kind][name], err_msg=name)
    assert (pairs[0][0]['rgb_obs']['rgb_static'] != pairs[-1][0]['rgb_obs']['rgb_static']).any()
    here.close()
    there.close()


def test_an_environment_of_another_scene_is_refused(camera):
    with pytest.raises(SimulationError, match='calvin_scene_A'):
        PlayTableEnv('calvin_scene_A', camera_process=camera)


def test_a_killed_process_is_named():
    process = CameraProcess()
    os.kill(process._process.pid, signal.SIGKILL)
    with pytest.raises(SimulationError, match='ended, exit code -9'):
        process.result()
    process.close()


def test_a_scene_that_does_not_exist_is_reported():
    process = CameraProcess('calvin_scene_Z')
    with pytest.raises(SimulationError, match='calvin_scene_Z'):
        process.result()
    process.close()


def test_appearance_is_complete(world):
    state = np.zeros(24)
    state[:6] = 0.1, 0.1, 0, 0.08, 1, 0
    state[6:9] = state[12:15] = 0.1, -0.1, 0.5
    world.reset(None, state)
    appearance = Appearance.of(world)
    world.reset()
    assert Appearance.of(world) != appearance
    appearance.apply(world)
    restored = Appearance.of(world)
    assert (restored.joints, restored.bulb, restored.led) == (
        appearance.joints, appearance.bulb, appearance.led)
    for (position, quaternion), (wanted, turn) in zip(restored.blocks, appearance.blocks,
                                                      strict=True):
        assert position == wanted
        np.testing.assert_allclose(quaternion, turn, atol=1e-15)  # normalised on the way
