# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How much each decoder layer changes its input (paper section 3.1; design/method.md 3)."""

from collections.abc import Iterable

import torch
from torch.nn import functional

from dysl_vla_ros.model.vla import DySLVLA

# Embedded prompts (B, S, d), media (B, M, width), mask (B, S) True on real tokens.
ScoringBatch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@torch.no_grad()
def cosine_similarity(model: DySLVLA, batches: Iterable[ScoringBatch]) -> tuple[float, ...]:
    """Mean cosine similarity of input and output per layer, over frames and real tokens.

    A low value means that the layer transforms much: a candidate for a static layer.

    Raises:
        ValueError: If there is no batch.
    """
    total = torch.zeros(model.n_layers, dtype=torch.float64)
    tokens = 0
    for x, media, mask in batches:
        for j, layer in enumerate(model.layers):
            y = layer(x, media)
            total[j] += functional.cosine_similarity(x, y, dim=-1)[mask].double().sum().item()
            x = y
        tokens += int(mask.sum())
    if tokens == 0:
        raise ValueError('no frames to score the layers on')
    return tuple((total / tokens).tolist())
