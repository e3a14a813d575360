# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The quality-of-service profiles of our topics, by kind (design/interfaces.md section 9)."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _profile(depth: int, reliable: bool, latched: bool = False) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=(DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE))


# Cameras and proprioception: best effort matches every publisher, old frames are useless.
SENSOR = _profile(1, reliable=False)


def sensor(reliability: ReliabilityPolicy) -> QoSProfile:
    """The profile of cameras and proprioception with another reliability."""
    return _profile(1, reliability == ReliabilityPolicy.RELIABLE)


# Actions: the receiver must not miss one, and a late one is worse than none.
COMMAND = _profile(1, reliable=True)
# Their sender keeps three seconds: a recorder that falls behind must not miss one either.
COMMAND_OFFER = _profile(100, reliable=True)
# Statistics: a reader may be slow.
STATISTICS = _profile(100, reliable=True)
# Instruction, task status, description: late joiners get the newest value.
LATCHED = _profile(1, reliable=True, latched=True)
# /clock, /diagnostics.
CLOCK = _profile(1, reliable=False)
DIAGNOSTICS = _profile(1, reliable=True)
