# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Without these, an arm could be told to leave its box, or faster than written down."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from dysl_vla_ros.control.bounds import SafetyBounds
from dysl_vla_ros.control.rotations import rotate
from dysl_vla_ros.control.safety import SafetyFilter
from dysl_vla_ros.control.target import Pose
from dysl_vla_ros.errors import ConfigError, ContractError

DT = 1 / 30
BOUNDS = SafetyBounds(
    linear_speed_m_s=(0.2, 0.2, 0.15, 0.25), angular_speed_rad_s=(0.8, 0.8, 0.8, 1.0),
    linear_acceleration_m_s2=(1.0, 1.0, 1.0, 1.3), angular_acceleration_rad_s2=(4.0, 4, 4, 5.0),
    linear_jerk_m_s3=(15.0, 15.0, 15.0, 20.0), angular_jerk_rad_s3=(60.0, 60.0, 60.0, 80.0),
    workspace_min_m=(0.25, -0.2, 0.0), workspace_max_m=(0.6, 0.3, 0.5), min_height_m=0.02,
    tool_axis=(0, 0, 1), cone_direction=(0, 0, -1), cone_angle_rad=0.5)
START = Pose(np.array([0.4, 0.0, 0.3]), np.array([np.pi, 0.0, 1.5]))
ACTIONS = st.lists(st.lists(st.floats(-1, 1), min_size=6, max_size=6), min_size=1, max_size=12)


