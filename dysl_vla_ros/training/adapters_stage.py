# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stage 1: every adapter learns the hidden state it jumps to (design/method.md section 10).

    L1 = sum_i || T_i(x_i) - x_nxt(i) ||_F

One frozen forward yields every x_i and every target, so all adapters train in parallel.
"""

import torch

from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.modules import SkipModules
from dysl_vla_ros.training.skip_data import MediaBatch


@torch.no_grad()
def hidden_states(model: DySLVLA, batch: MediaBatch) -> list[torch.Tensor]:
    """x_0 .. x_n of the frozen decoder: inputs of every layer, then the read-out's output."""
    states = [batch.x]
    for layer in model.layers:
        states.append(layer(states[-1], batch.media))
    return states


def _norm(difference: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Frobenius norm per frame over real tokens: (B, S, d), (B, S) -> (B,)."""
    return (difference.square().sum(-1) * mask).sum(-1).clamp_min(1e-12).sqrt()


def adapters_loss(model: DySLVLA, modules: SkipModules,
                  batch: MediaBatch) -> tuple[torch.Tensor, dict[int, float]]:
    """L1 averaged over frames, and the relative error per dynamic layer.

    The relative error ||T(x_i) - x_nxt|| / ||x_nxt - x_i|| is 1 for an adapter that does nothing.
    """
    states = hidden_states(model, batch)
    losses, relative = [], {}
    for j in modules.partition.dynamic:
        x, target = states[j], states[modules.partition.next_static(j)]
        error = _norm(modules.adapters[str(j)](x) - target, batch.mask)
        losses.append(error.mean())
        with torch.no_grad():
            distance = _norm(target - x, batch.mask)
            relative[j] = float(error.detach().mean() / distance.mean().clamp_min(1e-12))
    return torch.stack(losses).sum(), relative
