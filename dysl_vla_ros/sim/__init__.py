# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The CALVIN world in PyBullet: the only room that imports it."""
