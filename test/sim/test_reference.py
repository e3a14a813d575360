# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The official assets: with them, states and images of the recording come back.

Our own furniture is compared in test/evaluation/test_conformance.py.
"""

import numpy as np
import pytest

from dysl_vla_ros.sim import PlayTableEnv


@pytest.mark.slow
def test_official_parts_give_equal_states_and_images(reference_file):
    recorded = np.load(reference_file('calvin/ref60_D_tiny.npz'), allow_pickle=False)
    env = PlayTableEnv(assets_dir=reference_file('calvin_assets/data'))
    observations = [env.reset(recorded['reset_robot_obs'], recorded['reset_scene_obs'])]
    observations += [env.step(action)[0] for action in recorded['actions']]
    env.close()
    for key in ('robot_obs', 'scene_obs'):
        # Equal bit for bit on PyBullet 3.2.7; the tolerance is for other builds.
        assert np.abs(np.array([o[key] for o in observations]) - recorded[key]).max() < 1e-6
    for name in ('rgb_static', 'rgb_gripper'):
        for observation, image in zip(observations, recorded[name], strict=True):
            assert (observation['rgb_obs'][name] == image).mean() > 0.999
