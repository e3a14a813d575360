# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""DySL itself: controllers decide layer by layer, continuity guards them.

Prior guidance, verification and the ablations that switch them off: design/method.md 5 to 9.
"""

from collections.abc import Sequence
from dataclasses import replace
import math
from time import perf_counter
from typing import Any

import numpy as np

from dysl_vla_ros.configuration import to_mapping
from dysl_vla_ros.model.action_head import HeadOutput
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.config import SkippingConfig
from dysl_vla_ros.skipping.continuity import continuity
from dysl_vla_ros.skipping.executor import LayerExecutor, Pass
from dysl_vla_ros.skipping.guidance import initial_allow_points, move_allow_points
from dysl_vla_ros.skipping.modules import SkipModules
from dysl_vla_ros.skipping.partition import LayerPartition
from dysl_vla_ros.skipping.step import GroupReason, GroupTrace, SkipTrace
from dysl_vla_ros.skipping.strategy import Frame, PolicyState, Proposal, executed_flags
from dysl_vla_ros.skipping.verification import must_verify


class DySL:
    """Skips where controllers allow it; runs the step again where the motion breaks."""

    def __init__(self, model: DySLVLA, config: SkippingConfig, modules: SkipModules,
                 name: str = 'dysl') -> None:
        """Prepare the layer tables."""
        self.model, self.config, self.modules, self.name = model, config, modules, name
        self.executor = LayerExecutor(model, modules, config.skip_threshold)

    def initial_state(self) -> PolicyState:
        """Controllers active everywhere."""
        return PolicyState(self.model.lm_head.initial_state(),
                           allow_points=initial_allow_points(self.config.partition))

    def describe(self) -> dict[str, Any]:
        """The whole skipping configuration."""
        return to_mapping(self.config)

    def propose(self, frame: Frame, state: PolicyState) -> Proposal:
        """One skipping pass and, if its action breaks the motion, the dense one."""
        config, media = self.config, frame.media
        begin = perf_counter()
        is_warm_up = state.index < config.warmup_steps
        if is_warm_up:
            result = self.executor.run_dense(frame.prompt, media)
        else:
            result = self.executor.run_skipping(frame.prompt, media, state.allow_points)
        decoder_end = perf_counter()
        output = self._peek(result, frame, state)
        head_end = perf_counter()
        decoder_s, head_s = decoder_end - begin, head_end - decoder_end

        actions, value, change = self._continuity(output, state)
        previous = state.continuities[-1] - state.continuities[-2] \
            if len(state.continuities) == 2 else math.nan
        first, given_up = result, output
        verified = must_verify(change, previous, bool(result.jumps),
                               state.steps_since_verification, config)
        if verified:
            assert result.first_jump is not None
            begin = perf_counter()
            layer, x = result.first_jump
            dense = self.executor.run_dense(x, media, layer)
            # Layers before the first jump are the same in both passes.
            result = Pass(dense.x, list(range(layer)) + dense.executed)
            decoder_end = perf_counter()
            output = self._peek(result, frame, state)
            head_end = perf_counter()
            decoder_s += decoder_end - begin
            head_s += head_end - decoder_end
            actions, value, change = self._continuity(output, state)
        points = state.allow_points
        if config.use_prior and not math.isnan(change):
            points = move_allow_points(points, change, config.partition, config)
        history = state.continuities if math.isnan(value) else (*state.continuities, value)[-2:]
        following = replace(
            state, head=output.state, actions=actions, continuities=history, allow_points=points,
            steps_since_verification=1 if verified else state.steps_since_verification + 1)
        override = GroupReason.VERIFIED if verified else \
            GroupReason.WARMUP if is_warm_up else None
        groups = trace_groups(config.partition, result, state.allow_points, override)
        total = len(first.executed)
        if verified:
            assert first.first_jump is not None
            total += len(result.executed) - first.first_jump[0]
        trace = SkipTrace(executed_flags(result, self.model.n_layers), total, groups, value,
                          change, verified, action_change(given_up, output) if verified
                          else math.nan)
        return Proposal(output, following, trace, decoder_s, head_s)

    def _peek(self, result: Pass, frame: Frame, state: PolicyState) -> HeadOutput:
        feature = self.model.pool(result.x, None, frame.robot_obs)
        return self.model.lm_head.peek(feature, state.head)

    def _continuity(self, output: HeadOutput,
                    state: PolicyState) -> tuple[tuple[np.ndarray, ...], float, float]:
        values = output.pose[0].cpu().numpy()
        if self.config.include_gripper:
            values = np.append(values, 1.0 if float(output.gripper_logit) > 0 else -1.0)
        actions = (*state.actions, values)[-(self.config.window + 1):]
        value = continuity(actions, self.config.window)
        earlier = state.continuities
        return actions, value, value - earlier[-1] if earlier else math.nan


def action_change(given_up: HeadOutput, output: HeadOutput) -> float:
    """RMS over six pose values of two predictions; infinite if the gripper commands differ."""
    if bool(given_up.gripper_logit > 0) != bool(output.gripper_logit > 0):
        return math.inf
    return float((given_up.pose - output.pose).square().mean().sqrt())


def trace_groups(partition: LayerPartition, result: Pass, allow_points: Sequence[int],
                 override: GroupReason | None = None) -> tuple[GroupTrace, ...]:
    """One entry per group of dynamic layers; ``override`` is a reason that holds for all."""
    jumps, groups = dict(result.jumps), []
    for group, allow_point in zip(partition.groups, allow_points, strict=True):
        jump = next((j for j in jumps if group.first <= j <= group.last), -1)
        if override is not None:
            reason = override
        elif jump >= 0:
            reason = GroupReason.SKIPPED
        else:
            reason = GroupReason.FORCED if allow_point > group.last else GroupReason.KEPT
        groups.append(GroupTrace(group.first, group.last, reason, jump, allow_point))
    return tuple(groups)
