# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Names of the arrays of a packed demonstration folder, written and read by this room."""

ARRAYS = ('rgb_static', 'rgb_gripper', 'robot_obs', 'scene_obs', 'actions')
