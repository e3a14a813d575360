# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Demonstration files: CALVIN's layout read and written safely, export. numpy only, no torch."""
