# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""DySL-joint skips only where its caps and alarms let it (design/method.md 15.4 and 15.5)."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from dysl_vla_ros.configuration import from_mapping
from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.model.action_head import HeadOutput
from dysl_vla_ros.skipping.policy import DySLPolicy
from dysl_vla_ros.skipping.registry import JointOptions
from dysl_vla_ros.skipping.step import GroupReason
from dysl_vla_ros.skipping.strategies.joint_safety import JointSafety, alarmed

CHEAP, DENSE = 3, 6


@pytest.fixture
def joint(all_strategies):
    """joint(**safety) -> policy whose gate always wants the cheapest plan, after its reset."""

    def make(**safety):
        policy = DySLPolicy.from_pretrained(all_strategies, 'dysl_joint')
        policy.rule.safety = JointSafety(**safety)
        policy.reset('open the drawer')
        return policy
    return make


def layers(policy, observe, numbers):
    return [policy.act(observe(n)).trace.n_executed_total for n in numbers]


def gripper(policy, sign):
    """Make the head of the policy want this gripper command."""
    policy.model.lm_head.gripper.mlp[-1].weight.data.zero_()
    policy.model.lm_head.gripper.mlp[-1].bias.data.fill_(sign)


def test_without_safety_every_step_skips(joint, observe):
    assert layers(joint(), observe, range(5)) == [CHEAP] * 5


def test_at_most_so_many_skipped_passes_in_a_row(joint, observe):
    assert layers(joint(max_skipped=2), observe, range(7)) \
        == [CHEAP, CHEAP, DENSE, CHEAP, CHEAP, DENSE, CHEAP]


def test_an_instruction_starts_with_all_layers(joint, observe):
    policy = joint(dense_on_events=True)
    gripper(policy, 5.0)
    first = policy.act(observe(0)).trace
    assert first.n_executed_total == DENSE
    assert {g.reason for g in first.groups} == {GroupReason.WARMUP}
    assert layers(policy, observe, range(1, 4)) == [CHEAP] * 3
    policy.reset('turn on the light bulb')
    assert layers(policy, observe, range(2)) == [DENSE, CHEAP]


def test_a_change_of_the_gripper_is_verified_and_followed_by_all_layers(joint, observe):
    policy = joint(dense_on_events=True)
    gripper(policy, 5.0)
    assert layers(policy, observe, range(2)) == [DENSE, CHEAP]
    gripper(policy, -5.0)
    changed = policy.act(observe(2))
    assert changed.action[6] == -1.0
    assert changed.trace.is_verified
    assert changed.trace.executed.all()
    assert changed.trace.n_executed_total == CHEAP + DENSE - 1  # layer 0 is shared
    assert 0 < changed.trace.verified_change < math.inf
    following = policy.act(observe(3)).trace
    assert (following.n_executed_total, following.is_verified) == (DENSE, False)
    assert {g.reason for g in following.groups} == {GroupReason.FORCED}
    assert layers(policy, observe, range(4, 6)) == [CHEAP] * 2


def test_a_verified_step_is_the_dense_step(joint, all_strategies, observe):
    """Alarms at every step: every action equals the dense policy's, bit for bit."""
    policy = joint(min_gripper_margin=1.0)
    dense = DySLPolicy.from_pretrained(all_strategies, 'dense')
    dense.reset('open the drawer')
    for n in range(8):
        a, b = policy.act(observe(n)), dense.act(observe(n))
        assert a.trace.is_verified
        assert np.array_equal(a.action, b.action)


def test_a_stale_history_needs_all_layers(joint, observe):
    policy = joint(dense_on_events=True, stale_s=0.5)
    gripper(policy, 5.0)
    found = []
    for second in (10.0, 10.1, 10.5, 11.2, 11.3, 11.2, 11.3):
        seen = dataclasses.replace(observe(1), stamp_ns=int(1e9 * second))
        found.append(policy.act(seen).trace.n_executed_total)
    # 0.7 s later, and back in time.
    assert found == [DENSE, CHEAP, CHEAP, DENSE, CHEAP, DENSE, CHEAP]
    assert policy.state.stamp_ns == int(1e9 * 11.3)


def test_an_aborted_step_is_followed_by_all_layers(joint, observe):
    policy = joint(dense_on_events=True)
    gripper(policy, 5.0)
    assert layers(policy, observe, range(2)) == [DENSE, CHEAP]
    before = policy.state
    gripper(policy, math.nan)
    with pytest.raises(ContractError, match='non-finite'):
        policy.act(observe(2))
    assert policy.state is before
    gripper(policy, 5.0)
    assert layers(policy, observe, range(2, 5)) == [DENSE, CHEAP, CHEAP]


def test_disagreement_with_the_last_dense_action_is_an_alarm(joint, observe):
    policy = joint(max_skipped=3, max_disagreement=1e-9)
    # No dense action is known before the cap asks for one; then every skipped pass differs.
    steps = [policy.act(observe(n)).trace for n in range(6)]
    assert [s.is_verified for s in steps] == [False, False, False, False, True, True]
    relaxed = joint(max_skipped=3, max_disagreement=10.0)
    assert not any(relaxed.act(observe(n)).trace.is_verified for n in range(6))


def test_a_sudden_change_of_the_image_is_an_alarm(joint, observe):
    policy = joint(max_latent_change=1e-3)
    found = [policy.act(observe(n)).trace.is_verified for n in (1, 1, 1, 2, 2)]
    assert found == [False, False, False, True, False]


def test_undefined_signals_raise_no_alarm():
    output = HeadOutput(torch.zeros(1, 6), torch.zeros(1), None)
    undefined = {'disagreement': math.nan, 'latent_change': math.nan, 'gripper_margin': 0.4}
    safety = JointSafety(max_disagreement=0.1, max_latent_change=0.1, min_gripper_margin=0.1)
    assert not alarmed(safety, output, undefined, ())
    assert alarmed(safety, output, {**undefined, 'gripper_margin': 0.05}, ())


def test_files_written_before_there_were_caps_have_none():
    options = {'static_layers': [0, 3, 5], 'plans': [[1, 4], [3, 5]], 'adapter_rank': 4,
               'hidden': 8, 'threshold': 0.1}
    assert from_mapping(JointOptions, options, source='file').safety == JointSafety()
    with pytest.raises(ValueError, match='expected stale_s > 0'):
        JointSafety(stale_s=0.0)
