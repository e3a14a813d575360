# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The picture from two layers equals the plain one up to equally near surfaces."""

from itertools import pairwise

import numpy as np
import pytest

from dysl_vla_ros.sim import PlayTableEnv, cameras

AMBIGUOUS_PIXELS = 4


@pytest.fixture(scope='module')
def layered():
    env = PlayTableEnv(renderer='tiny_layered')
    yield env
    env.close()


def random_scene(rng):
    state = np.zeros(24)
    state[:6] = [rng.uniform(0, 0.28), rng.uniform(0, 0.22), 0, rng.uniform(0, 0.088),
                 rng.integers(2), rng.integers(2)]
    for i in range(3):
        state[6 + 6 * i:12 + 6 * i] = [rng.uniform(-0.3, 0.3), rng.uniform(-0.15, 0.1), 0.46,
                                       0, 0, rng.uniform(-3, 3)]
    return state


def plain(env):
    return cameras.render(env.client, env.static_camera, cameras.static_view(env.client), 'tiny')


def test_same_picture_while_things_move(layered):
    rng = np.random.default_rng(0)
    seen = []
    for number in range(24):
        if number % 6 == 0:
            layered.reset(None, random_scene(rng))
        action = np.append(rng.uniform(-1, 1, 6), rng.choice([-1.0, 1.0]))
        observation = layered.step(action)[0]
        rgb, depth = plain(layered)
        picture = observation['rgb_obs']['rgb_static']
        assert (picture != rgb).any(-1).sum() <= AMBIGUOUS_PIXELS
        different = observation['depth_obs']['depth_static'] != depth
        assert different.sum() <= AMBIGUOUS_PIXELS
        seen.append(picture)
    assert all((a != b).any() for a, b in pairwise(seen))


def test_drawing_leaves_the_scene_as_it_was(layered):
    layered.reset(None, random_scene(np.random.default_rng(1)))
    before = plain(layered)[0]
    layered.get_camera_obs()
    np.testing.assert_array_equal(before, plain(layered)[0])


def test_lights_change_colour_in_the_layered_picture(layered):
    dark = random_scene(np.random.default_rng(2))
    lit = dark.copy()
    dark[4:6], lit[4:6] = 0, 1
    pictures = [layered.reset(None, state)['rgb_obs']['rgb_static'] for state in (dark, lit)]
    assert (pictures[0] != pictures[1]).any(-1).sum() > 80
