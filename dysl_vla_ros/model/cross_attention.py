# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Gated cross-attention: text tokens look at the media latents.

With ``<image>`` first and one frame every token sees every latent, so no mask is needed.
Source: design/architecture.md section 3.
"""

import torch
from torch import nn
from torch.nn import functional

from dysl_vla_ros.model.config import DecoderConfig
from dysl_vla_ros.model.fast_linear import FastLinear
from dysl_vla_ros.model.resampler import feed_forward, merge_heads, split_heads


class MaskedCrossAttention(nn.Module):
    """Queries from text, keys and values from raw media latents."""

    def __init__(self, config: DecoderConfig, media_dim: int) -> None:
        """Build projections of ``cross_heads * cross_head_dim`` width."""
        super().__init__()
        inner = config.cross_heads * config.cross_head_dim
        self.heads = config.cross_heads
        self.norm = nn.LayerNorm(config.d_model)
        self.to_q = FastLinear(config.d_model, inner, bias=False)
        self.to_kv = FastLinear(media_dim, inner * 2, bias=False)
        self.to_out = FastLinear(inner, config.d_model, bias=False)

    def forward(self, x: torch.Tensor, media: torch.Tensor) -> torch.Tensor:
        """(B, S, d) text and (B, M, media_dim) latents -> (B, S, d) update."""
        q = split_heads(self.to_q(self.norm(x)), self.heads)
        k, v = self.to_kv(media).chunk(2, dim=-1)
        out = functional.scaled_dot_product_attention(
            q, split_heads(k, self.heads), split_heads(v, self.heads))
        return self.to_out(merge_heads(out))


class GatedCrossAttentionBlock(nn.Module):
    """Cross-attention and feed-forward, each behind a tanh gate."""

    def __init__(self, config: DecoderConfig, media_dim: int) -> None:
        """Gates start at ``config.initial_gate``."""
        super().__init__()
        self.attn = MaskedCrossAttention(config, media_dim)
        self.attn_gate = nn.Parameter(torch.full((1,), config.initial_gate))
        self.ff = feed_forward(config.d_model, config.cross_ff_mult)
        self.ff_gate = nn.Parameter(torch.full((1,), config.initial_gate))

    def forward(self, x: torch.Tensor, media: torch.Tensor) -> torch.Tensor:
        """(B, S, d), (B, M, media_dim) -> (B, S, d)."""
        x = x + self.attn(x, media) * self.attn_gate.tanh()
        return x + self.ff(x) * self.ff_gate.tanh()
