# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every form of action calvin_env's ``step`` accepts, checked and brought into one form.

Source: design/calvin.md section 3.3. World frame, metres, radians, quaternions xyzw.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dysl_vla_ros.control.action_spec import ACTION_SIZE
from dysl_vla_ros.errors import ContractError

CARTESIAN_REL, CARTESIAN_ABS = 'cartesian_rel', 'cartesian_abs'
JOINT_REL, JOINT_ABS = 'joint_rel', 'joint_abs'
ACTION_TYPES = (CARTESIAN_REL, CARTESIAN_ABS, JOINT_REL, JOINT_ABS)
_ARM_JOINTS = 7


@dataclass(frozen=True)
class ArmCommand:
    """One checked action.

    Attributes:
        kind: One of ``ACTION_TYPES``.
        arm: float64; (6,) relative pose in CALVIN's units, (6,) or (7,) absolute position and
            Euler angles or quaternion, or (7,) joints in radians.
        gripper: Exactly -1 (close) or +1 (open).
    """

    kind: str
    arm: np.ndarray
    gripper: float


def parse_action(action: Any) -> ArmCommand:
    """Check an action and tell which form it has.

    Args:
        action: 7 values (relative); 3 elements (position, Euler angles or quaternion, gripper)
            (absolute); or a mapping ``{'type': one of ACTION_TYPES, 'action': values}``, where
            ``cartesian_abs`` takes 3 elements or 7 or 8 numbers and the joint types 8.

    Raises:
        ContractError: For any other form, a value that is not a finite number, or a gripper
            command other than exactly -1 or +1.
    """
    if isinstance(action, Mapping):
        if set(action) != {'type', 'action'}:
            raise ContractError("action: expected the keys 'type' and 'action', got "
                                f'{sorted(map(str, action))}')
        kind, values = action['type'], action['action']
        if kind not in ACTION_TYPES:
            raise ContractError(f'action type {kind!r}: expected one of {ACTION_TYPES}')
    else:
        values = action
        kind = CARTESIAN_ABS if _is_triple(values) else CARTESIAN_REL
    if kind == CARTESIAN_ABS and _is_triple(values):
        return _from_triple(values)
    numbers = _numbers(f'{kind} action', values)
    if kind == CARTESIAN_REL:
        sizes: tuple[int, ...] = (ACTION_SIZE,)
    elif kind == CARTESIAN_ABS:
        sizes = (ACTION_SIZE, ACTION_SIZE + 1)
    else:
        sizes = (_ARM_JOINTS + 1,)
    if numbers.ndim != 1 or numbers.size not in sizes:
        raise ContractError(f'{kind} action: expected {" or ".join(map(str, sizes))} values, got '
                            f'shape {numbers.shape}')
    return _checked(kind, numbers[:-1], numbers[-1])


def _is_triple(values: Any) -> bool:
    return isinstance(values, tuple | list) and len(values) == 3


def _from_triple(values: Any) -> ArmCommand:
    position, orientation, gripper = (
        np.atleast_1d(_numbers(f'absolute action: {name}', value))
        for name, value in zip(('position', 'orientation', 'gripper'), values, strict=True))
    if position.shape != (3,) or orientation.shape not in ((3,), (4,)) or gripper.shape != (1,):
        raise ContractError(
            'absolute action: expected (position (3,), orientation (3,) or (4,), gripper), got '
            f'shapes {position.shape}, {orientation.shape}, {gripper.shape}')
    return _checked(CARTESIAN_ABS, np.concatenate([position, orientation]), gripper[0])


def _numbers(name: str, values: Any) -> np.ndarray:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in 'iuf':  # text, complex numbers, truth values, objects
            raise TypeError(f'dtype {array.dtype}')
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ContractError(f'{name}: expected numbers, got {type(values).__name__} '
                            f'{values!r:.80}') from error


def _checked(kind: str, arm: np.ndarray, gripper: float) -> ArmCommand:
    if not (np.isfinite(arm).all() and np.isfinite(gripper)):
        raise ContractError(f'{kind} action: not finite: {arm}, gripper {gripper}')
    if gripper not in (-1.0, 1.0):
        raise ContractError(f'{kind} action: gripper command {float(gripper)}: expected exactly '
                            '-1 or +1')
    if kind == CARTESIAN_ABS and arm.size == _ARM_JOINTS \
            and abs(np.linalg.norm(arm[3:]) - 1.0) > 0.01:
        raise ContractError(f'{kind} action: quaternion {arm[3:]} (xyzw): expected length 1, got '
                            f'{np.linalg.norm(arm[3:]):.3g}')
    return ArmCommand(kind, arm, float(gripper))
