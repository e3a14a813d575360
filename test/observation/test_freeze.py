# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A frozen camera must be found quickly, and a still or empty scene never taken for one."""

import numpy as np
import pytest

from dysl_vla_ros.control.target import Pose
from dysl_vla_ros.observation.freeze import FreezeLimits, FreezeWatch

PERIOD_NS = 33_333_333
QUICK = FreezeLimits(images=15, moving_images=3, moved_m=0.002, moved_rad=0.02)


class Camera:
    """Feeds a watch; ``step`` sends a pose and, under a new stamp, a picture."""

    def __init__(self, limits=QUICK, name='image_static'):
        self.watch, self.name = FreezeWatch(limits), name
        self.now_ns, self._noise = 10**9, np.random.default_rng(0)

    def picture(self):
        return self._noise.integers(0, 256, 3000, dtype=np.uint8).tobytes()

    def step(self, data=None, x=0.0, roll=0.0):
        self.now_ns += PERIOD_NS
        self.watch.measured(self.now_ns, Pose(np.array([x, 0, 0]), np.array([roll, 0, 0])))
        return self.watch.image(self.name, self.now_ns, self.picture() if data is None else data)


@pytest.fixture
def noisy():
    """A camera whose noise the watch has seen, before a tool at rest."""
    camera = Camera()
    assert not any(camera.step() for _ in range(40))
    return camera


@pytest.mark.parametrize('motion', [{'x': 0.0015}, {'roll': 0.015}])
def test_three_pictures_of_a_moving_tool_are_frozen(noisy, motion):
    stuck = noisy.picture()
    said = [noisy.step(stuck, **{axis: k * v for axis, v in motion.items()}) for k in range(4)]
    assert said[:2] == ['', '']
    assert said[2].startswith('image_static: frozen, 3 images with the same bytes')
    assert noisy.watch.problem == said[2] == said[3]
    assert noisy.step(x=1.0) == ''
    assert noisy.watch.problem == ''


def test_a_still_tool_gets_the_slow_verdict_only(noisy):
    stuck = noisy.picture()
    said = [noisy.step(stuck) for _ in range(15)]
    assert not any(said[:14])
    assert said[14] == 'image_static: frozen, 15 images with the same bytes'


def test_an_arm_outside_a_picture_without_noise_is_no_fault():
    camera = Camera(FreezeLimits(0, 3))
    still, empty = camera.picture(), camera.picture()
    assert not any(camera.step(still) for _ in range(60))            # at rest: renders repeat
    assert not any(camera.step(x=0.02 * k) for k in range(1, 60))    # moves through the picture
    assert not any(camera.step(empty, x=1.2 + 0.02 * k) for k in range(60))


def test_differing_pictures_of_a_moving_tool_are_not_noise():
    camera = Camera()
    for k in range(100):
        camera.step(x=0.005 * k)
    stuck = camera.picture()
    assert not any(camera.step(stuck, x=0.5 + 0.005 * k) for k in range(10))


def test_the_motion_is_that_between_the_exposures(noisy):
    """Pictures that arrive late were taken before the motion."""
    stuck, first_ns = noisy.picture(), noisy.now_ns
    for k in range(1, 10):
        noisy.watch.measured(first_ns + k * PERIOD_NS,
                             Pose(np.array([0.01 * max(0, k - 3), 0, 0]), np.zeros(3)))
    said = [noisy.watch.image('image_static', first_ns + k * PERIOD_NS, stuck)
            for k in (1, 2, 3, 4)]
    assert [bool(s) for s in said] == [False, False, False, True]


def test_a_message_sent_again_says_nothing(noisy):
    stuck = noisy.picture()
    noisy.step(stuck)
    for _ in range(20):
        assert noisy.watch.image('image_static', noisy.now_ns, stuck) == ''


def test_without_a_measured_pose_the_commands_count():
    camera = Camera()
    watch = camera.watch

    def image(data):
        camera.now_ns += PERIOD_NS
        return watch.image('image_static', camera.now_ns, data)

    assert not any(image(camera.picture()) for _ in range(40))
    stuck, said = camera.picture(), []
    for _ in range(4):
        said.append(image(stuck))
        watch.commanded(camera.now_ns, np.array([0.1, 0, 0, 0, 0, 0, 1.0]))  # 2 mm
    assert [bool(s) for s in said] == [False, False, True, True]


def test_a_clock_set_back_keeps_what_is_known_of_the_camera(noisy):
    noisy.watch.clear()
    noisy.now_ns = 0
    stuck = noisy.picture()
    said = [noisy.step(stuck, x=0.002 * k) for k in range(3)]
    assert 'frozen' in said[2]


def test_one_pixel_is_a_difference(noisy):
    data = bytearray(noisy.picture() * 4)
    for k in range(5):
        data[1] = k  # not among the bytes that are looked at first
        assert noisy.step(bytes(data), x=0.01 * k) == ''


def test_nothing_is_looked_at_by_default():
    camera = Camera(FreezeLimits())
    stuck = camera.picture()
    assert not any(camera.step(stuck, x=0.1 * k) for k in range(50))
