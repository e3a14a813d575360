# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MPT parts: ALiBi's slopes and causality, checked against numbers worked out by hand."""

import pytest
import torch

from dysl_vla_ros.model.mpt import attention_bias


def test_alibi_bias_equals_the_hand_computed_values():
    bias = attention_bias(2, 3, torch.device('cpu'), torch.float32)[0]
    # Two heads: slopes 2^-4 and 2^-8.
    for head, slope in enumerate((1 / 16, 1 / 256)):
        assert bias[head].tolist() == [
            [0, -float('inf'), -float('inf')],
            [-slope, 0, -float('inf')],
            [-2 * slope, -slope, 0]]


def test_sixteen_heads_have_mpts_slopes():
    bias = attention_bias(16, 2, torch.device('cpu'), torch.float32)[0]
    torch.testing.assert_close(-bias[:, 1, 0], 2.0 ** (-torch.arange(1, 17) / 2))


def test_the_bias_is_computed_once_per_length():
    arguments = (4, 7, torch.device('cpu'), torch.float32)
    assert attention_bias(*arguments) is attention_bias(*arguments)


def test_a_bias_first_made_by_inference_can_be_trained_with(tiny_model):
    # The cache outlives the context: an evaluation must not break the next training step.
    attention_bias.cache_clear()
    x, media = torch.randn(1, 5, 16), torch.randn(1, 8, 16)
    with torch.inference_mode():
        tiny_model.decode(x, media)
    tiny_model.decode(x, media).sum().backward()
    attention_bias.cache_clear()


@torch.inference_mode()
@pytest.mark.parametrize('position', [1, 4])
def test_a_later_token_never_changes_an_earlier_one(tiny_model, position):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 6, 16, generator=generator)
    media = torch.randn(1, 8, 16, generator=generator)
    changed = x.clone()
    changed[:, position:] += 1
    before, after = tiny_model.decode(x, media), tiny_model.decode(changed, media)
    torch.testing.assert_close(before[:, :position], after[:, :position], atol=1e-6, rtol=0)
    assert not torch.allclose(before[:, position:], after[:, position:])


@torch.inference_mode()
def test_closed_gates_make_cross_attention_an_identity(tiny_model):
    block = tiny_model.layers[0].gated_cross_attn_layer
    x, media = torch.randn(1, 5, 16), torch.randn(1, 8, 16)
    assert not torch.equal(block(x, media), x)
    block.attn_gate.zero_()
    block.ff_gate.zero_()
    assert torch.equal(block(x, media), x)
