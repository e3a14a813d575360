# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Actions: specification, rotations, targets, limits and lifetime (numpy only)."""
