# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MPT decoder layer: qk layer norm, ALiBi, no biases, preceded by gated cross-attention.

Right padding needs no mask here: attention is causal, so a real token never sees a pad, and
pads are left out of the pooled feature. Source: design/architecture.md section 4.
"""

import functools

import torch
from torch import nn
from torch.nn import functional

from dysl_vla_ros.model.config import DecoderConfig
from dysl_vla_ros.model.cross_attention import GatedCrossAttentionBlock
from dysl_vla_ros.model.fast_linear import FastLinear
from dysl_vla_ros.model.resampler import merge_heads, split_heads


@functools.cache  # never evicted: captured CUDA graphs read these tensors by address
def attention_bias(heads: int, length: int, device: torch.device,
                   dtype: torch.dtype) -> torch.Tensor:
    """ALiBi plus causal mask, (1, heads, S, S): -slope * (i - j) for j <= i, else -inf.

    The slope of head h = 1..H is 2 ** (-8 h / H). The cached tensor is an ordinary one even if
    inference mode asked for it first: training may want it next.
    """
    with torch.inference_mode(False):
        return _attention_bias(heads, length).to(device=device, dtype=dtype)


def _attention_bias(heads: int, length: int) -> torch.Tensor:
    slopes = torch.tensor([2.0 ** (-8.0 * h / heads) for h in range(1, heads + 1)])
    position = torch.arange(length)
    distance = (position[None, :] - position[:, None]).float()
    bias = slopes[:, None, None] * distance
    bias = bias.masked_fill(position[None, :] > position[:, None], float('-inf'))
    return bias[None]


class MPTAttention(nn.Module):
    """Causal self-attention; layer norms on the whole query and key if configured."""

    def __init__(self, config: DecoderConfig) -> None:
        """Build fused projections without biases."""
        super().__init__()
        self.heads = config.n_heads
        self.Wqkv = FastLinear(config.d_model, 3 * config.d_model, bias=False)
        norm = functools.partial(nn.LayerNorm, config.d_model, bias=False) \
            if config.qk_norm else nn.Identity
        self.q_ln, self.k_ln = norm(), norm()
        self.out_proj = FastLinear(config.d_model, config.d_model, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, S, d) -> (B, S, d)."""
        q, k, v = self.Wqkv(x).chunk(3, dim=-1)
        # The norms act on the full width, before the head split.
        q = split_heads(self.q_ln(q), self.heads)
        k = split_heads(self.k_ln(k), self.heads)
        bias = attention_bias(self.heads, x.shape[1], x.device, q.dtype)
        out = functional.scaled_dot_product_attention(q, k, split_heads(v, self.heads),
                                                      attn_mask=bias)
        return self.out_proj(merge_heads(out))


class MPTMLP(nn.Module):
    """Two projections with GELU (erf) between."""

    def __init__(self, config: DecoderConfig) -> None:
        """Build the projections without biases."""
        super().__init__()
        self.mlp_up = FastLinear(config.d_model, config.mlp_ratio * config.d_model, bias=False)
        self.mlp_down = FastLinear(config.mlp_ratio * config.d_model, config.d_model, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, S, d) -> (B, S, d)."""
        return self.mlp_down(functional.gelu(self.mlp_up(x)))


class MPTBlock(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, config: DecoderConfig) -> None:
        """Build one block."""
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.d_model, bias=False)
        self.attn = MPTAttention(config)
        self.ln_2 = nn.LayerNorm(config.d_model, bias=False)
        self.mlp = MPTMLP(config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, S, d) -> (B, S, d)."""
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class FlamingoLayer(nn.Module):
    """Layer j of the decoder: gated cross-attention j, then MPT block j; skipped as one unit."""

    def __init__(self, config: DecoderConfig, media_dim: int, index: int) -> None:
        """Build the block and, where ``config.cross_every`` asks for it, cross-attention."""
        super().__init__()
        self.gated_cross_attn_layer = GatedCrossAttentionBlock(config, media_dim) \
            if config.has_cross_attention(index) else None
        self.decoder_layer = MPTBlock(config)

    def forward(self, x: torch.Tensor, media: torch.Tensor,
                attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """(B, S, d), (B, M, media_dim) -> (B, S, d); the mask is accepted and not needed."""
        del attention_mask
        if self.gated_cross_attn_layer is not None:
            x = self.gated_cross_attn_layer(x, media)
        return self.decoder_layer(x)
