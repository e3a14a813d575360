# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parity with the original RoboFlamingo at a tiny size.

Without it a wrong read-out layer, a dropped norm or a wrong window would pass as a network that
merely performs badly. Tolerances: design/architecture.md section 13.
"""

import dataclasses

import pytest
from safetensors.torch import load_file
import torch
from torch import nn

from dysl_vla_ros.model.config import VLAConfig
from dysl_vla_ros.model.vla import DySLVLA

pytestmark = pytest.mark.reference

FEATURE_TOLERANCE, BLOCK_TOLERANCE, ACTION_TOLERANCE = 1e-5, 2e-5, 1e-5


@pytest.fixture(scope='module')
def model(reference):
    return reference.load()


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return (a - b).abs().max().item()


@torch.inference_mode()
def block_outputs(model: DySLVLA, reference, step: int) -> list[torch.Tensor]:
    media = model.encode_vision(reference.pixels(step))
    x = model.embed(reference.tensors['in.input_ids'])
    outputs = []
    for layer in model.layers:
        x = layer(x, media)
        outputs.append(x)
    return outputs


@torch.inference_mode()
def action_error(model: DySLVLA, reference, heads_per_step: int = 1) -> float:
    """Largest pose or gripper difference over the seven recorded steps."""
    state, worst = model.lm_head.initial_state(), 0.0
    for step in range(7):
        feature = model.pool(block_outputs(model, reference, step)[-1])
        for _ in range(heads_per_step):
            output = model.lm_head.peek(feature, state)
            state = output.state
        worst = max(worst,
                    difference(output.pose, reference.tensors['out.steps_pose'][step]),
                    difference(output.gripper_logit.sigmoid()[:, None],
                               reference.tensors['out.steps_gripper'][step]))
    return worst


@torch.inference_mode()
def test_vision_tokens_and_latents_equal_the_original(model, reference):
    for step in range(7):
        tokens = model.vision_encoder(reference.pixels(step)[0])
        latents = model.perceiver(tokens)
        expected = slice(2 * step, 2 * step + 2)  # call order: static, gripper
        assert difference(tokens, reference.tensors['out.vit_tokens'][expected, 0]) \
            <= FEATURE_TOLERANCE
        assert difference(latents, reference.tensors['out.latents'][expected, 0, 0]) \
            <= FEATURE_TOLERANCE


def test_block_outputs_equal_the_original(model, reference):
    for step in range(7):
        outputs = block_outputs(model, reference, step)
        assert len(outputs) == model.n_layers == 5
        for j, output in enumerate(outputs):
            assert difference(output, reference.tensors['out.block_outputs'][step, j]) \
                <= BLOCK_TOLERANCE
        assert difference(outputs[-1][0], reference.tensors['out.hidden_used'][step]) \
            <= BLOCK_TOLERANCE


def test_actions_equal_the_original_step_by_step_past_the_window(model, reference):
    assert action_error(model, reference) <= ACTION_TOLERANCE


@torch.inference_mode()
def test_training_layout_equals_the_original(model, reference):
    pixels = torch.stack([reference.pixels(step)[0] for step in range(4)])[None]
    pose, gripper = model.forward_window(pixels, reference.tensors['in.input_ids'])[:2]
    assert difference(pose, reference.tensors['out.window_pose']) <= ACTION_TOLERANCE
    assert difference(gripper.sigmoid()[..., None], reference.tensors['out.window_gripper']) \
        <= ACTION_TOLERANCE


def with_decoder(config: VLAConfig, **changes) -> VLAConfig:
    return dataclasses.replace(config, decoder=dataclasses.replace(config.decoder, **changes))


def with_wrong_layer(reference) -> DySLVLA:
    config = with_decoder(reference.config, feature_layer=5)
    return dataclasses.replace(reference, config=config).load()


def without_qk_norm(reference) -> DySLVLA:
    model = reference.load()
    for layer in model.layers:
        layer.decoder_layer.attn.q_ln = nn.Identity()
        layer.decoder_layer.attn.k_ln = nn.Identity()
    return model


def with_post_layer_norm(reference) -> DySLVLA:
    model = reference.load()
    clip = load_file(reference.folder / 'clip_visual.safetensors')
    post = nn.LayerNorm(64)
    post.load_state_dict({k: clip[f'visual.ln_post.{k}'] for k in ('weight', 'bias')})
    model.vision_encoder.register_forward_hook(lambda module, args, tokens: post(tokens))
    return model


def with_cross_attention_every_four(reference) -> DySLVLA:
    model = reference.load()
    for j, layer in enumerate(model.layers):
        if (j + 1) % 4:
            layer.gated_cross_attn_layer.attn_gate.data.zero_()
            layer.gated_cross_attn_layer.ff_gate.data.zero_()
    return model


def with_carried_state(reference) -> DySLVLA:
    model = reference.load()
    model.lm_head.config = dataclasses.replace(model.lm_head.config, window_mode='carry')
    return model


@pytest.mark.parametrize('build', [with_wrong_layer, with_post_layer_norm,
                                   with_cross_attention_every_four, with_carried_state])
def test_a_wrong_network_fails_parity(build, reference):
    assert action_error(build(reference), reference) > 10 * ACTION_TOLERANCE


def test_dropped_qk_norms_fail_parity_of_the_blocks(reference):
    # At this size the pose barely moves (1.2e-5), so the blocks are compared.
    outputs = block_outputs(without_qk_norm(reference), reference, 0)
    assert difference(outputs[-1], reference.tensors['out.block_outputs'][0, 4]) \
        > 10 * BLOCK_TOLERANCE


def test_a_head_advanced_twice_in_a_step_fails_parity(model, reference):
    assert action_error(model, reference, heads_per_step=2) > 10 * ACTION_TOLERANCE


@torch.inference_mode()
def test_padding_changes_the_feature_only_if_it_reaches_the_pool(model, reference):
    ids = reference.tensors['in.input_ids']
    padded = torch.cat((ids, torch.full((1, 4), 127)), dim=1)
    mask = torch.arange(padded.shape[1])[None] < ids.shape[1]
    media = model.encode_vision(reference.pixels(0))
    plain = model.pool(model.decode(model.embed(ids), media))
    hidden = model.decode(model.embed(padded), media)
    assert difference(model.pool(hidden, mask), plain) <= BLOCK_TOLERANCE
    assert difference(model.pool(hidden), plain) > 1e-2
