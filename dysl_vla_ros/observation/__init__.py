# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One observation: decoding, alignment by stamp and image preprocessing (numpy, OpenCV)."""
