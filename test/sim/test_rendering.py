# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the cameras see: things where they are, in their colours."""

import numpy as np
import pytest

from dysl_vla_ros.sim import PlayTableEnv
from dysl_vla_ros.sim.plane import write
from dysl_vla_ros.sim.sequences import EVALUATION_ROBOT_OBS

SCENE = np.zeros(24)
SCENE[6:] = [0.05, -0.12, 0.46, 0, 0, 0, 0.23, -0.12, 0.46, 0, 0, 0, 0.1, 0.09, 0.461, 0, 0, 0]


@pytest.fixture(scope='module')
def camera_world():
    env = PlayTableEnv()
    yield env
    env.close()


def centre(mask):
    rows, columns = np.nonzero(mask)
    return columns.mean(), rows.mean()


def test_blocks_appear_where_calvins_projection_puts_them(camera_world):
    image = camera_world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)['rgb_obs']['rgb_static']
    red, green, blue = (image[..., i].astype(int) for i in range(3))
    x, y = centre((red > 90) & (green < 30) & (blue < 30))
    assert abs(x - 93.7) < 4  # design/calvin.md section 2.6: projection test points
    assert abs(y - 104.3) < 5
    x, y = centre((blue > 90) & (green < 30) & (red < 30))
    assert abs(x - 131.3) < 4
    assert abs(y - 106.0) < 5


def test_lights_are_seen(camera_world):
    dark = camera_world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)['rgb_obs']['rgb_static']
    lit = SCENE.copy()
    lit[3:6] = 0.088, 1, 1
    image = camera_world.reset(np.array(EVALUATION_ROBOT_OBS), lit)['rgb_obs']['rgb_static']

    def pixels(picture, colour):
        r, g, b = (picture[..., i].astype(int) for i in range(3))
        return int({'green': (g > 120) & (r < 60) & (b < 60),
                    'yellow': (g > 120) & (r > 120) & (b < 60)}[colour].sum())
    assert pixels(dark, 'green') == pixels(dark, 'yellow') == 0
    assert pixels(image, 'green') > 50
    assert pixels(image, 'yellow') > 30


def test_depth_is_metric(camera_world):
    depth = camera_world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)['depth_obs']
    assert 3.5 < depth['depth_static'].min() < depth['depth_static'].max() < 6.5
    assert 0.05 < depth['depth_gripper'].min() < depth['depth_gripper'].max() <= 2.0


def test_without_rendering_there_are_no_images(world):
    assert world.get_obs()['rgb_obs'] == {}


def test_the_floors_triangle_contains_calvins_square(tmp_path):
    write(tmp_path)
    lines = (tmp_path / 'plane.obj').read_text().splitlines()
    corners = np.array([[float(v) for v in line.split()[1:3]] for line in lines
                        if line.startswith('v ')])
    assert len(corners) == 3
    for point in ((-15, -15), (15, -15), (15, 15), (-15, 15)):
        a, b, c = corners
        weights = np.linalg.solve(np.vstack((np.array([a, b, c]).T, np.ones(3))), [*point, 1])
        assert (weights > -1e-9).all()
