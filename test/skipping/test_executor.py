# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Skipped layers must really not run, and a resumed pass must equal a whole one."""

from collections import Counter

import pytest
import torch

from dysl_vla_ros.skipping.executor import LayerExecutor


@pytest.fixture
def inputs(model):
    torch.manual_seed(2)
    return torch.randn(1, 5, 16), torch.randn(1, 8, 16)


@pytest.fixture
def calls(model, modules):
    """Counts of calls per sub-module name."""
    counter = Counter()
    for j, layer in enumerate(model.layers):
        for part in ('gated_cross_attn_layer', 'decoder_layer'):
            getattr(layer, part).register_forward_hook(
                lambda *_, key=(part, j): counter.update([key]))
    for kind in ('adapters', 'controllers'):
        for j, module in getattr(modules, kind).items():
            module.register_forward_hook(lambda *_, key=(kind, int(j)): counter.update([key]))
    return counter


def test_skipped_layers_call_neither_block_nor_cross_attention(model, modules, inputs, calls):
    result = LayerExecutor(model, modules, 0.0).run_skipping(*inputs, (1, 4))
    assert result.executed == [0, 3, 5]
    assert result.jumps == [(1, 3), (4, 5)]
    assert calls == Counter(
        {(part, j): 1 for part in ('gated_cross_attn_layer', 'decoder_layer')
         for j in (0, 3, 5)}
        | {(kind, j): 1 for kind in ('adapters', 'controllers') for j in (1, 4)})


def test_controllers_before_the_allow_point_are_not_asked(model, modules, inputs, calls):
    result = LayerExecutor(model, modules, 0.0).run_skipping(*inputs, (2, 5))
    assert result.executed == [0, 1, 3, 4, 5]
    assert [key for key in calls if key[0] == 'controllers'] == [('controllers', 2)]


def test_closed_controllers_give_the_dense_pass(model, modules, inputs, calls):
    executor = LayerExecutor(model, modules, 1.0)
    result = executor.run_skipping(*inputs, (1, 4))
    assert torch.equal(result.x, executor.run_dense(*inputs).x)
    assert torch.equal(result.x, model.decode(*inputs))
    assert result.first_jump is None
    assert not result.jumps


def test_resuming_at_the_first_jump_equals_a_dense_pass(model, modules, inputs):
    executor = LayerExecutor(model, modules, 0.0)
    layer, x = executor.run_skipping(*inputs, (2, 4)).first_jump
    assert layer == 2
    resumed = executor.run_dense(x, inputs[1], layer)
    assert torch.equal(resumed.x, model.decode(*inputs))
    assert resumed.executed == [2, 3, 4, 5]


def test_skipping_pass_follows_the_formula(model, modules, inputs):
    x, media = inputs
    expected = model.layers[0](x, media)
    expected = model.layers[3](modules.adapters['1'](expected), media)
    expected = model.layers[5](modules.adapters['4'](expected), media)
    result = LayerExecutor(model, modules, 0.0).run_skipping(x, media, (1, 4))
    assert torch.equal(result.x, expected)


def test_threshold_is_a_probability(model, modules, inputs):
    x, media = inputs
    probability = modules.controllers['1'](model.layers[0](x, media)).sigmoid().item()
    points = (1, 5)
    below = LayerExecutor(model, modules, probability - 1e-3).run_skipping(x, media, points)
    above = LayerExecutor(model, modules, probability + 1e-3).run_skipping(x, media, points)
    assert below.jumps[0] == (1, 3)
    assert (1, 3) not in above.jumps
