# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The dataset's relative actions from absolute ones.

They are not what the environment integrates: the difference to the measured pose is clipped to
one step, so a label never asks for more than the arm is meant to move in 1/30 s.
Source: design/calvin.md section 3.3.
"""

import numpy as np

from dysl_vla_ros.control.action_spec import MAX_POSITION_STEP_M, MAX_ROTATION_STEP_RAD
from dysl_vla_ros.errors import ContractError


def wrap_angle(angle_rad: np.ndarray) -> np.ndarray:
    """Wrap angles in radians to (-pi, pi]; values already inside come back bit for bit."""
    angle = np.asarray(angle_rad, dtype=np.float64)
    wrapped = -((-angle + np.pi) % (2 * np.pi) - np.pi)
    return np.where((angle > -np.pi) & (angle <= np.pi), angle, wrapped)


def relative_from_absolute(action: np.ndarray, robot_obs: np.ndarray) -> np.ndarray:
    """Convert an absolute action to CALVIN's ``rel_actions``.

    Args:
        action: (7,) TCP position in metres, fixed-axis Euler in radians (world), gripper -1 or 1.
        robot_obs: (15,) state; only the measured TCP pose in its first six values is used.

    Returns:
        (7,) float64: units of 0.02 m and 0.05 rad, clipped to [-1, 1]; gripper copied.

    Raises:
        ContractError: For a wrong shape or a non-finite value.
    """
    target, state = np.asarray(action, np.float64), np.asarray(robot_obs, np.float64)
    if target.shape != (7,) or state.ndim != 1 or len(state) < 6:
        raise ContractError(f'expected action (7,) and robot_obs (15,), got {target.shape} and '
                            f'{state.shape}')
    if not (np.isfinite(target).all() and np.isfinite(state[:6]).all()):
        raise ContractError(f'not finite: action {target}, pose {state[:6]}')
    shift = np.clip((target[:3] - state[:3]) / MAX_POSITION_STEP_M, -1.0, 1.0)
    turn = np.clip(wrap_angle(target[3:6] - state[3:6]) / MAX_ROTATION_STEP_RAD, -1.0, 1.0)
    return np.concatenate((shift, turn, target[6:]))
