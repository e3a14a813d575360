# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CLIP vision tower: patch tokens of the last layer, before the final layer norm.

Query, key and value are one matrix product, and parameter names equal open_clip's ``visual.*``.
What follows the read-out (``ln_post``, the projection) is not built.
Source: design/architecture.md section 2.
"""

import torch
from torch import nn
from torch.nn import functional

from dysl_vla_ros.model.config import VisionConfig
from dysl_vla_ros.model.fast_linear import FastLinear, fast_linear
from dysl_vla_ros.model.resampler import merge_heads, split_heads


class VisionAttention(nn.Module):
    """Self-attention over patch tokens."""

    def __init__(self, config: VisionConfig) -> None:
        """Build the fused input projection, rows query, key, value."""
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = FastLinear(width, width)
        nn.init.normal_(self.in_proj_weight, std=(2 * width * config.layers) ** -0.5)
        nn.init.normal_(self.out_proj.weight, std=width ** -0.5)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, P, width) -> (N, P, width)."""
        q, k, v = fast_linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        out = functional.scaled_dot_product_attention(
            split_heads(q, self.heads), split_heads(k, self.heads), split_heads(v, self.heads))
        return self.out_proj(merge_heads(out))


class VisionMLP(nn.Module):
    """Two projections with QuickGELU, x * sigmoid(1.702 x), between."""

    def __init__(self, config: VisionConfig) -> None:
        """Build a four times wider hidden layer."""
        super().__init__()
        self.c_fc = FastLinear(config.width, 4 * config.width)
        self.c_proj = FastLinear(4 * config.width, config.width)
        nn.init.normal_(self.c_fc.weight, std=(2 * config.width) ** -0.5)
        nn.init.normal_(self.c_proj.weight, std=(2 * config.width * config.layers) ** -0.5)
        nn.init.zeros_(self.c_fc.bias)
        nn.init.zeros_(self.c_proj.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, P, width) -> (N, P, width)."""
        x = self.c_fc(x)
        return self.c_proj(x * torch.sigmoid(1.702 * x))


class VisionBlock(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, config: VisionConfig) -> None:
        """Build one block."""
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.width)
        self.attn = VisionAttention(config)
        self.ln_2 = nn.LayerNorm(config.width)
        self.mlp = VisionMLP(config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, P, width) -> (N, P, width)."""
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class VisionTransformer(nn.Module):
    """The stack of blocks; named as in open_clip."""

    def __init__(self, config: VisionConfig) -> None:
        """Build every block."""
        super().__init__()
        self.resblocks = nn.ModuleList(VisionBlock(config) for _ in range(config.layers))


class VisionEncoder(nn.Module):
    """The tower, read where RoboFlamingo reads it."""

    def __init__(self, config: VisionConfig) -> None:
        """Build the tower with CLIP's initialisation."""
        super().__init__()
        width, patch = config.width, config.patch_size
        self.conv1 = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(
            torch.empty((config.image_size // patch) ** 2 + 1, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = VisionTransformer(config)
        nn.init.normal_(self.conv1.weight, std=0.02)
        nn.init.normal_(self.class_embedding, std=width ** -0.5)
        nn.init.normal_(self.positional_embedding, std=0.02)

    def embed(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) normalised -> (N, 1 + patches, width), CLS first: the blocks' input."""
        x = self.conv1(pixel_values).flatten(2).transpose(1, 2)  # (N, patches, width)
        x = torch.cat((self.class_embedding.expand(x.shape[0], 1, -1), x), dim=1)
        return self.ln_pre(x + self.positional_embedding)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) normalised -> (N, patches, width); CLS dropped, no post layer norm."""
        x = self.embed(pixel_values)
        for block in self.transformer.resblocks:
            x = block(x)
        return x[:, 1:]
