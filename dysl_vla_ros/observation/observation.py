# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The observation a policy sees at one control step."""

from dataclasses import dataclass

import numpy as np

from dysl_vla_ros.errors import ContractError

ROBOT_OBS_SIZE, SCENE_OBS_SIZE, TARGET_SIZE = 15, 24, 6


@dataclass(frozen=True, eq=False)
class SceneState:
    """Privileged state of the simulated world: what no camera or arm measures.

    Attributes:
        scene: Name of the scene, such as ``calvin_scene_D``; decides the order of the blocks.
        robot_obs: (15,) float64 in CALVIN's layout, measured without any rounding.
        scene_obs: (24,) float64 in CALVIN's layout (doors, lights, block poses).
        target: (6,) float64 pose target stored in the simulated arm's controller, to which
            relative actions are added (metres, fixed-axis xyz Euler angles in radians).
    """

    scene: str
    robot_obs: np.ndarray
    scene_obs: np.ndarray
    target: np.ndarray

    def __post_init__(self) -> None:
        """Raise ContractError for a wrong shape or a value that is not finite."""
        for name, size in SCENE_STATE_SIZES.items():
            value = getattr(self, name)
            if value.shape != (size,) or not np.isfinite(value).all():
                raise ContractError(f'scene state: {name}: expected {size} finite values, got '
                                    f'shape {value.shape}: {value}')


SCENE_STATE_SIZES = {'robot_obs': ROBOT_OBS_SIZE, 'scene_obs': SCENE_OBS_SIZE,
                     'target': TARGET_SIZE}


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
        scene: Privileged state, for scripted policies in simulation only.
    """

    rgb_static: np.ndarray
    rgb_gripper: np.ndarray
    robot_obs: np.ndarray | None = None
    stamp_ns: int = 0
    scene: SceneState | None = None

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
