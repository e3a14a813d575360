# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network: vision tower, resampler, gated cross-attention, MPT decoder, action head."""
