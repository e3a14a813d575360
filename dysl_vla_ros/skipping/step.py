# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a policy returns for one control step, and why it ran the layers it ran."""

from dataclasses import dataclass
from enum import IntEnum
import math

import numpy as np


class GroupReason(IntEnum):
    """Why a range of layers ran or did not; values equal InferenceStats.msg."""

    STATIC = 0
    FORCED = 1
    KEPT = 2
    SKIPPED = 3
    VERIFIED = 4
    WARMUP = 5
    DENSE = 6


@dataclass(frozen=True)
class GroupTrace:
    """One group of dynamic layers in one step.

    Attributes:
        first, last: Layer range.
        reason: Outcome of the committed pass.
        jump_from: Layer at which the jump left the group, or -1.
        allow_point: l_i in force during this step.
    """

    first: int
    last: int
    reason: GroupReason
    jump_from: int
    allow_point: int


@dataclass(frozen=True)
class SkipTrace:
    """Skipping of one step.

    Attributes:
        executed: (n_layers,) bool, layers of the committed pass.
        n_executed_total: All layers that ran, an abandoned skipped pass included.
        groups: One entry per group of dynamic layers.
        continuity, continuity_change: C_t and C_t - C_{t-1}; NaN until defined.
        is_verified: Whether the step was predicted again with all layers.
        verified_change: RMS over six pose values between the action that was given up and the
            one predicted again; infinite if the gripper command differs too, NaN without.
    """

    executed: np.ndarray
    n_executed_total: int
    groups: tuple[GroupTrace, ...]
    continuity: float
    continuity_change: float
    is_verified: bool
    verified_change: float = math.nan


@dataclass(frozen=True)
class StepTiming:
    """Wall time per stage in milliseconds."""

    preprocess_ms: float
    vision_ms: float
    decoder_ms: float
    head_ms: float
    total_ms: float


@dataclass(frozen=True)
class Step:
    """One committed control step.

    Attributes:
        action: (7,) float32, CALVIN's relative convention; gripper exactly -1 or +1.
        gripper_probability: Probability that the gripper opens.
        index: 0 at the first step after a reset.
        trace: Which layers ran and why.
        timing: Where the time went.
    """

    action: np.ndarray
    gripper_probability: float
    index: int
    trace: SkipTrace
    timing: StepTiming