def check(filtered, before, v, a, bounds):
    """Every bound on the step made; returns the new velocity and acceleration (2, 3)."""
    velocity = np.stack([filtered.shift_m, filtered.turn_rad]) / DT
    acceleration = (velocity - v) / DT
    jerk = (acceleration - a) / DT
    names = ('speed_m_s', 'speed_rad_s', 'acceleration_m_s2', 'acceleration_rad_s2', 'jerk_m_s3',
             'jerk_rad_s3')
    for index, name in enumerate(names):
        value = (velocity, acceleration, jerk)[index // 2][index % 2]
        limit = getattr(bounds, ('linear_', 'angular_')[index % 2] + name)
        excess = max((np.abs(value) - limit[:3]).max(), np.linalg.norm(value) - limit[3])
        assert excess <= 0, f'{name} {value} beyond {limit}'
    assert np.isfinite(filtered.pose.position_m).all()
    assert np.isfinite(filtered.pose.euler_rad).all()
    assert (filtered.pose.position_m >= bounds.lower_m).all()
    assert (filtered.pose.position_m <= bounds.upper_m).all()
    axis = rotate(filtered.pose.quaternion, np.array([0.0, 0, 1]))
    tilt = np.arccos(np.clip(axis @ [0, 0, -1], -1, 1))
    assert tilt <= bounds.cone_angle_rad
    # What is said to be moved is what the pose does.
    shift, turn = before.step_to(filtered.pose)
    assert np.abs(shift - filtered.shift_m).max() < 1e-9
    assert np.abs(turn - filtered.turn_rad).max() < 1e-8
    return velocity, acceleration


@settings(max_examples=40, deadline=None)
@given(ACTIONS, st.integers(1, 12), st.floats(0.2, 1.0))
def test_no_bound_is_ever_exceeded_whatever_the_policy_wants(actions, repeats, cone):
    bounds = dataclasses.replace(BOUNDS, cone_angle_rad=cone)
    safety = SafetyFilter(bounds, DT)
    safety.anchor(START)
    v, a = np.zeros((2, 3)), np.zeros((2, 3))
    for action in actions:
        for _ in range(repeats):
            before = safety.pose
            filtered = safety.step(before.added(np.append(action, 1.0)))
            v, a = check(filtered, before, v, a, bounds)


def test_an_arm_that_runs_into_the_wall_stops_at_it_and_slides_along():
    safety = SafetyFilter(BOUNDS, DT)
    safety.anchor(START)
    reasons = []
    for _ in range(300):
        filtered = safety.step(safety.pose.added(np.array([0.2, 0.01, 0, 0, 0, 0, 1.0])))
        reasons += filtered.reasons
    assert filtered.pose.position_m[0] == pytest.approx(0.6, abs=2e-3)
    assert filtered.pose.position_m[0] <= 0.6
    assert filtered.pose.position_m[1] == pytest.approx(300 * 0.01 * 0.02, abs=2e-3)
    assert any(r == 'workspace: x held back' for r in reasons)


def test_a_slow_motion_inside_passes_bit_for_bit():
    safety = SafetyFilter(BOUNDS, DT)
    safety.anchor(START)
    target = START
    for step in range(60):
        action = 0.02 * np.sin(step / 10) * np.array([1, 1, 1, 1, 1, 1, 0])
        target = target.added(action)
        filtered = safety.step(target)
        assert filtered.reasons == ()
        assert (filtered.pose.position_m == target.position_m).all()
        assert (filtered.pose.euler_rad == target.euler_rad).all()


def test_an_arm_outside_may_come_back_but_not_go_farther():
    safety = SafetyFilter(BOUNDS, DT)
    outside = Pose(np.array([0.7, 0.0, 0.3]), START.euler_rad)
    safety.anchor(outside)
    for _ in range(60):
        assert safety.step(safety.pose.added(np.array([1.0, 0, 0, 0, 0, 0, 1]))).pose.position_m[
            0] <= 0.7 + 1e-9
    for _ in range(200):
        safety.step(safety.pose.added(np.array([-0.2, 0, 0, 0, 0, 0, 1])))
    for _ in range(200):
        safety.step(safety.pose.added(np.array([0.2, 0, 0, 0, 0, 0, 1])))
    assert safety.pose.position_m[0] <= 0.6


def test_full_speed_is_reached():
    safety = SafetyFilter(BOUNDS, DT)
    safety.anchor(Pose(np.array([0.26, 0.0, 0.3]), START.euler_rad))
    speeds = [safety.step(safety.pose.added(np.array([1.0, 0, 0, 0, 0, 0, 1]))).shift_m[0] / DT
              for _ in range(25)]
    assert max(speeds) > 0.19


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_a_wish_that_is_not_finite_is_refused_and_changes_nothing(value):
    safety = SafetyFilter(BOUNDS, DT)
    safety.anchor(START)
    with pytest.raises(ContractError, match='not finite'):
        safety.step(Pose(np.array([value, 0, 0]), START.euler_rad))
    assert safety.pose is START


@pytest.mark.parametrize(('fields', 'complaint'), [
    ({'linear_speed_m_s': ()}, 'linear_speed_m_s: expected four values'),
    ({'linear_speed_m_s': (9.0,) * 4}, 'linear_speed_m_s: a norm of 9.0 never engages'),
    ({'angular_jerk_rad_s3': (1, 1, 0, 1)}, 'angular_jerk_rad_s3'),
    ({'workspace_max_m': (0.6, 0.3, -1)}, 'a box of'),
    ({'workspace_max_m': (6, 3, 5)}, 'a box of'),
    ({'min_height_m': 2.0}, 'min_height_m'),
    ({'cone_angle_rad': 3.2}, 'cone_angle_rad: 3.2 never engages'),
    ({'tool_axis': (0, 0, 0)}, 'tool_axis'),
    ({'min_height_m': float('nan')}, 'min_height_m: not finite'),
])
def test_a_bound_that_is_missing_or_never_engages_is_refused(fields, complaint):
    with pytest.raises(ConfigError, match=complaint):
        dataclasses.replace(BOUNDS, **fields)


def test_all_missing_bounds_are_named_at_once():
    with pytest.raises(ConfigError) as error:
        dataclasses.replace(BOUNDS, linear_speed_m_s=(), cone_angle_rad=0.0)
    assert 'linear_speed_m_s' in str(error.value)
    assert 'cone_angle_rad' in str(error.value)
