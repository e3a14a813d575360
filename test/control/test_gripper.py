# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A chattering gripper drops what it holds."""

from hypothesis import given
from hypothesis import strategies as st

from dysl_vla_ros.control.gripper import GripperDecision


@given(st.lists(st.floats(0, 1), min_size=1))
def test_without_hysteresis_and_dwell_it_is_the_plain_threshold(probabilities):
    decision = GripperDecision()
    for step, probability in enumerate(probabilities):
        assert decision.update(probability, step / 30) == (1.0 if probability > 0.5 else -1.0, '')


@given(st.lists(st.floats(0, 1), min_size=1))
def test_changes_are_apart_by_the_dwell_and_outside_the_hysteresis(probabilities):
    decision, previous, changed = GripperDecision(0.05, 0.3), None, None
    for step, probability in enumerate(probabilities):
        command, reason = decision.update(probability, step / 30)
        wanted = 1.0 if probability > 0.5 else -1.0
        assert bool(reason) == (command != wanted)
        if previous is not None and command != previous:
            assert abs(probability - 0.5) >= 0.05
            assert step / 30 - changed >= 0.3
        if command != previous:
            previous, changed = command, step / 30


def test_after_a_reset_the_next_decision_is_free():
    decision = GripperDecision(0.05, 10.0)
    decision.update(0.9, 0.0)
    assert decision.update(0.1, 0.1)[0] == 1.0
    decision.reset()
    assert decision.update(0.1, 0.2) == (-1.0, '')
