# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One commit per step, none for an aborted step, and verification equal to the dense policy."""

import json

import numpy as np
import pytest
import torch

from dysl_vla_ros.configuration import to_mapping
from dysl_vla_ros.errors import CheckpointError, ConfigError, ContractError
from dysl_vla_ros.skipping.policy import DySLPolicy
from dysl_vla_ros.skipping.step import GroupReason

INSTRUCTION = 'open the drawer'


def test_verify_always_equals_dense_bit_for_bit(make_policy, observe):
    dense, verified = make_policy('dense'), make_policy(verify_always=True)
    dense.reset(INSTRUCTION)
    for number in range(32):  # far past the head's window of 4, so refreshes are covered
        expected, got = dense.act(observe(number)), verified.act(observe(number))
        assert np.array_equal(expected.action, got.action)
        assert expected.gripper_probability == got.gripper_probability
        assert got.trace.is_verified == (number >= 3)
    for a, b in zip(dense.state.head.features, verified.state.head.features, strict=True):
        assert torch.equal(a, b)


def test_skipping_really_changes_the_action(make_policy, observe):
    """Without this the test above could pass with skipping broken."""
    dense, skipping = make_policy('dense'), make_policy(use_post=False, use_prior=False)
    dense.reset(INSTRUCTION)
    steps = [(dense.act(observe(n)), skipping.act(observe(n))) for n in range(5)]
    for a, b in steps[:3]:
        assert np.array_equal(a.action, b.action)  # warm-up runs dense
    assert not np.array_equal(steps[3][0].action, steps[3][1].action)


def test_step_reports_what_ran(make_policy, observe):
    policy = make_policy(use_post=False, use_prior=False)
    steps = [policy.act(observe(n)) for n in range(5)]
    warm, skipped = steps[0].trace, steps[4].trace
    assert warm.executed.all()
    assert warm.n_executed_total == 6
    assert {g.reason for g in warm.groups} == {GroupReason.WARMUP}
    assert skipped.executed.tolist() == [True, False, False, True, False, True]
    assert skipped.n_executed_total == 3
    assert [(g.first, g.last, g.reason, g.jump_from, g.allow_point) for g in skipped.groups] \
        == [(1, 2, GroupReason.SKIPPED, 1, 1), (4, 4, GroupReason.SKIPPED, 4, 4)]
    assert [s.index for s in steps] == [0, 1, 2, 3, 4]
    for step in steps:
        assert step.action.dtype == np.float32
        assert step.action.shape == (7,)
        assert step.action[6] in (-1.0, 1.0)
        assert np.array_equal(step.action, step.action.astype(np.float16).astype(np.float32))
    # C from step 1, its change from step 2.
    assert [np.isnan(s.trace.continuity) for s in steps] == [True] + [False] * 4
    assert [np.isnan(s.trace.continuity_change) for s in steps] == [True, True] + [False] * 3


def test_verified_step_counts_both_passes(make_policy, observe):
    policy = make_policy(verify_always=True)
    trace = [policy.act(observe(n)) for n in range(4)][3].trace
    assert trace.executed.all()
    # 0, 3, 5 of the skipped pass, then 1 to 5 resumed at the first jump.
    assert trace.n_executed_total == 3 + 5
    assert {g.reason for g in trace.groups} == {GroupReason.VERIFIED}


def test_forced_layers_are_reported_and_run(make_policy, observe):
    policy = make_policy(drop_threshold=-1e-9, stride=1e-6, use_post=False)
    reasons = []
    for number in range(12):
        before = policy.state.allow_points
        step = policy.act(observe(number))
        if step.index >= 3 and before == (3, 5):
            assert step.trace.n_executed_total == 6
            reasons += [g.reason for g in step.trace.groups]
    assert reasons
    assert set(reasons) == {GroupReason.FORCED}


def test_prior_switched_off_keeps_the_allow_points(make_policy, observe):
    policy = make_policy(drop_threshold=-1e-9, stride=1e-6, use_prior=False)
    for number in range(10):
        policy.act(observe(number))
        assert policy.state.allow_points == (1, 4)


def test_exactly_one_commit_per_step(make_policy, observe):
    policy = make_policy(verify_always=True)
    for number in range(8):
        before = policy.state
        policy.act(observe(number))
        after = policy.state
        assert after.index == before.index + 1
        assert after.head.steps == before.head.steps + 1
        assert len(after.head.features) == min(4, number + 1)
        assert len(after.actions) == min(6, number + 1)


