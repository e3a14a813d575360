# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A governor that hunts, passes its floor or keeps quiet when it fails is worse than none."""

from hypothesis import given
from hypothesis import strategies as st
import pytest

from dysl_vla_ros.control.governor import ComputeGovernor, GovernorSettings

SETTINGS = GovernorSettings(budget_ms=20.0, min_threshold=0.3, window=30, full_depth_steps=4)


def machine(threshold, load):
    """Latency of a machine whose decoder time grows with the threshold."""
    return load * (8 + 10 * threshold)


def run(governor, load, steps=600):
    latencies = []
    for _ in range(steps):
        latencies.append(machine(governor.threshold, load))
        governor.update(latencies[-1])
    return latencies


def test_without_load_the_calibrated_threshold_stays():
    governor = ComputeGovernor(SETTINGS, 0.8)
    run(governor, 1.0)
    assert governor.threshold == 0.8
    assert not governor.is_over_budget


def test_under_load_the_budget_is_held_and_given_back_afterwards():
    governor = ComputeGovernor(SETTINGS, 0.8)
    latencies = run(governor, 1.5)  # 24 ms at 0.8, 20 ms at 0.53
    assert max(latencies[-100:]) <= 20.0
    assert 0.3 < governor.threshold < 0.8
    assert not governor.is_over_budget
    run(governor, 1.0)
    assert governor.threshold == 0.8


def test_a_load_that_cannot_be_held_is_said_and_the_floor_is_kept():
    governor = ComputeGovernor(SETTINGS, 0.8)
    run(governor, 3.0)
    assert governor.threshold == 0.3
    assert governor.is_over_budget


@given(st.lists(st.floats(0, 1e4), max_size=200))
def test_the_threshold_stays_between_floor_and_calibrated(latencies):
    governor = ComputeGovernor(SETTINGS, 0.8)
    for latency in latencies:
        assert 0.3 <= governor.update(latency) <= 0.8


def test_a_contact_event_and_a_request_force_full_depth():
    governor = ComputeGovernor(SETTINGS, 0.8)
    governor.contact_event()
    found = []
    for _ in range(6):
        found.append(governor.threshold)
        governor.update(1000.0)  # slow on purpose: not counted
    assert found == [1.0, 1.0, 1.0, 1.0, 0.8, 0.8]
    governor.is_full_depth_requested = True
    assert governor.update(5.0) == 1.0
    governor.is_full_depth_requested = False
    assert governor.threshold == 0.8


@pytest.mark.parametrize('fields', [{'budget_ms': 0.0}, {'min_threshold': 0.0}, {'window': 1}])
def test_meaningless_settings_are_refused(fields):
    with pytest.raises(ValueError, match='expected budget_ms'):
        GovernorSettings(**{'budget_ms': 20.0, 'min_threshold': 0.3, **fields})


def test_a_floor_above_the_calibrated_threshold_is_refused():
    with pytest.raises(ValueError, match='above the calibrated'):
        ComputeGovernor(SETTINGS, 0.2)
