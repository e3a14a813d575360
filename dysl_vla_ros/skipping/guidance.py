# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Prior guidance: skipping-allow points moved by continuity (design/method.md section 7)."""

import math

from dysl_vla_ros.skipping.config import SkippingConfig
from dysl_vla_ros.skipping.partition import LayerPartition


def initial_allow_points(partition: LayerPartition) -> tuple[int, ...]:
    """l_i = first dynamic layer of every group: controllers active everywhere."""
    return tuple(group.first for group in partition.groups)


def move_allow_points(points: tuple[int, ...], change: float, partition: LayerPartition,
                      config: SkippingConfig) -> tuple[int, ...]:
    """Update every l_i after a step whose continuity changed by ``change``.

    A larger point forces more layers; at the landing layer nothing of the group is skipped.
    'project' moves forward at once and in proportion to a drop and back slowly, as the paper's
    text says. 'printed' is the formula as printed, ceil(dC / eta), whose sign contradicts the
    text; 'swapped' has its operands exchanged.

    Raises:
        ValueError: If ``change`` is not finite.
    """
    if not math.isfinite(change):
        raise ValueError(f'continuity change must be finite, got {change}')
    if config.guidance == 'printed':
        shift = math.ceil(change / config.stride)
    elif config.guidance == 'swapped' or change < config.drop_threshold:
        shift = math.ceil(-change / config.stride)
    elif change > config.recovery_threshold:
        shift = -config.release
    else:
        shift = 0
    return tuple(min(max(point + shift, group.first), group.landing)
                 for point, group in zip(points, partition.groups, strict=True))
