# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every strategy keeps the contract: pure proposals, one commit, dense when always verified."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from dysl_vla_ros.errors import CheckpointError, ConfigError
from dysl_vla_ros.skipping.names import STRATEGIES
from dysl_vla_ros.skipping.policy import DySLPolicy
from dysl_vla_ros.skipping.strategies.early_exit import default_exits
from dysl_vla_ros.skipping.strategies.fixed_layers import kept_by_score
from dysl_vla_ros.skipping.strategies.random_skip import plans_by_cost

INSTRUCTION = 'open the drawer'
PLANS = ((1, 4), (2, 4), (2, 5), (3, 5))


@pytest.fixture
def folder(all_strategies):
    """A weights folder with files of every strategy."""
    return all_strategies


def run(policy, observe, steps):
    policy.reset(INSTRUCTION)
    return [policy.act(observe(n)) for n in range(steps)]


@pytest.mark.parametrize('name', STRATEGIES)
def test_always_verified_equals_dense_bit_for_bit(folder, observe, name):
    dense = run(DySLPolicy.from_pretrained(folder, 'dense'), observe, 32)
    verified = run(DySLPolicy.from_pretrained(folder, name, verify_always=True), observe, 32)
    for a, b in zip(dense, verified, strict=True):
        assert np.array_equal(a.action, b.action)
        assert a.gripper_probability == b.gripper_probability


@pytest.mark.parametrize('name', [n for n in STRATEGIES if n != 'dense'])
def test_unverified_it_runs_fewer_layers_and_acts_differently(folder, observe, name):
    """Without this the test above could pass with a strategy that does nothing."""
    dense = run(DySLPolicy.from_pretrained(folder, 'dense'), observe, 12)
    steps = run(DySLPolicy.from_pretrained(folder, name), observe, 12)
    assert any(not np.array_equal(a.action, b.action) for a, b in zip(dense, steps, strict=True))
    assert any(not s.trace.executed.all() for s in steps)
    if name != 'dysl':  # there a verification may cost more than it saved
        assert sum(s.trace.n_executed_total for s in steps) < 12 * 6


@pytest.mark.parametrize('name', STRATEGIES)
def test_a_proposal_changes_nothing_and_is_repeatable(folder, observe, name):
    policy, untouched = (DySLPolicy.from_pretrained(folder, name) for _ in range(2))
    first, expected = run(policy, observe, 7), run(untouched, observe, 7)
    before = policy.state
    from dysl_vla_ros.skipping.strategy import Frame
    with torch.inference_mode():
        frame = Frame(policy.model.embed(torch.tensor([[1, 2, 3]])), torch.randn(1, 8, 16), None)
        for _ in range(2):
            policy.rule.propose(frame, policy.state)
    assert policy.state is before
    assert np.array_equal(policy.act(observe(7)).action, untouched.act(observe(7)).action)
    for a, b in zip(first, expected, strict=True):
        assert np.array_equal(a.action, b.action)
    assert [s.index for s in first] == list(range(7))


def test_layers_that_a_plan_leaves_out_do_not_run(folder, observe):
    expected = {'truncated': [0, 1, 2], 'static_drop_cosine': [0, 2, 5],
                'static_drop_gradient': [0, 5], 'deer': [0, 1], 'dysl_joint': [0, 3, 5]}
    for name, layers in expected.items():
        policy = DySLPolicy.from_pretrained(folder, name)
        called = []
        for j, layer in enumerate(policy.model.layers):
            layer.decoder_layer.register_forward_hook(lambda *_, j=j, c=called: c.append(j))
        step = run(policy, observe, 1)[0]
        assert called == layers, name
        assert np.flatnonzero(step.trace.executed).tolist() == layers, name
        assert step.trace.n_executed_total == len(layers)


def test_joint_gate_takes_the_cheapest_plan_below_the_threshold(folder, observe):
    policy = DySLPolicy.from_pretrained(folder, 'dysl_joint')
    gate = policy.rule.joint
    for parameter in gate.out.parameters():
        parameter.data.zero_()
    for threshold, bias, cost in ((0.5, (1.0, 0.4, 0.1), 4), (0.3, (1.0, 0.4, 0.1), 5),
                                  (0.0, (1.0, 0.4, 0.1), 6), (0.5, (0.5, 0.6, 0.6), 3)):
        gate.out.bias.data = torch.tensor(bias)
        policy.rule.threshold = threshold
        assert run(policy, observe, 2)[1].trace.n_executed_total == cost


