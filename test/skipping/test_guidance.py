# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A wrong sign here would skip most when the robot grasps (the printed formula does)."""

import dataclasses
import math

from hypothesis import given, settings, strategies
import pytest

from dysl_vla_ros.skipping.config import SkippingConfig
from dysl_vla_ros.skipping.guidance import initial_allow_points, move_allow_points

CONFIG = SkippingConfig(static_layers=(0, 11), n_layers=12, drop_threshold=-0.04,
                        recovery_threshold=0.05, stride=0.1)


def moved(change: float, guidance: str, point: int = 5) -> int:
    config = dataclasses.replace(CONFIG, guidance=guidance)
    return move_allow_points((point,), change, config.partition, config)[0] - point


# The table of method.md section 7 with eta = 0.1.
@pytest.mark.parametrize(('change', 'printed', 'swapped', 'project'), [
    (-0.2, -2, 2, 2), (-0.05, 0, 1, 1), (0.03, 1, 0, 0), (0.2, 2, -2, -1)])
def test_three_variants_follow_the_table(change, printed, swapped, project):
    assert moved(change, 'printed') == printed
    assert moved(change, 'swapped') == swapped
    assert moved(change, 'project') == project


def test_points_start_at_the_first_dynamic_layer():
    assert initial_allow_points(CONFIG.partition) == (1,)


def test_a_large_drop_forces_the_whole_group_and_recovery_is_gradual():
    partition = CONFIG.partition
    points = move_allow_points((1,), -99.0, partition, CONFIG)
    assert points == (11,)
    for expected in (10, 9, 8):
        points = move_allow_points(points, 99.0, partition, CONFIG)
        assert points == (expected,)


@settings(deadline=None)  # a busy machine is no failure
@given(strategies.lists(strategies.floats(-5, 5), max_size=30),
       strategies.sampled_from(['project', 'printed', 'swapped']))
def test_points_never_leave_their_group(changes, guidance):
    config = SkippingConfig(static_layers=(0, 1, 4, 6, 11), n_layers=12, guidance=guidance)
    partition = config.partition
    points = initial_allow_points(partition)
    for change in changes:
        before = points
        points = move_allow_points(points, change, partition, config)
        for old, new, group in zip(before, points, partition.groups, strict=True):
            assert group.first <= new <= group.landing
            if guidance == 'project' and change < config.drop_threshold:
                assert new >= old
            if guidance == 'project' and change >= 0:
                assert old - config.release <= new <= old


@pytest.mark.parametrize('change', [math.nan, math.inf])
def test_undefined_change_is_refused(change):
    with pytest.raises(ValueError, match='finite'):
        move_allow_points((1,), change, CONFIG.partition, CONFIG)
