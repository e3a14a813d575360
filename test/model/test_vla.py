# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The whole network: shapes of the contracts, padding and batching must not change a result."""

import dataclasses

import pytest
import torch

from dysl_vla_ros.model.vla import DySLVLA

IDS = torch.tensor([[3, 9, 8, 7, 4, 0], [3, 5, 4, 0, 2, 2]])  # pad id 2
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]], dtype=torch.bool)


def images(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (*shape, 3, 16, 16), dtype=torch.uint8, generator=generator)


def test_normalise_is_clips_mean_and_standard_deviation(tiny_model):
    pixels = images(2)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    torch.testing.assert_close(tiny_model.normalise(pixels), (pixels / 255 - mean) / std,
                               atol=1e-6, rtol=1e-6)


@torch.inference_mode()
def test_media_are_static_then_gripper_of_a_shared_encoder(tiny_model):
    pixels = tiny_model.normalise(images(2, 2))
    media = tiny_model.encode_vision(pixels)
    assert media.shape == (2, 8, 16)
    for camera in range(2):
        alone = tiny_model.perceiver(tiny_model.vision_encoder(pixels[:, camera]))
        torch.testing.assert_close(media[:, 4 * camera:4 * camera + 4], alone, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_a_padded_batch_equals_single_unpadded_runs(tiny_model):
    pixels = tiny_model.normalise(images(2, 3, 2))
    pose, gripper = tiny_model.forward_window(pixels, IDS, MASK)[:2]
    assert pose.shape == (2, 3, 6)
    assert gripper.shape == (2, 3)
    for row in range(2):
        ids = IDS[row:row + 1, :int(MASK[row].sum())]
        alone = tiny_model.forward_window(pixels[row:row + 1], ids)
        torch.testing.assert_close(pose[row:row + 1], alone[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(gripper[row:row + 1], alone[1], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_step_by_step_equals_the_training_layout(tiny_model):
    pixels = tiny_model.normalise(images(1, 4, 2))
    expected = tiny_model.forward_window(pixels, IDS[:1])[0]
    state = tiny_model.lm_head.initial_state()
    for t in range(4):
        media = tiny_model.encode_vision(pixels[:, t])
        x = tiny_model.embed(IDS[:1])
        for layer in tiny_model.layers:
            x = layer(x, media, None)
        output = tiny_model.lm_head.peek(tiny_model.pool(x), state)
        state = output.state
        torch.testing.assert_close(output.pose, expected[:, t], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_image_and_instruction_both_reach_the_action(tiny_model):
    pixels = tiny_model.normalise(images(1, 1, 2))
    pose = tiny_model.forward_window(pixels, IDS[:1])[0]
    assert not torch.allclose(pose, tiny_model.forward_window(-pixels, IDS[:1])[0])
    assert not torch.allclose(pose, tiny_model.forward_window(pixels, IDS[1:])[0])


def test_every_parameter_but_the_unused_final_norm_gets_a_gradient(tiny_model):
    pose, gripper = tiny_model.forward_window(tiny_model.normalise(images(2, 2, 2)), IDS,
                                              MASK)[:2]
    (pose.sum() + gripper.sum()).backward()
    silent = [name for name, p in tiny_model.named_parameters()
              if p.grad is None or not p.grad.any()]
    assert all('post_layernorm' in name or name.endswith('k_proj.bias') for name in silent)


def test_proprioception_is_a_switch(tiny_config):
    head = dataclasses.replace(tiny_config.head, use_state=True)
    model = DySLVLA(dataclasses.replace(tiny_config, head=head)).eval()
    x = torch.randn(2, 3, 16)
    with pytest.raises(ValueError, match='robot_obs is required'):
        model.pool(x)
    low, high = model.pool(x, None, torch.zeros(2, 15)), model.pool(x, None, torch.ones(2, 15))
    assert low.shape == (2, 16)
    assert not torch.allclose(low, high)
