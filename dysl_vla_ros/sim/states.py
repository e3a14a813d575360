# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the state vectors a reset is given, before anything moves.

The bounds are wide: recorded states overshoot joint limits a little, and a block may lie on the
floor. They catch swapped vectors, wrong units and damaged files. Layout: design/calvin.md 3.1.
"""

import numpy as np

from dysl_vla_ros.errors import ContractError

ROBOT_OBS_SIZE, SCENE_OBS_SIZE = 15, 24
_ARM_JOINTS_RAD = 4.0
_WIDTH_M = (-0.02, 0.1)
_DOOR_M = (-0.1, 0.5)
_SWITCH_M = (-0.05, 0.15)
_BLOCK_M = 10.0
_EULER_RAD = 4 * np.pi


def check_robot_obs(value: np.ndarray | None) -> np.ndarray | None:
    """Return ``robot_obs`` as (15,) float64; only joints 7-13 and the width are used.

    Raises:
        ContractError: For another shape or type, a value that is not finite, or a used value
            that no Panda can have.
    """
    if value is None:
        return None
    state = _vector('robot_obs', value, ROBOT_OBS_SIZE)
    _within('robot_obs', 'gripper width [m]', state, slice(6, 7), *_WIDTH_M)
    _within('robot_obs', 'arm joint [rad]', state, slice(7, 14), -_ARM_JOINTS_RAD,
            _ARM_JOINTS_RAD)
    return state


def check_scene_obs(value: np.ndarray | None) -> np.ndarray | None:
    """Return ``scene_obs`` as (24,) float64, blocks in the scene's order.

    Raises:
        ContractError: For another shape or type, a value that is not finite, a door, light or
            block where none can be.
    """
    if value is None:
        return None
    state = _vector('scene_obs', value, SCENE_OBS_SIZE)
    _within('scene_obs', 'slide or drawer [m]', state, slice(0, 2), *_DOOR_M)
    _within('scene_obs', 'button or switch [m]', state, slice(2, 4), *_SWITCH_M)
    for index, light in ((4, 'lightbulb'), (5, 'LED')):
        if state[index] not in (0.0, 1.0):
            raise ContractError(f'scene_obs[{index}] ({light}): expected 0 or 1, got '
                                f'{state[index]:g}')
    for first in (6, 12, 18):
        _within('scene_obs', 'block position [m]', state, slice(first, first + 3), -_BLOCK_M,
                _BLOCK_M)
        _within('scene_obs', 'block Euler angle [rad]', state, slice(first + 3, first + 6),
                -_EULER_RAD, _EULER_RAD)
    return state


def _vector(name: str, value: np.ndarray, size: int) -> np.ndarray:
    try:
        raw = np.asarray(value)
        if raw.dtype.kind not in 'iuf':
            raise TypeError(f'dtype {raw.dtype}')
        array = raw.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ContractError(f'{name}: expected {size} numbers, got {type(value).__name__} '
                            f'{value!r:.80}') from error
    if array.shape != (size,):
        raise ContractError(f'{name}: expected {size} values, got shape {array.shape}')
    if not np.isfinite(array).all():
        raise ContractError(f'{name}: not finite at {np.nonzero(~np.isfinite(array))[0].tolist()}'
                            f': {array}')
    return array


def _within(name: str, what: str, state: np.ndarray, part: slice, low: float,
            high: float) -> None:
    for offset, value in enumerate(state[part]):
        if not low <= value <= high:
            raise ContractError(f'{name}[{part.start + offset}] ({what}): expected {low:g} to '
                                f'{high:g}, got {value:g}')
