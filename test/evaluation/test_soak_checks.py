# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Verdicts of the soak: growth is seen through noise, and a lost message has no place to hide."""

import numpy as np
import pytest

from dysl_vla_ros.evaluation.soak import (
    balance,
    draw_memory,
    memory_check,
    message_checks,
    slope,
)

TIMES = list(range(0, 1800, 10))
POLICY = {'submitted': '60', 'steps': '55', 'actions not sent': '3', 'observations refused': '1',
          'submitted and replaced': '1'} | {
    f'image_{name} {key}': value for name in ('static', 'gripper') for key, value in (
        ('received', '90'), ('used', '60'), ('open', '1'), ('unused, the policy was busy', '29'),
        ('not received, lost on the way', '6'), ('not received, no subscription', '4'))}
BRIDGE = {'observations sent': '100', 'action received': '54', 'action used': '50',
          'action open': '0', 'action unused, too old': '4', 'action not received, lost': '1',
          'steps': '70', 'steps held': '20'}


def checks(policy=(), bridge=(), actions=range(55), reasons=(60, 61, 62), silent=()):
    stats = {**dict.fromkeys(actions, False), **dict.fromkeys(reasons, True),
             **dict.fromkeys(silent, False)}
    return {c.name: c for c in message_checks({**POLICY, **dict(policy)},
                                              {**BRIDGE, **dict(bridge)}, list(actions), stats)}


def test_the_slope_is_that_of_least_squares():
    assert slope([0, 1, 2], [5, 7, 9]) == pytest.approx(2)
    assert slope([3], [5]) == slope([3, 3], [5, 9]) == 0


def test_growth_is_seen_through_noise_and_the_warm_up_is_not():
    noise = np.random.default_rng(0).normal(0, 2, len(TIMES))
    warm_up = np.where(np.array(TIMES) < 450, np.array(TIMES) / 5, 90)
    assert memory_check('node', TIMES, list(300 + noise + warm_up), 450, 10).passed
    leaking = list(300 + noise + warm_up + np.array(TIMES) * 20 / 1350)
    assert not memory_check('node', TIMES, leaking, 450, 10).passed
    assert not memory_check('node', TIMES[:2], [1, 2], 0, 10).passed  # nothing is proven


def test_counts_that_add_up_pass():
    assert {c.name for c in checks().values() if not c.passed} == set()


@pytest.mark.parametrize(('change', 'failing'), [
    ({'bridge': {'observations sent': '110'}}, 'image_static: sent'),
    ({'policy': {'image_gripper used': '55'}}, 'image_gripper: received'),
    ({'policy': {'submitted': '61'}}, 'observations given'),
    ({'actions': range(54)}, 'actions: policy = observer'),
    ({'silent': (99,)}, 'statistics'),
    ({'policy': {'steps': '58', 'submitted': '63'}, 'actions': range(58)}, 'action: sent'),
    ({'bridge': {'action used': '49', 'steps held': '21'}}, 'action: received'),
    ({'bridge': {'steps': '80'}}, 'steps of the world'),
], ids=str)
def test_one_lost_count_fails_its_own_line(change, failing):
    failed = [c.name for c in checks(**change).values() if not c.passed]
    assert len(failed) in (1, 2)
    assert failed[0].startswith(failing)


def test_an_action_without_statistics_fails():
    stats = dict.fromkeys(range(54), False)
    found = {c.name: c for c in message_checks(POLICY, BRIDGE, list(range(55)), stats)}
    assert not found['actions without statistics'].passed


def test_a_balance_names_what_is_left_over():
    assert balance('x', 5, {'a': 3, 'b': 1}, 1).passed
    assert balance('x', 5, {'a': 3, 'b': 1}).detail == '5 = 3 a + 1 b; +1 left over'


def test_the_picture_is_written(tmp_path):
    draw_memory([0, 10], {'policy_node': [300, 301]}, [5], tmp_path / 'memory.png')
    assert (tmp_path / 'memory.png').stat().st_size > 1000
