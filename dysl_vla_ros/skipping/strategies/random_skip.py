# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Random skipping at a given budget: what a decision is worth (design/method.md 16.4)."""

from collections.abc import Sequence
import itertools
import math
import zlib

import numpy as np

from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.executor import LayerExecutor, Pass
from dysl_vla_ros.skipping.modules import SkipModules
from dysl_vla_ros.skipping.partition import LayerPartition
from dysl_vla_ros.skipping.step import GroupTrace
from dysl_vla_ros.skipping.strategies.dysl import trace_groups
from dysl_vla_ros.skipping.strategy import Frame, PassStrategy, PolicyState

Plan = tuple[int, ...]  # the layer at which each group is left; its landing layer: no jump
_MAX_PLANS = 100_000


def plans_by_cost(partition: LayerPartition) -> dict[int, list[Plan]]:
    """Every choice of at most one jump per group, by the number of layers it runs."""
    choices = [range(g.first, g.landing + 1) for g in partition.groups]
    if np.prod([float(len(c)) for c in choices]) > _MAX_PLANS:
        # Too many to list: the same relative place in every group.
        depth = max(len(c) for c in choices)
        listed = [tuple(c[round(i * (len(c) - 1) / (depth - 1))] for c in choices)
                  for i in range(depth)]
    else:
        listed = list(itertools.product(*choices))
    result: dict[int, list[Plan]] = {}
    for plan in listed:
        result.setdefault(plan_cost(partition, plan), []).append(plan)
    return result


def plan_cost(partition: LayerPartition, plan: Sequence[int]) -> int:
    """Layers that a plan runs."""
    return partition.n_layers - sum(g.landing - p for g, p in
                                    zip(partition.groups, plan, strict=True))


class RandomSkip(PassStrategy):
    """Draws a plan per step from two neighbouring costs, so that the mean meets the budget.

    The draw is a function of seed, instruction and step index: a repeated step draws the same.
    """

    def __init__(self, model: DySLVLA, modules: SkipModules, mean_layers: float, seed: int = 0,
                 use_adapters: bool = True) -> None:
        """Use the adapters of DySL, or none: then a jump hands its input on unchanged.

        Raises:
            ConfigError: If no plan is as cheap as ``mean_layers``.
        """
        super().__init__(model, 'random', modules, {
            'mean_layers': mean_layers, 'seed': seed, 'use_adapters': use_adapters})
        self.partition, self.seed = modules.partition, seed
        self.executor = LayerExecutor(model, modules)
        self.plans = plans_by_cost(self.partition)
        costs = sorted(self.plans)
        if not costs[0] <= mean_layers <= costs[-1]:
            raise ConfigError(f'random: mean_layers {mean_layers} must lie in {costs[0]}.., the '
                              f'cheapest plan, {costs[-1]}')
        self.low = max(c for c in costs if c <= mean_layers)
        self.high = min(c for c in costs if c >= mean_layers)
        self.share_high = (mean_layers - self.low) / max(1, self.high - self.low)
        if not use_adapters:
            self.executor.drop_adapters()

    def _draw(self, instruction: str, index: int) -> Plan:
        rng = np.random.default_rng([self.seed, zlib.crc32(instruction.encode()), index])
        # The dearer cost comes at even intervals: the mean never exceeds the budget.
        is_high = math.floor((index + 1) * self.share_high + 1e-9) \
            > math.floor(index * self.share_high + 1e-9)
        plans = self.plans[self.high if is_high else self.low]
        return plans[rng.integers(len(plans))]

    def run(self, frame: Frame, state: PolicyState) -> Pass:
        """Run the plan of this step."""
        plan = self._draw(frame.instruction, state.index)
        return self.executor.run_plan(frame.prompt, frame.media, plan)

    def groups(self, result: Pass, state: PolicyState) -> tuple[GroupTrace, ...]:
        """Where each group was left."""
        return trace_groups(self.partition, result, [g.first for g in self.partition.groups])
