# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs decoder layers, jumping over dynamic ones (design/method.md section 9).

A skipped layer costs nothing: neither its cross-attention nor its block is called.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
import math
from typing import Protocol

import torch
from torch import nn

from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.modules import SkipModules
from dysl_vla_ros.skipping.partition import LayerPartition

_NO_TENSOR = torch.empty(0)


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
        self.model = model
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
        self._plans: dict[Hashable, Pass] = {}
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
        return Pass(self.model.decode(x, media, first_layer),
                    list(range(first_layer, len(self.layers))))

    def run_skipping(self, x: torch.Tensor, media: torch.Tensor,
                     allow_points: tuple[int, ...]) -> Pass:
        """Run with skipping; a controller is asked only from its group's allow point on.

        Args:
            x: (1, S, d) embedded prompt without padding.
            media: (1, M, width) latents.
            allow_points: l_i per group.
        """
        n = len(self.layers)

        def decides(j: int) -> bool:
            return self.group[j] >= 0 and j >= allow_points[self.group[j]]

        def stretch(x: torch.Tensor, jump: int, first: int,
                    stop: int) -> tuple[torch.Tensor, torch.Tensor]:
            def run(x: torch.Tensor, media: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                x = self._stretch(x, media, jump, first, stop)
                # The controller asked next, where a layer follows.
                return x, self.controllers[stop](x) if stop < n else x  # type: ignore[misc]

            return self.model.run_path(('stretch', self, jump, first, stop), run, x, media)

        return self._run(x, 0, decides, stretch,
                         lambda logit: logit.item() > self.logit_threshold)

    def run_plan(self, x: torch.Tensor, media: torch.Tensor, plan: Sequence[int],
                 first_layer: int = 0) -> Pass:
        """Run a plan decided beforehand: no controller is asked, nothing is read from the device.

        Args:
            x: (1, S, d) input of ``first_layer``.
            media: (1, M, width) latents.
            plan: Per group the layer at which it is left; its landing layer for no jump.
            first_layer: A static layer; the layers before it have run.
        """
        key = ('plan', self, first_layer, *plan)

        def run(x: torch.Tensor, media: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            result = self._run(
                x, first_layer, lambda j: self.group[j] >= 0 and plan[self.group[j]] == j,
                lambda x, *span: (self._stretch(x, media, *span), x), lambda _: True)
            first = result.first_jump
            # Where it led is the same at every replay, the tensors are not.
            self._plans[key] = Pass(_NO_TENSOR, result.executed, result.jumps)
            return result.x, result.x if first is None else first[1]

        y, first_input = self.model.run_path(key, run, x, media)
        known = self._plans[key]
        first_jump = (known.jumps[0][0], first_input) if known.jumps else None
        return Pass(y, list(known.executed), list(known.jumps), first_jump)

    def _run(self, x: torch.Tensor, first_layer: int, decides: Callable[[int], bool],
             stretch: Callable[..., tuple[torch.Tensor, torch.Tensor]],
             leaves: Callable[[torch.Tensor], bool]) -> Pass:
        """Stretch by stretch, each up to the next layer at which a jump is decided.

        Args:
            x: (1, S, d) input of ``first_layer``.
            first_layer: The layers before it have run.
            decides: Whether a jump out of its group is to be decided before a layer.
            stretch: (x, jump, first, stop) -> output and what ``leaves`` is told; runs the adapter
                at ``jump`` (-1: none), then layers ``first`` to ``stop`` - 1.
            leaves: Whether to jump.
        """
        result, n = Pass(x, list(range(first_layer))), len(self.layers)
        jump, first, stop = -1, first_layer, first_layer
        while True:
            while stop < n and not decides(stop):
                stop += 1
            x, told = stretch(x, jump, first, stop)
            result.executed += range(first, stop)
            if stop == n:
                result.x = x
                return result
            if leaves(told):
                if result.first_jump is None:
                    result.first_jump = (stop, x)
                result.jumps.append((stop, self.landing[stop]))
                jump, first, stop = stop, self.landing[stop], self.landing[stop]
            else:
                jump, first, stop = -1, stop, stop + 1

    def _stretch(self, x: torch.Tensor, media: torch.Tensor, jump: int, first: int,
                 stop: int) -> torch.Tensor:
        if jump >= 0:
            x = self.adapters[jump](x)  # type: ignore[misc]
        for layer in self.layers[first:stop]:
            x = layer(x, media)
        return x
