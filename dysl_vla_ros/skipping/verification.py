# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Post verification: when a step is predicted again with all layers (design/method.md 8)."""

import math

from dysl_vla_ros.skipping.config import SkippingConfig


def must_verify(change: float, previous_change: float, has_jump: bool,
                steps_since_verification: int, config: SkippingConfig) -> bool:
    """Whether the proposed action is the first sharp drop of continuity.

    Args:
        change: C_t - C_{t-1} of the proposal; NaN while undefined.
        previous_change: C_{t-1} - C_{t-2}; NaN while undefined.
        has_jump: Without a jump the dense pass would give the same action.
        steps_since_verification: For the refractory period.
        config: Thresholds.
    """
    if config.verify_always:
        return has_jump
    if not (config.use_post and has_jump) or math.isnan(change) or math.isnan(previous_change):
        return False
    if steps_since_verification <= config.refractory_steps:
        return False
    return change < config.drop_threshold and previous_change > config.drop_threshold
