# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A budget that is exceeded without notice makes every comparison of strategies unfair."""

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from dysl_vla_ros.training.budget import Knob, hold_budgets


@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.booleans(),
       st.sampled_from(['linear', 'log', 'logit']))
@settings(max_examples=60, deadline=None)
def test_budgets_are_held_by_any_monotone_cost(costs, more_is_dearer, scale):
    """Cost is a random staircase over the knob's range."""
    stairs = sorted(costs)
    knob = Knob(0.01, 0.99, scale, more_is_dearer)
    calls = []

    def measure(number):
        calls.append(number)
        share = (number - 0.01) / 0.98
        place = share if more_is_dearer else 1 - share
        return stairs[min(len(stairs) - 1, max(0, int(place * len(stairs))))] / 12

    results = hold_budgets(measure, knob, (0.25, 0.5, 0.75), 8)
    for budget, (number, share) in zip((0.25, 0.5, 0.75), results, strict=True):
        assert share == measure(number)
        assert share <= budget or share == stairs[0] / 12
    assert [s for _, s in results] == sorted(s for _, s in results)


def test_the_dearest_value_that_fits_is_found():
    results = hold_budgets(lambda v: round(10 * v) / 10, Knob(0.0, 1.0), (0.3, 0.7), 12)
    assert [share for _, share in results] == [0.3, 0.7]
    assert results[0][0] == pytest.approx(0.35, abs=2e-3)


def test_no_number_is_measured_twice():
    seen = []
    hold_budgets(lambda v: seen.append(v) or v, Knob(0.0, 1.0), (0.3, 0.5, 0.7), 6)
    assert len(seen) == len(set(seen))


def test_ends_of_the_scales():
    assert Knob(0.1, 10.0, 'log').at(0.5) == pytest.approx(1.0)
    assert Knob(0.1, 0.9, 'logit').at(0.5) == pytest.approx(0.5)
    assert Knob(0.0, 4.0, more_is_dearer=False).at(0.25) == pytest.approx(3.0)
