# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The last check before an action leaves: finite, inside CALVIN's bounds, gripper decided.

A plain function without state; the node publishes exactly what it returns, or nothing.
"""

from dataclasses import dataclass

import numpy as np

from dysl_vla_ros.control.action_spec import ACTION_SIZE
from dysl_vla_ros.errors import ContractError

COMPONENTS = ('x', 'y', 'z', 'roll', 'pitch', 'yaw')


@dataclass(frozen=True)
class LimitedAction:
    """An action that may be sent.

    Attributes:
        action: (7,) float64, CALVIN units; pose in [-1, 1], gripper exactly -1 or +1.
        reasons: One line per change, empty when nothing was changed.
    """

    action: np.ndarray
    reasons: tuple[str, ...]


def limit_action(action: np.ndarray) -> LimitedAction:
    """Clip the pose to [-1, 1] per component and the gripper to its sign.

    Args:
        action: (7,) relative action in CALVIN's convention (``control/action_spec.py``).

    Returns:
        The action to send and the reason of every change.

    Raises:
        ContractError: If the shape is wrong or any value is not finite: such an action is
            rejected as a whole, because a partly repaired command is still an unknown command.
    """
    values = np.array(action, dtype=np.float64)
    if values.shape != (ACTION_SIZE,):
        raise ContractError(f'action: expected shape ({ACTION_SIZE},), got {values.shape}')
    if not np.isfinite(values).all():
        raise ContractError(f'action: not finite: {values}')
    reasons = []
    for index, name in enumerate(COMPONENTS):
        if abs(values[index]) > 1.0:
            limited = float(np.sign(values[index]))
            reasons.append(f'{name}: {values[index]:.6g} limited to {limited:g}')
            values[index] = limited
    gripper = 1.0 if values[6] > 0 else -1.0
    if values[6] != gripper:
        reasons.append(f'gripper: {values[6]:.6g} decided as {gripper:g}')
        values[6] = gripper
    return LimitedAction(values, tuple(reasons))