def test_random_holds_its_mean_and_repeats_itself(folder, observe):
    policy = DySLPolicy.from_pretrained(folder, 'random')
    rule = policy.rule
    costs = [registry_cost(rule.partition, rule._draw('any', i)) for i in range(2000)]
    assert set(costs) == {4, 5}
    assert np.mean(costs) == 4.5
    assert [rule._draw('any', i) for i in range(50)] == [rule._draw('any', i) for i in range(50)]
    assert sorted(plans_by_cost(rule.partition)) == [3, 4, 5, 6]


def registry_cost(partition, plan):
    from dysl_vla_ros.skipping.strategies.random_skip import plan_cost
    return plan_cost(partition, plan)


def test_action_reuse_runs_no_vision_and_commits_no_head_state(folder, observe, monkeypatch):
    policy = DySLPolicy.from_pretrained(folder, 'action_reuse')
    calls = []
    original = policy.model.encode_vision
    monkeypatch.setattr(policy.model, 'encode_vision',
                        lambda pixels: calls.append(1) or original(pixels))
    policy.reset(INSTRUCTION)
    pattern, head_steps = [], []
    for number in range(9):
        step = policy.act(observe(number))
        pattern.append(step.trace.n_executed_total)
        head_steps.append(policy.state.head.steps)
    # Four actions of the model, two extrapolated, one of the model, two extrapolated.
    assert pattern == [6, 6, 6, 6, 0, 0, 6, 0, 0]
    assert head_steps == [1, 2, 3, 4, 4, 4, 5, 5, 5]
    assert len(calls) == 5


def test_action_reuse_continues_a_straight_line(folder):
    from dysl_vla_ros.skipping.strategies.action_reuse import ActionReuse
    policy = DySLPolicy.from_pretrained(folder, 'dense')
    rule = ActionReuse(policy.model, 0.0, ridge=0.0)
    known = tuple(np.array([i, *[0.1 * i] * 6, 2.0]) for i in range(4))
    state = dataclasses.replace(rule.initial_state(), actions=known, index=4)
    assert np.allclose(rule._extrapolate(state), [0.4] * 6 + [2.0])
    turned = (*known[:3], np.array([3, *[0.3] * 6, -2.0]))
    assert not rule._is_smooth(dataclasses.replace(state, actions=turned))


def test_deer_waits_for_agreement(folder, observe):
    policy = DySLPolicy.from_pretrained(folder, 'deer')
    policy.rule.thresholds = {1: -1e8, 3: -1e8, 5: 1e8}
    assert run(policy, observe, 1)[0].trace.n_executed_total == 6
    policy.rule.thresholds = {1: -1e8, 3: 1e8, 5: 1e8}
    assert run(policy, observe, 1)[0].trace.n_executed_total == 4
    assert default_exits(12) == (1, 3, 5, 7, 9, 11)
    assert default_exits(23) == (1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 22)


def test_deer_equals_the_models_own_early_exit(folder, observe):
    """The reference implementation of model/early_exit.py, with the trained head put in."""
    from dysl_vla_ros.model.early_exit import run_until_exit
    policy = DySLPolicy.from_pretrained(folder, 'deer')
    layers, never = set(), (-1e8, -1e8, 1e8)
    network = DySLPolicy.from_pretrained(folder, 'dense').model
    network.lm_head = policy.rule.modules.lm_head
    with torch.inference_mode():
        policy.reset(INSTRUCTION)
        first = [run_until_exit(network, policy._prompt, network.encode_vision(
            policy._tensors(observe(n))[0]), policy.state.head, (1, 3, 5), never).deltas[0][1]
            for n in range(12)]
        middle = float(np.median(first))  # half of the frames leave at the first exit
        policy.rule.thresholds = {1: middle, 3: middle, 5: 1e8}
        for number in range(12):
            policy.reset(INSTRUCTION)
            state = policy.state.head
            pixels, _ = policy._tensors(observe(number))
            expected = run_until_exit(network, policy._prompt, network.encode_vision(pixels),
                                      state, (1, 3, 5), (middle, middle, 1e8))
            step = policy.act(observe(number))
            assert step.trace.n_executed_total == expected.layer + 1
            assert np.allclose(step.action[:6], expected.output.pose[0], atol=1e-3)
            layers.add(expected.layer)
    assert len(layers) > 1  # both an early and a late exit were compared


