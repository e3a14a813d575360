# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CLIP-style vision tower: patch tokens before the final layer norm."""

import torch
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from dysl_vla_ros.model.config import VisionConfig

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class VisionEncoder(nn.Module):
    """transformers' CLIPVisionModel, read where RoboFlamingo reads it."""

    def __init__(self, config: VisionConfig) -> None:
        """Build the tower with random weights."""
        super().__init__()
        self.clip = CLIPVisionModel(CLIPVisionConfig(
            hidden_size=config.width, intermediate_size=4 * config.width,
            num_hidden_layers=config.layers, num_attention_heads=config.heads,
            image_size=config.image_size, patch_size=config.patch_size,
            hidden_act='quick_gelu', attn_implementation='sdpa'))  # type: ignore[call-arg]

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) normalised -> (N, patches, width); CLS dropped, no post layer norm."""
        return self.clip(pixel_values=pixel_values).last_hidden_state[:, 1:]
