# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The head's window: without it the LSTM would see another history than RoboFlamingo's."""

import dataclasses

import pytest
import torch

from dysl_vla_ros.model.action_head import DeterministicDecoder, HeadState
from dysl_vla_ros.model.config import HeadConfig

CONFIG = HeadConfig(lstm_hidden=12, lstm_layers=2, dropout=0.1, mlp_hidden=(8,), window=4)


@pytest.fixture
def head():
    torch.manual_seed(0)
    return DeterministicDecoder(6, CONFIG).eval()


@pytest.fixture
def features():
    return torch.randn(2, 11, 6, generator=torch.Generator().manual_seed(1))  # (B, T, d)


def roll(head, features):
    """Feed one step at a time, committing each; poses (B, T, 6) and logits (B, T)."""
    state, outputs = head.initial_state(), []
    for t in range(features.shape[1]):
        outputs.append(head.peek(features[:, t], state))
        state = outputs[-1].state
    return (torch.stack([o.pose for o in outputs], 1),
            torch.stack([o.gripper_logit for o in outputs], 1))


@torch.inference_mode()
def test_refresh_equals_the_lstm_over_the_last_window_from_zero_state(head, features):
    pose, gripper = roll(head, features)
    for t in range(features.shape[1]):
        window = features[:, max(0, t - CONFIG.window + 1):t + 1]
        expected_pose, expected_gripper = head(window)
        torch.testing.assert_close(pose[:, t], expected_pose[:, -1], atol=1e-6, rtol=0)
        torch.testing.assert_close(gripper[:, t], expected_gripper[:, -1], atol=1e-6, rtol=0)


@torch.inference_mode()
def test_carry_equals_one_run_over_everything(head, features):
    head.config = dataclasses.replace(CONFIG, window_mode='carry')
    pose, gripper = roll(head, features)
    expected_pose, expected_gripper = head(features)
    torch.testing.assert_close(pose, expected_pose, atol=1e-6, rtol=0)
    torch.testing.assert_close(gripper, expected_gripper, atol=1e-6, rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize('steps', [0, 2, 4, 7])
def test_peek_is_pure(head, features, steps):
    state = head.initial_state()
    for t in range(steps):
        state = head.peek(features[:, t], state).state
    kept = state.features
    copies = [f.clone() for f in kept]
    first = head.peek(features[:, steps], state)
    head.peek(features[:, steps] * 5, state)  # a proposal that is dropped
    second = head.peek(features[:, steps], state)
    assert torch.equal(first.pose, second.pose)
    assert torch.equal(first.gripper_logit, second.gripper_logit)
    assert state.features is kept
    assert all(torch.equal(a, b) for a, b in zip(kept, copies, strict=True))
    assert state.steps == steps
    assert first.state.steps == steps + 1


@torch.inference_mode()
def test_the_window_keeps_no_more_features_than_it_needs(head, features):
    state = head.initial_state()
    assert state == HeadState()
    for t in range(features.shape[1]):
        state = head.peek(features[:, t], state).state
        assert len(state.features) == min(t + 1, CONFIG.window)


@torch.inference_mode()
def test_outputs_have_the_contracts_shapes_and_range(head, features):
    output = head.peek(100 * features[:, 0], head.initial_state())
    assert output.pose.shape == (2, 6)
    assert output.gripper_logit.shape == (2,)
    assert output.pose.abs().max() <= 1


@torch.inference_mode()
@pytest.mark.parametrize('changes', [{}, {'window_mode': 'carry'}, {'window': 1},
                                     {'lstm_layernorm': True}])
def test_a_shared_start_gives_the_same_action_and_state(features, changes):
    torch.manual_seed(0)
    head = DeterministicDecoder(6, dataclasses.replace(CONFIG, **changes)).eval()
    state = head.initial_state()
    for t in range(features.shape[1]):
        shared = head.shared(state)
        for candidate in (features[:, t], -features[:, t]):
            plain, saving = head.peek(candidate, state), head.peek(candidate, state, shared)
            torch.testing.assert_close(saving.pose, plain.pose, atol=1e-6, rtol=0)
            torch.testing.assert_close(saving.gripper_logit, plain.gripper_logit, atol=1e-6,
                                       rtol=0)
            torch.testing.assert_close(saving.state.lstm, plain.state.lstm, atol=1e-6, rtol=0)
            assert saving.state.steps == plain.state.steps
        state = plain.state


@torch.inference_mode()
def test_past_the_window_a_further_candidate_costs_one_step(head, features):
    state = HeadState(None, tuple(features[:, :4].unbind(1)), 9)
    lengths = []
    head.rnn.register_forward_pre_hook(lambda _, args: lengths.append(args[0].shape[1]))
    shared = head.shared(state)
    for t in (5, 6, 7):
        head.peek(features[:, t], state, shared)
    assert lengths == [CONFIG.window - 1, 1, 1, 1]
