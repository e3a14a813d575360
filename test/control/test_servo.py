# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A twist in the wrong unit moves 2.5 times too far, or not at all."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from dysl_vla_ros.control.servo import ServoUnits, is_stale, sufficient_stretch

VECTOR = st.lists(st.floats(-3, 3), min_size=3, max_size=3).map(np.array)


@given(VECTOR, VECTOR)
def test_unitless_values_come_back_unclamped(linear, angular):
    units = ServoUnits('unitless', 0.4, 0.8)
    found = units.decode(*units.encode(linear, angular))
    assert np.abs(found[0] - linear).max() < 1e-12
    assert np.abs(found[1] - angular).max() < 1e-12


@given(VECTOR, VECTOR)
def test_speed_units_are_clamped_as_vectors_keeping_their_direction(linear, angular):
    units = ServoUnits('speed_units', 0.4, 0.8)
    for given_, found, limit in zip((linear, angular),
                                    units.decode(*units.encode(linear, angular)), (0.4, 0.8),
                                    strict=True):
        assert np.linalg.norm(found) <= limit + 1e-12
        assert np.linalg.norm(np.cross(given_, found)) < 1e-9


def test_a_command_is_stale_from_the_timeout_on_and_never_from_the_future():
    assert not is_stale(99, 0, 100)
    assert is_stale(100, 0, 100)
    assert not is_stale(0, 10**12, 100)


@pytest.mark.parametrize(('linear', 'angular', 'expected'), [
    # Source: design/interfaces.md section 7.3, worst pitch.
    (0.4, 0.8, 4.19), (0.2, 0.8, 5.20), (0.6, 0.3, 11.2), (5.0, 9.0, 1.0)])
def test_the_stretch_is_the_documented_one(linear, angular, expected):
    assert sufficient_stretch(linear, angular) == pytest.approx(expected, rel=0.01)
