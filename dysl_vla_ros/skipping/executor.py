# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs decoder layers, jumping over dynamic ones (design/method.md section 9).

A skipped layer costs nothing: neither its cross-attention nor its block is called.
"""

from dataclasses import dataclass, field
import math

import torch

from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.modules import SkipModules


@dataclass
class Pass:
    """Outcome of one pass.

    Attributes:
        x: (B, S, d) output of the read-out layer.
        executed: Indexes of layers that ran, in order.
        jumps: (from, landing) pairs.
        first_jump: (layer, its input) where the passes with and without skipping part.
    """

    x: torch.Tensor
    executed: list[int] = field(default_factory=list)
    jumps: list[tuple[int, int]] = field(default_factory=list)
    first_jump: tuple[int, torch.Tensor] | None = None


class LayerExecutor:
    """Layers, adapters and controllers as flat lists, so that a step does no look-ups."""

    def __init__(self, model: DySLVLA, modules: SkipModules | None,
                 skip_threshold: float = 0.5) -> None:
        """Prepare the tables; without ``modules`` only dense passes are possible."""
        self.layers = list(model.layers)
        n = len(self.layers)
        self.adapters: list[torch.nn.Module | None] = [None] * n
        self.controllers: list[torch.nn.Module | None] = [None] * n
        self.landing = list(range(1, n + 1))
        self.group = [-1] * n
        if modules is not None:
            for index, group in enumerate(modules.partition.groups):
                for j in range(group.first, group.last + 1):
                    self.adapters[j] = modules.adapters[str(j)]
                    self.controllers[j] = modules.controllers[str(j)]
                    self.landing[j] = group.landing
                    self.group[j] = index
        self.set_threshold(skip_threshold)

    def set_threshold(self, skip_threshold: float) -> None:
        """Set tau as a probability; compared on the logit to spare a sigmoid per decision."""
        if skip_threshold >= 1:
            self.logit_threshold = math.inf
        elif skip_threshold <= 0:
            self.logit_threshold = -math.inf
        else:
            self.logit_threshold = math.log(skip_threshold / (1 - skip_threshold))

    def run_dense(self, x: torch.Tensor, media: torch.Tensor, first_layer: int = 0) -> Pass:
        """Run every layer from ``first_layer`` on."""
        for layer in self.layers[first_layer:]:
            x = layer(x, media)
        return Pass(x, list(range(first_layer, len(self.layers))))

    def run_skipping(self, x: torch.Tensor, media: torch.Tensor,
                     allow_points: tuple[int, ...]) -> Pass:
        """Run with skipping; a controller is asked only from its group's allow point on.

        Args:
            x: (1, S, d) embedded prompt without padding.
            media: (1, M, width) latents.
            allow_points: l_i per group.
        """
        result = Pass(x)
        j, n = 0, len(self.layers)
        while j < n:
            group = self.group[j]
            if group >= 0 and j >= allow_points[group] \
                    and self.controllers[j](x).item() > self.logit_threshold:  # type: ignore[misc]
                if result.first_jump is None:
                    result.first_jump = (j, x)
                result.jumps.append((j, self.landing[j]))
                x = self.adapters[j](x)  # type: ignore[misc]
                j = self.landing[j]
            else:
                x = self.layers[j](x, media)
                result.executed.append(j)
                j += 1
        result.x = x
        return result
