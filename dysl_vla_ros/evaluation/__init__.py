# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Chains, metrics, recordings and the report (no ROS)."""
