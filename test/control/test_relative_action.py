# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Labels of the real dataset. A missed angle wrap turns the hand the long way round."""

import json

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from dysl_vla_ros.control.relative_action import relative_from_absolute, wrap_angle
from dysl_vla_ros.errors import ContractError

ANGLE = st.floats(-3.1, 3.1)


def test_the_conversion_vectors_of_calvin(reference_file):
    cases = json.loads(reference_file('calvin/rel_action_vectors.json').read_text())
    cases = cases if isinstance(cases, list) else cases['vectors']
    assert len(cases) == 24
    worst = max(np.abs(relative_from_absolute(np.array(c['action']), np.array(c['robot_obs']))
                       - c['rel_action']).max() for c in cases)
    assert worst <= 1e-9


@given(st.lists(st.floats(-1, 1), min_size=6, max_size=6), st.lists(ANGLE, min_size=3, max_size=3))
def test_a_step_within_bounds_comes_back(step, euler):
    state = np.concatenate(([0.1, -0.2, 0.5], euler, np.zeros(9)))
    action = np.append(state[:6] + np.array(step) * np.repeat([0.02, 0.05], 3), 1.0)
    np.testing.assert_allclose(relative_from_absolute(action, state)[:6], step, atol=1e-9)


@given(st.floats(-50, 50))
def test_a_wrapped_angle_is_the_same_direction(angle):
    wrapped = float(wrap_angle(np.array(angle)))
    assert -np.pi < wrapped <= np.pi
    assert np.cos(wrapped - angle) == pytest.approx(1.0, abs=1e-9)


def test_half_a_turn_is_positive():
    assert wrap_angle(np.array([-np.pi, np.pi])).tolist() == [np.pi, np.pi]


@pytest.mark.parametrize(('action', 'state'), [
    (np.zeros(6), np.zeros(15)), (np.zeros(7), np.zeros(5)), (np.full(7, np.nan), np.zeros(15)),
    (np.zeros(7), np.full(15, np.inf))])
def test_bad_input_is_named(action, state):
    with pytest.raises(ContractError, match=r'expected action|not finite'):
        relative_from_absolute(action, state)
