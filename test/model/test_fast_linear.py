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
from dysl_vla_ros.model import fast_linear as module
from dysl_vla_ros.model.config import VLAConfig
from dysl_vla_ros.model.fast_linear import FastLinear, StepLSTM, fast_linear
from dysl_vla_ros.model.vla import DySLVLA


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch):
    monkeypatch.setattr(module, 'MIN_WEIGHTS', 0)


@pytest.mark.parametrize('onednn', [True, False])
@pytest.mark.parametrize('with_bias', [True, False])
@pytest.mark.parametrize('shape', [(1, 8), (11, 8), (2, 7, 8), (1, 60, 8), (48, 8), (2, 3, 4, 8)])
def test_linear_equals_the_usual_one(monkeypatch, shape, with_bias, onednn):
    if not onednn:
        monkeypatch.setattr(module, '_ONEDNN', None)
    x, weight = torch.randn(shape), torch.randn(5, 8)
    bias = torch.randn(5) if with_bias else None
    with torch.inference_mode():
        result = fast_linear(x, weight, bias)
        torch.testing.assert_close(result, functional.linear(x, weight, bias), atol=1e-5, rtol=0)
        assert result.is_contiguous()
        sideways = fast_linear(x.transpose(0, -1).contiguous().transpose(0, -1), weight, bias)
    torch.testing.assert_close(sideways, result, atol=1e-5, rtol=0)


def test_onednn_is_asked_where_torch_has_it(monkeypatch):
    asked = []

    def product(*arguments):
        asked.append(arguments)
        return torch.zeros(11, 5)
    monkeypatch.setattr(module, '_ONEDNN', product)
    with torch.inference_mode():
        fast_linear(torch.randn(11, 8), torch.randn(5, 8))
    assert len(asked) == 1
    fast_linear(torch.randn(11, 8), torch.randn(5, 8, requires_grad=True))
    assert len(asked) == 1


@pytest.mark.parametrize('with_bias', [True, False])
def test_linear_has_the_usual_gradient(with_bias):
    layer, x = FastLinear(8, 5, bias=with_bias), torch.randn(9, 8)
    layer(x).square().sum().backward()
    fast, layer.weight.grad = layer.weight.grad.clone(), None
    functional.linear(x, layer.weight, layer.bias).square().sum().backward()
    torch.testing.assert_close(fast, layer.weight.grad, atol=1e-4, rtol=1e-5)


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
    with torch.device('meta'):
        network = DySLVLA(VLAConfig.from_name('dysl-mini'))
    products = {name: part.weight.numel() for name, part in network.named_modules()
                if isinstance(part, nn.Linear)}
    assert len(products) > 50
    assert max(products.values()) < module.MIN_WEIGHTS


@pytest.mark.parametrize('every', [1, 2])
def test_the_originals_step_gives_equal_actions(every):
    config = dataclasses.replace(ROBOFLAMINGO, decoder=dataclasses.replace(
        ROBOFLAMINGO.decoder, cross_every=every))
    result = compare_passes(config, steps=5, tokens=6)
    assert 0 <= result['worst_error'] <= 1e-5
    assert result['timing_ms']['ours']['count'] == 5
