# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""DySL-joint (ours): one decision per pass for all groups, after the first static layer.

Plans are nested sets of jumps. A gate predicts for each plan an upper quantile of the action
error it adds to the dense pass, as measured on demonstrations; the cheapest plan below a
threshold runs. One host read per pass (design/method.md 15.1 to 15.3). Caps and alarms, where
configured, run all layers instead (15.4 and 15.5).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
import math
from time import perf_counter

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from dysl_vla_ros.configuration import to_mapping
from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model.action_head import HeadOutput
from dysl_vla_ros.model.fast_linear import FastLinear
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.executor import LayerExecutor, Pass
from dysl_vla_ros.skipping.modules import Adapter, mean_and_peak
from dysl_vla_ros.skipping.partition import LayerPartition
from dysl_vla_ros.skipping.step import GroupReason, SkipTrace
from dysl_vla_ros.skipping.strategies.dysl import action_change, trace_groups
from dysl_vla_ros.skipping.strategies.joint_safety import (
    NO_SAFETY,
    JointMemory,
    JointSafety,
    alarmed,
    capped,
    signals,
)
from dysl_vla_ros.skipping.strategies.random_skip import Plan, plan_cost
from dysl_vla_ros.skipping.strategy import (
    Frame,
    PassStrategy,
    PolicyState,
    Proposal,
    executed_flags,
)

MOTION_SIZE = 14  # last action (7), its change (6), whether there is one (1)


def nested_plans(partition: LayerPartition, count: int) -> tuple[Plan, ...]:
    """At most ``count`` plans from the cheapest to the one without a jump.

    Every group is left at the same relative depth, so that a dearer plan runs all the layers of a
    cheaper one.
    """
    plans: list[Plan] = []
    for step in np.linspace(0.0, 1.0, count):
        plan = tuple(g.first + round(float(step) * (g.landing - g.first))
                     for g in partition.groups)
        if plan not in plans:
            plans.append(plan)
    return tuple(plans)


