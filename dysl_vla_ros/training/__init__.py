# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Learning: datasets, behaviour cloning, skip-aware distillation, calibration."""
