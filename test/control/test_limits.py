# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Without these, a NaN, an overshoot or an undecided gripper could reach an arm."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
import numpy as np
import pytest

from dysl_vla_ros.control.limits import limit_action
from dysl_vla_ros.errors import ContractError

FINITE = arrays(np.float64, 7, elements=st.floats(-1e6, 1e6))


@given(FINITE)
def test_the_result_is_always_inside_the_bounds_and_says_what_it_changed(action):
    limited = limit_action(action)
    assert (np.abs(limited.action[:6]) <= 1.0).all()
    assert limited.action[6] in (-1.0, 1.0)
    n_changed = int((limited.action != action).sum())
    assert len(limited.reasons) == n_changed


@given(FINITE)
def test_limiting_twice_changes_nothing_more(action):
    once = limit_action(action)
    twice = limit_action(once.action)
    assert (once.action == twice.action).all()
    assert twice.reasons == ()


@given(FINITE, st.integers(0, 6), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_one_value_that_is_not_finite_rejects_the_whole_action(action, index, value):
    action[index] = value
    with pytest.raises(ContractError, match='not finite'):
        limit_action(action)


def test_a_valid_action_passes_unchanged_and_is_not_aliased():
    action = np.array([0.5, -1.0, 1.0, 0, 0, 0, -1.0], np.float32)
    limited = limit_action(action)
    assert limited.reasons == ()
    limited.action[0] = 9
    assert action[0] == 0.5


def test_a_wrong_shape_is_named():
    with pytest.raises(ContractError, match=r'\(6,\)'):
        limit_action(np.zeros(6))
