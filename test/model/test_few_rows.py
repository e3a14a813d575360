# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fast products of large weights equal the usual ones; the original's step equals ours."""

import dataclasses

from published import ROBOFLAMINGO
import pytest
import torch
from torch import nn
from torch.nn import functional

from dysl_vla_ros.evaluation.pass_speed import compare_passes
from dysl_vla_ros.model import few_rows
from dysl_vla_ros.model.config import VLAConfig
from dysl_vla_ros.model.few_rows import StepLSTM, few_rows_linear


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch):
    monkeypatch.setattr(few_rows, 'MIN_WEIGHTS', 0)


@pytest.mark.parametrize('shape', [(1, 8), (11, 8), (2, 7, 8), (1, 60, 8), (48, 8)])
def test_linear_equals_the_usual_one(shape):
    x, weight = torch.randn(shape), torch.randn(5, 8)
    result = few_rows_linear(x, weight)
    torch.testing.assert_close(result, functional.linear(x, weight), atol=1e-5, rtol=0)
    assert result.is_contiguous()


def test_linear_has_the_usual_gradient():
    x, weight = torch.randn(9, 8), torch.randn(5, 8, requires_grad=True)
    few_rows_linear(x, weight).square().sum().backward()
    fast, weight.grad = weight.grad.clone(), None
    functional.linear(x, weight).square().sum().backward()
    torch.testing.assert_close(fast, weight.grad, atol=1e-4, rtol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize('steps', [1, 2, 12])
@pytest.mark.parametrize('with_state', [False, True])
def test_lstm_equals_the_usual_one(steps, with_state):
    torch.manual_seed(0)
    lstm = StepLSTM(6, 5, 3, batch_first=True).eval()
    x = torch.randn(1, steps, 6)
    state = (torch.randn(3, 1, 5), torch.randn(3, 1, 5)) if with_state else None
    got, wanted = lstm(x, state), nn.LSTM.forward(lstm, x, state)
    torch.testing.assert_close(got, wanted, atol=1e-6, rtol=0)


def test_small_networks_keep_the_usual_path(monkeypatch):
    monkeypatch.undo()
    model = VLAConfig.from_name('dysl-mini').decoder
    assert model.d_model * model.mlp_ratio * model.d_model < few_rows.MIN_WEIGHTS


@pytest.mark.parametrize('every', [1, 2])
def test_the_originals_step_gives_equal_actions(every):
    config = dataclasses.replace(ROBOFLAMINGO, decoder=dataclasses.replace(
        ROBOFLAMINGO.decoder, cross_every=every))
    result = compare_passes(config, steps=5, tokens=6)
    assert 0 <= result['worst_error'] <= 1e-5
    assert result['timing_ms']['ours']['count'] == 5
