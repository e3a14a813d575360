# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MoveIt Servo's rules for incoming twists: units, scaling, staleness. Both directions.

Source: design/interfaces.md section 3.1 (MoveIt Servo 2.12).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Units = Literal['unitless', 'speed_units']
# Full-scale speeds of CALVIN's actions at 30 Hz; the angular one is the worst case over pitch.
_FULL_LINEAR_M_S = 0.6 * np.sqrt(3.0)
_FULL_ANGULAR_RAD_S = 3.354


@dataclass(frozen=True)
class ServoUnits:
    """How a twist message is meant.

    Attributes:
        units: ``unitless``: value times scale, not clamped. ``speed_units``: m/s and rad/s, each
            vector clamped to its scale.
        linear_m_s: Servo's ``scale.linear``.
        angular_rad_s: Servo's ``scale.rotational``.
    """

    units: Units = 'speed_units'
    linear_m_s: float = 0.4
    angular_rad_s: float = 0.8

    def encode(self, linear_m_s: np.ndarray, angular_rad_s: np.ndarray,
               ) -> tuple[np.ndarray, np.ndarray]:
        """Velocities (3,), (3,) to the values of the message."""
        if self.units == 'speed_units':
            return linear_m_s, angular_rad_s
        return linear_m_s / self.linear_m_s, angular_rad_s / self.angular_rad_s

    def decode(self, linear: np.ndarray, angular: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values of a message to the velocities that Servo executes, m/s and rad/s."""
        if self.units == 'unitless':
            return linear * self.linear_m_s, angular * self.angular_rad_s
        return _clamped(linear, self.linear_m_s), _clamped(angular, self.angular_rad_s)


def _clamped(vector: np.ndarray, limit: float) -> np.ndarray:
    norm = float(np.linalg.norm(vector))
    return vector * (limit / norm) if norm > limit else vector


def is_stale(now_ns: int, stamp_ns: int, timeout_ns: int) -> bool:
    """Whether Servo ignores a command of this stamp; a stamp in the future is never stale."""
    return now_ns - stamp_ns >= timeout_ns


def sufficient_stretch(max_linear_m_s: float, max_angular_rad_s: float) -> float:
    """The factor by which CALVIN's 30 Hz must be slowed so that no action exceeds the limits."""
    return float(max(1.0, _FULL_LINEAR_M_S / max_linear_m_s,
                     _FULL_ANGULAR_RAD_S / max_angular_rad_s))
