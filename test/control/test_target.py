# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Euler rates sent as an angular velocity turn the tool about a wrong axis, and look plausible."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from dysl_vla_ros.control.rotations import (
    euler_from_quaternion,
    euler_step_to_rotation_vector,
    multiply,
    nearest_euler,
    quaternion_from_euler,
    quaternion_from_rotation_vector,
    rotate,
    rotation_vector,
)
from dysl_vla_ros.control.target import Pose

START = Pose(np.array([0.0259, -0.2313, 0.5713]), np.array([3.0905, -0.0291, 1.5001]))
ANGLES = st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3).map(np.array)


def distance(first, second):
    """Angle in radians between two orientations."""
    return float(np.linalg.norm(rotation_vector(
        multiply(first, second * np.array([-1, -1, -1, 1])))))


def test_integrating_the_twists_gives_calvins_path():
    rng = np.random.default_rng(0)
    target, followed = START, START
    for _ in range(360):
        following = target.added(np.append(rng.uniform(-1, 1, 6), 1.0))
        shift, turn = target.step_to(following)
        followed = followed.moved(shift, turn)
        target = following
        assert np.abs(followed.position_m - target.position_m).max() < 1e-9
        assert distance(followed.quaternion, target.quaternion) < 1e-9


def test_a_pure_roll_turns_about_the_documented_axis():
    # Source of both numbers: design/interfaces.md section 7.2.
    w = 30 * euler_step_to_rotation_vector(START.euler_rad, np.array([0.05, 0, 0]))
    assert w == pytest.approx([0.106, 1.496, 0.044], abs=2e-3)


def test_euler_rates_as_an_angular_velocity_end_far_from_the_target():
    target, wrong = START, START
    for _ in range(20):
        target = target.added(np.array([0, 0, 0, 1.0, 0, 0, 1]))
        wrong = wrong.moved(np.zeros(3), np.array([0.05, 0, 0]))
    assert distance(target.quaternion, wrong.quaternion) == pytest.approx(1.33, abs=0.01)


@given(ANGLES)
def test_logarithm_and_exponential_undo_each_other(vector):
    vector = vector if np.linalg.norm(vector) <= 3 else 3 * vector / np.linalg.norm(vector)
    found = rotation_vector(quaternion_from_rotation_vector(vector))
    assert np.abs(found - vector).max() < 1e-9


@given(ANGLES, ANGLES)
def test_the_nearest_euler_angles_mean_the_same_and_are_near(euler, offset):
    quaternion = quaternion_from_euler(euler)
    found = nearest_euler(quaternion, euler + 0.01 * offset)
    assert distance(quaternion_from_euler(found), quaternion) < 1e-6
    if abs(np.cos(euler[1])) > 0.1:  # not near gimbal lock
        assert np.abs(found - euler).max() < 1e-6


@given(ANGLES, ANGLES)
def test_rotating_twice_is_rotating_by_the_product(first, second):
    a, b = quaternion_from_euler(first), quaternion_from_euler(second)
    vector = np.array([0.3, -1.0, 2.0])
    assert np.abs(rotate(a, rotate(b, vector)) - rotate(multiply(a, b), vector)).max() < 1e-9


def test_interpolation_ends_at_the_target_and_halves_the_way():
    end = START.added(np.array([1.0, -1, 0.5, 1, -1, 1, 1]))
    assert START.interpolated(end, 1.0) is end
    middle = START.interpolated(end, 0.5)
    assert np.abs(2 * middle.position_m - START.position_m - end.position_m).max() < 1e-12
    assert distance(START.quaternion, middle.quaternion) == pytest.approx(
        distance(middle.quaternion, end.quaternion), abs=1e-9)


def test_the_action_to_a_pose_is_the_one_that_leads_there():
    action = np.array([0.3, -0.2, 0.1, 0.5, -0.5, 0.9, -1.0])
    assert START.action_to(START.added(action), -1.0) == pytest.approx(action, abs=1e-9)


def test_a_measured_pose_near_pi_is_read_without_a_jump():
    for roll in (np.pi - 1e-3, -np.pi + 1e-3):
        pose = Pose.from_quaternion(START.position_m, quaternion_from_euler([roll, 0.1, 0.2]))
        assert np.abs(np.sin(pose.euler_rad[0] - roll)) < 1e-9
        assert euler_from_quaternion(pose.quaternion) == pytest.approx(pose.euler_rad, abs=1e-9)
