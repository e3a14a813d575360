# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Continuity drives both guidances; an off-by-one in its window shifts every decision."""

import math

from hypothesis import given, settings, strategies
import numpy as np

from dysl_vla_ros.skipping.continuity import continuity


def test_undefined_with_fewer_than_two_actions():
    assert math.isnan(continuity([], 5))
    assert math.isnan(continuity([np.zeros(6)], 5))


def test_mean_of_the_last_differences_only():
    # Differences 100, 3, 4 along one axis; a window of two sees the last two.
    actions = [np.array([v, 0.0]) for v in (0.0, 100.0, 103.0, 107.0)]
    assert continuity(actions, 2) == -3.5
    assert continuity(actions, 1) == -4.0
    assert math.isclose(continuity(actions, 5), -107 / 3)


@settings(deadline=None)  # a busy machine is no failure
@given(strategies.lists(strategies.floats(-1, 1), min_size=2, max_size=12),
       strategies.integers(1, 9))
def test_never_positive_and_zero_for_a_constant_action(values, window):
    actions = [np.array([v, -v]) for v in values]
    assert continuity(actions, window) <= 0
    assert continuity([actions[0]] * len(values), window) == 0
