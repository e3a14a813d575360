# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs decoder layers, jumping over dynamic ones (design/method.md section 9).

A skipped layer costs nothing: neither its cross-attention nor its block is called.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
import math
from typing import Protocol

import torch
from torch import nn

from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.modules import SkipModules
from dysl_vla_ros.skipping.partition import LayerPartition


class JumpModules(Protocol):
    """Adapters by layer index; controllers too if it is a ``SkipModules``."""

    partition: LayerPartition
    adapters: nn.ModuleDict


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

    def __init__(self, model: DySLVLA, modules: JumpModules | None,
                 skip_threshold: float = 0.5) -> None:
        """Prepare the tables; without ``modules`` only dense passes are possible."""
        self.layers = list(model.layers)
        n = len(self.layers)
        self.adapters: list[nn.Module | None] = [None] * n
        self.controllers: list[nn.Module | None] = [None] * n
        self.landing = list(range(1, n + 1))
        self.group = [-1] * n
        if modules is not None:
            for index, group in enumerate(modules.partition.groups):
                for j in range(group.first, group.last + 1):
                    # Planned passes have adapters at their jumps only, and no controllers.
                    if str(j) in modules.adapters:
                        self.adapters[j] = modules.adapters[str(j)]
                    if isinstance(modules, SkipModules):
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

    def drop_adapters(self) -> None:
        """Let a jump hand its input on unchanged (tests what the adapters are worth)."""
        self.adapters = [nn.Identity() if a is not None else None for a in self.adapters]

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
        def leaves(j: int, group: int, x: torch.Tensor) -> bool:
            return j >= allow_points[group] \
                and self.controllers[j](x).item() > self.logit_threshold  # type: ignore[misc]

        return self._run(x, media, 0, leaves)

    def run_plan(self, x: torch.Tensor, media: torch.Tensor, plan: Sequence[int],
                 first_layer: int = 0) -> Pass:
        """Run a plan decided beforehand: no controller is asked, nothing is read from the device.

        Args:
            x: (1, S, d) input of ``first_layer``.
            media: (1, M, width) latents.
            plan: Per group the layer at which it is left; its landing layer for no jump.
            first_layer: A static layer; the layers before it have run.
        """
        return self._run(x, media, first_layer, lambda j, group, _: plan[group] == j)

    def _run(self, x: torch.Tensor, media: torch.Tensor, first_layer: int,
             leaves: Callable[[int, int, torch.Tensor], bool]) -> Pass:
        """Run from ``first_layer``; ``leaves(layer, group, x)``: whether to jump out there."""
        result = Pass(x, list(range(first_layer)))
        j, n = first_layer, len(self.layers)
        while j < n:
            group = self.group[j]
            if group >= 0 and leaves(j, group, x):
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
