# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The vision tower against transformers' CLIP, which the published weights fit."""

import pytest
import torch

from dysl_vla_ros.model.clip_names import hf_names
from dysl_vla_ros.model.config import VisionConfig
from dysl_vla_ros.model.vision import VisionEncoder

transformers = pytest.importorskip('transformers', reason='transformers is not installed')


@torch.inference_mode()
def test_patch_tokens_equal_those_of_transformers_before_the_last_norm():
    config = VisionConfig(image_size=28, patch_size=7, width=32, layers=3, heads=4)
    torch.manual_seed(0)
    clip = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(
        hidden_size=32, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4,
        image_size=28, patch_size=7, hidden_act='quick_gelu')).eval()
    weights = {k.removeprefix('vision_model.'): v for k, v in clip.state_dict().items()}
    encoder = VisionEncoder(config).eval()
    encoder.load_state_dict({name: torch.cat([weights[n] for n in hf_names(name)])
                             for name in encoder.state_dict()})
    pixels = torch.randn(2, 3, 28, 28)
    expected = clip(pixel_values=pixels).last_hidden_state[:, 1:]
    torch.testing.assert_close(encoder(pixels), expected, atol=1e-6, rtol=0)
