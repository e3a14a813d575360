# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Perceiver resampler: many patch tokens to a few latents.

Source: design/architecture.md section 2; parameter names equal the published checkpoints'.
"""

import torch
from torch import nn
from torch.nn import functional

from dysl_vla_ros.model.config import ResamplerConfig
from dysl_vla_ros.model.fast_linear import FastLinear


def feed_forward(dim: int, mult: int) -> nn.Sequential:
    """LN -> Linear -> GELU (erf) -> Linear, linear layers without bias."""
    return nn.Sequential(nn.LayerNorm(dim), FastLinear(dim, dim * mult, bias=False), nn.GELU(),
                         FastLinear(dim * mult, dim, bias=False))


def split_heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(B, N, heads * dim) -> (B, heads, N, dim); layout "(head dim)"."""
    batch, length, _ = x.shape
    return x.view(batch, length, heads, -1).transpose(1, 2)


def merge_heads(x: torch.Tensor) -> torch.Tensor:
    """(B, heads, N, dim) -> (B, N, heads * dim)."""
    return x.transpose(1, 2).flatten(2)


class PerceiverAttention(nn.Module):
    """Latents attend to media tokens and themselves."""

    def __init__(self, dim: int, config: ResamplerConfig) -> None:
        """Build projections of ``heads * head_dim`` width."""
        super().__init__()
        inner = config.heads * config.head_dim
        self.heads = config.heads
        self.norm_media = nn.LayerNorm(dim)
        self.norm_latents = nn.LayerNorm(dim)
        self.to_q = FastLinear(dim, inner, bias=False)
        self.to_kv = FastLinear(dim, inner * 2, bias=False)
        self.to_out = FastLinear(inner, dim, bias=False)

    def forward(self, media: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """(N, V, dim) media and (N, L, dim) latents -> (N, L, dim) update."""
        media, latents = self.norm_media(media), self.norm_latents(latents)
        q = split_heads(self.to_q(latents), self.heads)
        k, v = self.to_kv(torch.cat((media, latents), dim=1)).chunk(2, dim=-1)
        out = functional.scaled_dot_product_attention(
            q, split_heads(k, self.heads), split_heads(v, self.heads))
        return self.to_out(merge_heads(out))


class PerceiverResampler(nn.Module):
    """A stack of latent attention and feed-forward layers."""

    def __init__(self, dim: int, config: ResamplerConfig) -> None:
        """Build ``depth`` layers over ``latents`` learned queries."""
        super().__init__()
        self.latents = nn.Parameter(torch.empty(config.latents, dim))
        nn.init.normal_(self.latents)
        self.layers = nn.ModuleList(
            nn.ModuleList([PerceiverAttention(dim, config), feed_forward(dim, config.ff_mult)])
            for _ in range(config.depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, V, dim) vision tokens -> (N, latents, dim)."""
        latents = self.latents.expand(tokens.shape[0], -1, -1)
        for layer in self.layers:
            attention, feed = layer[0], layer[1]  # type: ignore[index]
            latents = latents + attention(tokens, latents)
            latents = latents + feed(latents)
        return self.norm(latents)