def test_deer_shares_the_window_between_exits_and_decides_alike(folder, observe, monkeypatch):
    """Past the window of 4 the exits' heads re-read 3 features once, not at every exit."""
    from dysl_vla_ros.skipping.strategies import early_exit
    deltas, rows = [], []
    original = early_exit.action_change
    monkeypatch.setattr(early_exit, 'action_change', lambda a, b: deltas.append(
        original(a, b)) or deltas[-1])
    policy = DySLPolicy.from_pretrained(folder, 'deer')
    head, never = policy.rule.modules.lm_head, {1: -1e8, 3: -1e8, 5: 1e8}
    shared = head.shared
    head.rnn.register_forward_pre_hook(lambda _, args: rows.append(args[0].shape[1]))
    policy.reset(INSTRUCTION)
    for t in range(15):
        before, plain_state = len(rows), policy.state
        head.shared = lambda state: None  # every exit by itself
        policy.rule.thresholds = never
        deltas.clear()
        policy.act(observe(t))
        first, second = (float(d) for d in deltas)
        plain_cost = sum(rows[before:])
        policy._state = plain_state
        head.shared = shared
        # A hundredth of a percent above or below what each exit by itself has seen.
        policy.rule.thresholds = {1: first * (1.0001 if t % 3 == 0 else 0.9999),
                                  3: second * (1.0001 if t % 3 == 1 else 0.9999), 5: 1e8}
        before = len(rows)
        step = policy.act(observe(t))
        assert step.trace.n_executed_total == (2, 4, 6)[t % 3]
        if t >= 4 and t % 3 == 2:
            assert plain_cost == 4 * 4  # three looks and the commit
            assert sum(rows[before:]) == 3 + 3 * 1 + 4


def test_kept_by_score_keeps_the_ends():
    assert kept_by_score([0.0, 0.3, 0.1, 0.4, 0.2, 0.0], 4) == (0, 1, 3, 5)
    with pytest.raises(ConfigError, match='cannot keep 7 of 6'):
        kept_by_score([0.0] * 6, 7)


def test_unknown_budget_lists_the_calibrated_ones(folder):
    with pytest.raises(ConfigError, match=r'no setting for budget 0.3; calibrated: \[0.5\]'):
        DySLPolicy.from_pretrained(folder, 'deer', budget=0.3)
    with pytest.raises(ConfigError, match=r'strategies/dysl\.json'):
        DySLPolicy.from_pretrained(folder, 'dysl', budget=0.3)


def test_missing_foreign_and_damaged_files_are_refused(folder):
    path = folder / 'strategies/deer.json'
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, 'weights_sha256': '0' * 64}))
    with pytest.raises(ConfigError, match='other weights'):
        DySLPolicy.from_pretrained(folder, 'deer')
    content['settings'][0]['values'] = {'tresholds': [1, 2, 3]}
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="did you mean 'thresholds'"):
        DySLPolicy.from_pretrained(folder, 'deer')
    path.unlink()
    with pytest.raises(ConfigError, match='dysl-vla distill --strategy deer'):
        DySLPolicy.from_pretrained(folder, 'deer')
    (folder / 'strategies/flexidepth.safetensors').write_bytes(b'short')
    with pytest.raises(CheckpointError, match='truncated'):
        DySLPolicy.from_pretrained(folder, 'flexidepth')


@pytest.mark.parametrize('name', [n for n in STRATEGIES if n != 'dense'])
def test_description_is_json_and_names_the_strategy(folder, name):
    description = json.loads(json.dumps(DySLPolicy.from_pretrained(folder, name).describe()))
    assert description['strategy'] == name
    assert description['skipping']
