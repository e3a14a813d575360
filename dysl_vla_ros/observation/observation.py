# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The observation a policy sees at one control step."""

from dataclasses import dataclass

import numpy as np

from dysl_vla_ros.errors import ContractError

ROBOT_OBS_SIZE = 15


@dataclass(frozen=True)
class Observation:
    """One aligned observation.

    Attributes:
        rgb_static: (H, W, 3) uint8 RGB of the static camera.
        rgb_gripper: (H, W, 3) uint8 RGB of the gripper camera.
        robot_obs: (15,) float64 proprioception in CALVIN's layout (TCP position in metres,
            TCP fixed-axis xyz Euler angles in radians, gripper width in metres, seven joint
            angles in radians, last gripper command -1/+1), or None if the policy needs none.
        stamp_ns: Time of exposure in nanoseconds, on the clock of the node that made it.
    """

    rgb_static: np.ndarray
    rgb_gripper: np.ndarray
    robot_obs: np.ndarray | None = None
    stamp_ns: int = 0

    def __post_init__(self) -> None:
        """Raise ContractError for a wrong shape, dtype or non-finite proprioception."""
        for name in ('rgb_static', 'rgb_gripper'):
            image = getattr(self, name)
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
                raise ContractError(f'{name}: expected a (H, W, 3) uint8 RGB image, got shape '
                                    f'{image.shape} and dtype {image.dtype}')
        if self.robot_obs is not None:
            if self.robot_obs.shape != (ROBOT_OBS_SIZE,):
                raise ContractError(f'robot_obs: expected shape ({ROBOT_OBS_SIZE},), got '
                                    f'{self.robot_obs.shape}')
            if not np.isfinite(self.robot_obs).all():
                raise ContractError(f'robot_obs: not finite: {self.robot_obs}')
