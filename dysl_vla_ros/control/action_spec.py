# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CALVIN's action convention: the one place for its units.

A relative action has seven values [x, y, z, roll, pitch, yaw, gripper]: the first six in units
of the steps below, added componentwise to a stored target in the world frame; the gripper is
exactly -1 (close) or +1 (open). Source: design/calvin.md section 3.3.
"""

CONTROL_RATE_HZ = 30
CONTROL_STEP_NS = 33_333_333  # 1/30 s, rounded down so that stamps are equal in every run
SIMULATED_START_NS = 1_000_000_000  # stamp of an episode's first observation
MAX_POSITION_STEP_M = 0.02
MAX_ROTATION_STEP_RAD = 0.05
ACTION_SIZE = 7
