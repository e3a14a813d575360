# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One file per family of skip strategies; ``skipping/registry.py`` builds them by name."""