@pytest.mark.parametrize('stage', ['vision', 'head'])
def test_aborted_step_commits_nothing(make_policy, observe, monkeypatch, stage):
    policy, untouched = make_policy(), make_policy()
    for number in range(5):
        policy.act(observe(number))
        untouched.act(observe(number))
    before = policy.state

    def fail(*_args, **_kwargs):
        raise RuntimeError('aborted')

    with monkeypatch.context() as patch:
        target = policy.model if stage == 'vision' else policy.model.lm_head
        patch.setattr(target, 'encode_vision' if stage == 'vision' else 'peek', fail)
        with pytest.raises(RuntimeError, match='aborted'):
            policy.act(observe(99))
    assert policy.state is before
    assert np.array_equal(policy.act(observe(5)).action, untouched.act(observe(5)).action)


def test_non_finite_output_is_refused_and_not_committed(make_policy, observe):
    policy = make_policy()
    policy.act(observe(0))
    before = policy.state
    bias = policy.model.lm_head.actions.mlp[-1].bias
    original = bias.clone()
    bias.fill_(float('nan'))
    with pytest.raises(ContractError, match='non-finite'):
        policy.act(observe(1))
    assert policy.state is before
    bias.copy_(original)
    assert policy.act(observe(1)).index == 1


def test_reset_clears_everything(make_policy, observe):
    policy = make_policy()
    first = [policy.act(observe(n)) for n in range(6)]
    policy.reset(INSTRUCTION)
    state = policy.state
    assert (state.index, state.actions, state.continuities) == (0, (), ())
    assert state.head == policy.model.lm_head.initial_state()
    assert state.allow_points == (1, 4)
    again = [policy.act(observe(n)) for n in range(6)]
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.action, b.action)
        assert a.trace.n_executed_total == b.trace.n_executed_total


def test_vision_runs_once_per_step_even_when_verified(make_policy, observe, monkeypatch):
    policy = make_policy(verify_always=True)
    calls = []
    original = policy.model.encode_vision
    monkeypatch.setattr(policy.model, 'encode_vision',
                        lambda pixels: calls.append(tuple(pixels.shape)) or original(pixels))
    for number in range(5):
        policy.act(observe(number))
    assert calls == [(1, 2, 3, 16, 16)] * 5


def test_act_before_reset_and_empty_instruction_are_refused(make_policy, observe):
    policy = make_policy('dense')
    with pytest.raises(ContractError, match='before reset'):
        policy.act(observe(0))
    with pytest.raises(ContractError, match='empty'):
        policy.reset('  ')


def test_dysl_without_modules_and_unknown_strategy_are_refused(model, tokenizer):
    with pytest.raises(ConfigError, match='distill'):
        DySLPolicy(model, tokenizer)
    with pytest.raises(ConfigError, match='unknown strategy'):
        DySLPolicy(model, tokenizer, strategy='fast')


@pytest.fixture
def folder(tmp_path, model, tokenizer, skipping, modules):
    model.save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    modules.save(tmp_path)
    (tmp_path / 'skipping.json').write_text(json.dumps(to_mapping(skipping)))
    return tmp_path


def test_weights_folder_gives_the_same_policy(folder, make_policy, observe):
    policy, loaded = make_policy(), DySLPolicy.from_pretrained(folder)
    loaded.reset(INSTRUCTION)
    for number in range(6):
        assert np.array_equal(policy.act(observe(number)).action,
                              loaded.act(observe(number)).action)
    description = json.loads(json.dumps(loaded.describe()))
    assert description['strategy'] == 'dysl'
    assert description['skipping']['static_layers'] == [0, 3, 5]
    assert len(description['weights_sha256']) == 64


def test_dense_needs_no_skipping_files(folder):
    (folder / 'skipping.json').unlink()
    (folder / 'skipping.safetensors').unlink()
    DySLPolicy.from_pretrained(folder, strategy='dense')
    with pytest.raises(CheckpointError, match=r'skipping\.json'):
        DySLPolicy.from_pretrained(folder)


def test_unknown_key_and_other_depth_are_refused(folder):
    path = folder / 'skipping.json'
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, 'skip_treshold': 0.5}))
    with pytest.raises(ConfigError, match="did you mean 'skip_threshold'"):
        DySLPolicy.from_pretrained(folder)
    path.write_text(json.dumps({**content, 'n_layers': 8, 'static_layers': [0, 7]}))
    with pytest.raises(ConfigError, match='distil again'):
        DySLPolicy.from_pretrained(folder)
