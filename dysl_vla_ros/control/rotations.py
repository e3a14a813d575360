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


def nearest_euler(quaternion: np.ndarray, reference_rad: np.ndarray) -> np.ndarray:
    """Convert like ``euler_from_quaternion`` but to the branch closest to a reference.

    Every orientation has two roll, pitch, yaw triples, each up to full turns; an accumulated
    target must not jump between them.
    """
    roll, pitch, yaw = euler_from_quaternion(quaternion)
    best = None
    for triple in ((roll, pitch, yaw), (roll + np.pi, np.pi - pitch, yaw + np.pi)):
        turns = np.round((reference_rad - np.array(triple)) / (2 * np.pi))
        candidate = np.array(triple) + 2 * np.pi * turns
        distance = float(np.abs(candidate - reference_rad).max())
        if best is None or distance < best[0]:
            best = distance, candidate
    assert best is not None
    return best[1]


def multiply(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the quaternion of the rotation ``second`` followed by ``first`` (Hamilton)."""
    x1, y1, z1, w1 = first
    x2, y2, z2, w2 = second
    return np.array([w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
                     w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
                     w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
                     w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2])


def rotation_vector(quaternion: np.ndarray) -> np.ndarray:
    """Logarithm of a unit quaternion: (3,) axis times angle in radians, angle in [0, pi].

    Source: design/interfaces.md section 7.2.
    """
    q = np.asarray(quaternion, dtype=np.float64)
    if q[3] < 0:
        q = -q
    sine = float(np.linalg.norm(q[:3]))
    if sine < 1e-12:
        return 2 * q[:3]
    return 2 * np.arctan2(sine, q[3]) / sine * q[:3]


def quaternion_from_rotation_vector(vector_rad: np.ndarray) -> np.ndarray:
    """Exponential: (3,) axis times angle in radians to a unit quaternion."""
    vector = np.asarray(vector_rad, dtype=np.float64)
    angle = float(np.linalg.norm(vector))
    factor = 0.5 if angle < 1e-12 else np.sin(angle / 2) / angle
    return np.append(factor * vector, np.cos(angle / 2))


def euler_step_to_rotation_vector(euler_rad: np.ndarray, delta_rad: np.ndarray) -> np.ndarray:
    """Convert a componentwise Euler step into the rotation it makes.

    Args:
        euler_rad: (3,) fixed-axis roll, pitch, yaw before the step.
        delta_rad: (3,) increments added to the three components.

    Returns:
        (3,) rotation vector in radians along the axes in which the Euler angles are given. The
        increments themselves are **not** it: at yaw 1.5 a pure roll increment turns about an
        axis almost perpendicular to x.

    Source: design/interfaces.md section 7.2.
    """
    before = quaternion_from_euler(euler_rad)
    after = quaternion_from_euler(np.add(euler_rad, delta_rad))
    return rotation_vector(multiply(after, before * np.array([-1.0, -1.0, -1.0, 1.0])))


def rotate(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Rotate (3,) or (N, 3) vectors by one quaternion, or (N, 4) quaternions by one vector."""
    q, v = np.asarray(quaternion, dtype=np.float64), np.asarray(vector, dtype=np.float64)
    axis, w = q[..., :3], q[..., 3:]
    t = 2 * np.cross(axis, v)
    return v + w * t + np.cross(axis, t)
