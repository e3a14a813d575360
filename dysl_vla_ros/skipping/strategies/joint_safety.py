# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When DySL-joint must not skip, whatever its gate says (design/method.md 15.4 and 15.5).

Caps are known before the pass: it then runs all layers. Alarms are seen in the skipped pass's own
outcome: the step is predicted again with all layers before anything is executed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import math

import numpy as np
import torch

from dysl_vla_ros.model.action_head import HeadOutput
from dysl_vla_ros.skipping.step import GroupReason
from dysl_vla_ros.skipping.strategy import Frame, PolicyState

SIGNALS = ('disagreement', 'gripper_margin', 'latent_change')


@dataclass(frozen=True)
class JointSafety:
    """Caps and alarms; by default there are none.

    Attributes:
        max_skipped: Consecutive skipped passes at most (r_max); 0: any number.
        dense_on_events: All layers at the first step of an instruction, after an aborted step,
            over a stale history, and wherever the gripper command changes.
        stale_s: Time between two observations beyond which the history is stale.
        max_disagreement: Alarm if the pose is farther (RMS over six values) from that of the last
            pass with all layers; 0: off.
        min_gripper_margin: Alarm if |p - 0.5| of the gripper probability is less; 0: off.
        max_latent_change: Alarm if the mean latents of a camera changed by more since the last
            step, relative to their length; 0: off.
    """

    max_skipped: int = 0
    dense_on_events: bool = False
    stale_s: float = 0.5
    max_disagreement: float = 0.0
    min_gripper_margin: float = 0.0
    max_latent_change: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for a value that means nothing."""
        numbers = (self.max_skipped, self.max_disagreement, self.min_gripper_margin,
                   self.max_latent_change)
        if not all(0 <= n < math.inf for n in numbers) or not 0 < self.stale_s < math.inf:
            raise ValueError(f'expected stale_s > 0 and other numbers >= 0, all finite: {self}')

    @property
    def has_alarms(self) -> bool:
        """Whether a skipped pass is looked at again."""
        return self.dense_on_events or max(
            self.max_disagreement, self.min_gripper_margin, self.max_latent_change) > 0


NO_SAFETY = JointSafety()


@dataclass(frozen=True)
class JointMemory:
    """What DySL-joint remembers between steps; replaced by a commit like all state.

    Attributes:
        skipped: Consecutive steps whose committed pass skipped layers.
        dense_pose: (6,) of the last committed pass with all layers.
        latents: (2, width) mean latent per camera of the last step; None where no alarm needs it.
    """

    skipped: int = 0
    dense_pose: np.ndarray | None = None
    latents: torch.Tensor | None = None


def capped(safety: JointSafety, frame: Frame, state: PolicyState,
           memory: JointMemory) -> GroupReason | None:
    """Why this pass must run all layers, or None."""
    if safety.dense_on_events:
        if state.index == 0:
            return GroupReason.WARMUP
        gap_s = 1e-9 * (frame.stamp_ns - state.stamp_ns)
        is_stale = frame.stamp_ns > 0 < state.stamp_ns and not 0 <= gap_s <= safety.stale_s
        if frame.is_after_abort or is_stale or _gripper_changed(state.recent):
            return GroupReason.FORCED
    if safety.max_skipped and memory.skipped >= safety.max_skipped:
        return GroupReason.FORCED
    return None


def _gripper_changed(recent: Sequence[np.ndarray]) -> bool:
    return len(recent) > 1 and recent[-1][6] != recent[-2][6]


def signals(output: HeadOutput, memory: JointMemory,
            latents: torch.Tensor | None) -> dict[str, float]:
    """What the alarms look at, NaN while undefined; reads the device."""
    pose = output.pose[0].cpu().numpy()
    values = dict.fromkeys(SIGNALS, math.nan)
    values['gripper_margin'] = abs(float(output.gripper_logit.sigmoid()) - 0.5)
    if memory.dense_pose is not None:
        values['disagreement'] = pose_distance(pose, memory.dense_pose)
    if latents is not None and memory.latents is not None:
        change = (latents - memory.latents).norm(dim=-1) / memory.latents.norm(dim=-1)
        values['latent_change'] = float(change.max())
    return values


def alarmed(safety: JointSafety, output: HeadOutput, seen: dict[str, float],
            recent: Sequence[np.ndarray]) -> bool:
    """Whether the skipped pass must be predicted again.

    NaN compares false: an undefined signal raises no alarm.
    """
    is_opening = float(output.gripper_logit) > 0
    return (safety.dense_on_events and bool(recent) and is_opening != (recent[-1][6] > 0)) \
        or (safety.max_disagreement > 0 and seen['disagreement'] > safety.max_disagreement) \
        or seen['gripper_margin'] < safety.min_gripper_margin \
        or (safety.max_latent_change > 0 and seen['latent_change'] > safety.max_latent_change)


def pose_distance(a: np.ndarray, b: np.ndarray) -> float:
    """RMS over six pose values."""
    return float(np.sqrt(np.mean((a[:6] - b[:6]) ** 2)))
