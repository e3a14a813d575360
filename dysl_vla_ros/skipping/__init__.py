# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dynamic-static layer skipping on a frozen network, and the policy that uses it (torch only)."""
