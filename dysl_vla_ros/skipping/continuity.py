# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Trajectory continuity (paper section 3.3; design/method.md section 6)."""

from collections.abc import Sequence
import itertools
import math

import numpy as np


def continuity(actions: Sequence[np.ndarray], window: int) -> float:
    """C_t = - mean of the last ``window`` ||A_j - A_{j-1}||_2; NaN with fewer than two actions.

    Args:
        actions: Committed actions, oldest first, each a vector in [-1, 1].
        window: k; with fewer differences their mean is used.

    Returns:
        A value <= 0; 0 is perfectly smooth.
    """
    recent = actions[-(window + 1):]
    if len(recent) < 2:
        return math.nan
    total = 0.0
    for previous, current in itertools.pairwise(recent):
        difference = current - previous
        total += math.sqrt(float(np.dot(difference, difference)))
    return -total / (len(recent) - 1)
