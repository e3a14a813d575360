# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fixed-axis roll, pitch, yaw and quaternions (always x, y, z, w)."""

import numpy as np


def quaternion_from_euler(euler_rad: np.ndarray) -> np.ndarray:
    """Convert fixed-axis roll, pitch, yaw to a unit quaternion.

    Args:
        euler_rad: (3,) roll, pitch, yaw in radians, R = Rz(yaw) Ry(pitch) Rx(roll).

    Returns:
        (4,) x, y, z, w.

    Source: design/interfaces.md section 7.2.
    """
    (cr, cp, cy), (sr, sp, sy) = np.cos(np.divide(euler_rad, 2)), np.sin(np.divide(euler_rad, 2))
    return np.array([sr * cp * cy - cr * sp * sy, cr * sp * cy + sr * cp * sy,
                     cr * cp * sy - sr * sp * cy, cr * cp * cy + sr * sp * sy])


def euler_from_quaternion(quaternion: np.ndarray) -> np.ndarray:
    """Convert a quaternion (x, y, z, w; any length > 0) to (3,) fixed-axis roll, pitch, yaw.

    Roll and yaw lie in (-pi, pi], pitch in [-pi/2, pi/2]; at pitch = +-pi/2 only the combination
    of roll and yaw is defined.
    """
    x, y, z, w = np.asarray(quaternion, dtype=np.float64) / np.linalg.norm(quaternion)
    sin_pitch = np.clip(2 * (w * y - z * x), -1.0, 1.0)
    return np.array([np.arctan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)),
                     np.arcsin(sin_pitch),
                     np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))])
