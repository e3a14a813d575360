# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Adapters and controllers (paper section 3.2; design/method.md sections 4 and 5).

One of each per dynamic layer. They are all that distillation trains.
"""

from pathlib import Path

from safetensors.torch import save_file
import torch
from torch import nn
from torch.nn import functional

from dysl_vla_ros.model import checkpoint
from dysl_vla_ros.model.fast_linear import FastLinear
from dysl_vla_ros.skipping.partition import LayerPartition

FILE_NAME = 'skipping.safetensors'
_INITIAL_SKIP_LOGIT = -2.2  # p ~ 0.1: start closed, open where it pays


class Adapter(nn.Module):
    """T_j: x + W_up GELU(W_down LN(x)) per token; starts as the identity."""

    def __init__(self, d_model: int, rank: int) -> None:
        """Build a bias-free bottleneck of ``rank``."""
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.down = FastLinear(d_model, rank, bias=False)
        self.up = FastLinear(rank, d_model, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, S, d) -> (B, S, d)."""
        return x + self.up(functional.gelu(self.down(self.norm(x))))


def mean_and_peak(x: torch.Tensor,
                  mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and maximum over real tokens: (B, S, d), mask (B, S) or None -> (B, d) twice."""
    if mask is None:
        return x.mean(dim=1), x.amax(dim=1)
    keep = mask[..., None]
    return (x * keep).sum(1) / keep.sum(1), \
        x.masked_fill(~keep, torch.finfo(x.dtype).min).amax(1)


class Controller(nn.Module):
    """c_j: logit of the skip probability of the whole sequence."""

    def __init__(self, d_model: int, hidden: int) -> None:
        """Read mean and maximum over tokens."""
        super().__init__()
        self.norm = nn.LayerNorm(2 * d_model)
        self.hidden = FastLinear(2 * d_model, hidden)
        self.out = FastLinear(hidden, 1)
        nn.init.constant_(self.out.bias, _INITIAL_SKIP_LOGIT)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """(B, S, d), mask (B, S) True on real tokens -> logits (B,)."""
        pooled = self.norm(torch.cat(mean_and_peak(x, mask), dim=-1))
        return self.out(functional.gelu(self.hidden(pooled))).squeeze(-1)


class SkipModules(nn.Module):
    """Adapters and controllers of every dynamic layer, by layer index."""

    def __init__(self, partition: LayerPartition, d_model: int, adapter_rank: int,
                 controller_hidden: int) -> None:
        """Build one adapter and one controller per dynamic layer."""
        super().__init__()
        self.partition = partition
        self.adapters = nn.ModuleDict(
            {str(j): Adapter(d_model, adapter_rank) for j in partition.dynamic})
        self.controllers = nn.ModuleDict(
            {str(j): Controller(d_model, controller_hidden) for j in partition.dynamic})

    def save(self, folder: str | Path) -> None:
        """Write skipping.safetensors."""
        save_file({k: v.detach().contiguous() for k, v in self.state_dict().items()},
                  Path(folder) / FILE_NAME)

    def load(self, folder: str | Path) -> None:
        """Read skipping.safetensors, strictly.

        Raises:
            CheckpointError: On missing, unexpected, mis-shaped or non-finite keys.
        """
        path = Path(folder) / FILE_NAME
        checkpoint.assign(self, checkpoint.read_tensors(path), str(path))