class JointModules(nn.Module):
    """Adapters at the jumps of the plans, and the gate."""

    def __init__(self, partition: LayerPartition, plans: Sequence[Plan], d_model: int,
                 media_width: int, adapter_rank: int, hidden: int) -> None:
        """Build one adapter per jump; the last plan has none."""
        super().__init__()
        self.partition = partition
        jumps = sorted({p for plan in plans for p, g in zip(plan, partition.groups, strict=True)
                        if p < g.landing})
        self.adapters = nn.ModuleDict({str(j): Adapter(d_model, adapter_rank) for j in jumps})
        self.norm = nn.LayerNorm(2 * d_model + 2 * media_width)
        self.hidden = FastLinear(2 * d_model + 2 * media_width + MOTION_SIZE, hidden)
        self.out = FastLinear(hidden, len(plans) - 1)
        self.distance = FastLinear(hidden, len(plans) - 1)  # auxiliary target, training only

    def gate(self, x: torch.Tensor, media: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
        """Predicted error gain per plan but the dense one, larger is worse.

        Args:
            x: (B, S, d) output of the first static layer.
            media: (B, M, width) latents, static camera first.
            motion: (B, MOTION_SIZE), see ``motion_features``.

        Returns:
            (B, plans - 1), in the order of the plans.
        """
        return self.out(self._hidden(self.pool(x, media), motion))

    def predict(self, pooled: torch.Tensor,
                motion: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Error gain and distance to the dense action, both (B, plans - 1)."""
        hidden = self._hidden(pooled, motion)
        return self.out(hidden), self.distance(hidden)

    def pool(self, x: torch.Tensor, media: torch.Tensor,
             mask: torch.Tensor | None = None) -> torch.Tensor:
        """Mean and maximum over real tokens, mean latent per camera: (B, 2 d + 2 width)."""
        cameras = media.unflatten(1, (2, -1)).mean(dim=2).flatten(1)  # (B, 2 * width)
        return torch.cat((*mean_and_peak(x, mask), cameras), dim=-1)

    def _hidden(self, pooled: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
        return functional.gelu(self.hidden(torch.cat((self.norm(pooled), motion), dim=-1)))


def motion_features(recent: Sequence[np.ndarray]) -> np.ndarray:
    """(MOTION_SIZE,) float32 from committed actions (7,): last one, its change, whether any."""
    result = np.zeros(MOTION_SIZE, np.float32)
    if recent:
        result[:7], result[13] = recent[-1], 1.0
    if len(recent) > 1:
        result[7:13] = recent[-1][:6] - recent[-2][:6]
    return result


class JointGate(PassStrategy):
    """Runs the cheapest plan whose predicted error is at most ``threshold``, within its caps."""

    def __init__(self, model: DySLVLA, modules: JointModules, plans: Sequence[Plan],
                 threshold: float, safety: JointSafety = NO_SAFETY) -> None:
        """Prepare the plans.

        Args:
            model: The frozen network.
            modules: Adapters and gate.
            plans: From cheap to dense.
            threshold: Largest predicted error that is allowed.
            safety: When all layers run whatever the gate says.

        Raises:
            ConfigError: If the plans do not go from cheap to dense.
        """
        partition = modules.partition
        costs = [plan_cost(partition, plan) for plan in plans]
        if costs != sorted(set(costs)) or costs[-1] != model.n_layers:
            raise ConfigError(f'dysl_joint: plans must cost more and more layers up to '
                              f'{model.n_layers}, got {costs}')
        super().__init__(model, 'dysl_joint', modules, {
            'static_layers': list(partition.static), 'plans': [list(p) for p in plans],
            'costs': costs, 'threshold': threshold, 'safety': to_mapping(safety)})
        self.joint, self.partition, self.plans = modules, partition, [tuple(p) for p in plans]
        self.threshold, self.safety = threshold, safety
        self.executor = LayerExecutor(model, modules)
        self.dense_plan = len(self.plans) - 1
        # Told the signals of every skipped pass, for calibration.
        self.on_signals: Callable[[dict[str, float]], None] | None = None

    def run(self, frame: Frame, state: PolicyState) -> Pass:
        """First layer, decision, the rest."""
        return self._run(frame, state, None)

    def _run(self, frame: Frame, state: PolicyState, cap: GroupReason | None) -> Pass:
        media = frame.media
        x = self.model.decode(frame.prompt, media, 0, 1)
        plan = self.dense_plan
        if cap is None:
            motion = torch.from_numpy(motion_features(state.recent))[None].to(x)
            allowed = self.joint.gate(x, media, motion)[0] <= self.threshold
            plan = int(functional.pad(allowed, (0, 1), value=True).byte().argmax())
        return self.executor.run_plan(x, media, self.plans[plan], 1)

    def propose(self, frame: Frame, state: PolicyState) -> Proposal:
        """One pass; a second one with all layers if its outcome raises an alarm."""
        _ = frame.media  # vision is not the decoder's time
        safety, memory = self.safety, state.memory or JointMemory()
        begin = perf_counter()
        cap = capped(safety, frame, state, memory)
        result = self._run(frame, state, cap)
        decoder_s = perf_counter() - begin
        begin = perf_counter()
        output = self.peek(result.x, frame, state)
        head_s = perf_counter() - begin
        latents = frame.media.unflatten(1, (2, -1)).mean(dim=2)[0] \
            if safety.max_latent_change > 0 or self.on_signals is not None else None
        total, change, override = len(result.executed), math.nan, cap
        if result.first_jump is not None and self._must_verify(output, memory, latents, state):
            begin = perf_counter()
            first, given_up = result.first_jump, output
            dense = self.executor.run_dense(first[1], frame.media, first[0])
            total += len(dense.executed)
            # Layers before the first jump are the same in both passes.
            result = Pass(dense.x, list(range(first[0])) + dense.executed)
            decoder_s += perf_counter() - begin
            begin = perf_counter()
            output = self.peek(result.x, frame, state)
            head_s += perf_counter() - begin
            change, override = action_change(given_up, output), GroupReason.VERIFIED
        is_dense = not result.jumps
        if safety != NO_SAFETY or self.on_signals is not None:
            memory = JointMemory(
                0 if is_dense else memory.skipped + 1,
                output.pose[0].cpu().numpy() if is_dense else memory.dense_pose, latents)
        trace = SkipTrace(
            executed_flags(result, self.model.n_layers), total,
            trace_groups(self.partition, result, self._allow_points, override), math.nan,
            math.nan, override is GroupReason.VERIFIED, change)
        return Proposal(output, replace(state, head=output.state, memory=memory), trace,
                        decoder_s, head_s)

    def _must_verify(self, output: HeadOutput, memory: JointMemory,
                     latents: torch.Tensor | None, state: PolicyState) -> bool:
        if not self.safety.has_alarms and self.on_signals is None:
            return False
        seen = signals(output, memory, latents)
        if self.on_signals is not None:
            self.on_signals(seen)
        return alarmed(self.safety, output, seen, state.recent)

    @property
    def _allow_points(self) -> list[int]:
        return [g.first for g in self.partition.groups]
