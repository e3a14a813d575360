# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The commanded pose: what CALVIN's relative actions add up to, and how one step turns the tool.

CALVIN keeps a target (position, fixed-axis Euler angles) and adds every action to it
componentwise. Twist and pose outputs act on this target, so that a consumer which integrates
them reproduces CALVIN's path. Source: design/interfaces.md section 7.
"""

from dataclasses import dataclass

import numpy as np

from dysl_vla_ros.control.action_spec import MAX_POSITION_STEP_M, MAX_ROTATION_STEP_RAD
from dysl_vla_ros.control.rotations import (
    euler_from_quaternion,
    euler_step_to_rotation_vector,
    multiply,
    nearest_euler,
    quaternion_from_euler,
    quaternion_from_rotation_vector,
)


@dataclass(frozen=True)
class Pose:
    """A pose of the tool centre point.

    Attributes:
        position_m: (3,) metres.
        euler_rad: (3,) fixed-axis roll, pitch, yaw; may be outside (-pi, pi] (accumulated).
    """

    position_m: np.ndarray
    euler_rad: np.ndarray

    @classmethod
    def from_quaternion(cls, position_m: np.ndarray, quaternion: np.ndarray) -> 'Pose':
        """Build from a quaternion (x, y, z, w) of any length."""
        return cls(np.array(position_m, np.float64), euler_from_quaternion(quaternion))

    @property
    def quaternion(self) -> np.ndarray:
        """(4,) unit quaternion x, y, z, w."""
        return quaternion_from_euler(self.euler_rad)

    def added(self, action: np.ndarray) -> 'Pose':
        """The pose after a (7,) relative action, componentwise as CALVIN does."""
        return Pose(self.position_m + MAX_POSITION_STEP_M * action[:3],
                    self.euler_rad + MAX_ROTATION_STEP_RAD * action[3:6])

    def moved(self, shift_m: np.ndarray, turn_rad: np.ndarray) -> 'Pose':
        """The pose after a translation and a rotation vector, both along the frame's axes."""
        turned = multiply(quaternion_from_rotation_vector(turn_rad), self.quaternion)
        return Pose(self.position_m + shift_m, nearest_euler(turned, self.euler_rad))

    def interpolated(self, other: 'Pose', fraction: float) -> 'Pose':
        """The pose at ``fraction`` of the way to another (straight line, one rotation axis)."""
        if fraction >= 1.0:
            return other
        turn = euler_step_to_rotation_vector(self.euler_rad, other.euler_rad - self.euler_rad)
        return self.moved(fraction * (other.position_m - self.position_m), fraction * turn)

    def step_to(self, other: 'Pose') -> tuple[np.ndarray, np.ndarray]:
        """Translation in metres and rotation vector in radians that lead to another pose."""
        return (other.position_m - self.position_m,
                euler_step_to_rotation_vector(self.euler_rad, other.euler_rad - self.euler_rad))

    def action_to(self, other: 'Pose', gripper: float) -> np.ndarray:
        """The (7,) relative action, CALVIN units, that leads to another pose (not clipped)."""
        return np.concatenate([(other.position_m - self.position_m) / MAX_POSITION_STEP_M,
                               (other.euler_rad - self.euler_rad) / MAX_ROTATION_STEP_RAD,
                               [gripper]])
