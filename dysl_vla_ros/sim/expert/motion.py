# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Motion primitives: generators that yield one CALVIN action per control step.

Each primitive looks at the current view before every action and returns whether it reached what
it was for, so that plans can be composed by ``yield from`` and can react to failures.
"""

from collections.abc import Callable, Generator

import numpy as np

from dysl_vla_ros.control.action_spec import MAX_POSITION_STEP_M, MAX_ROTATION_STEP_RAD
from dysl_vla_ros.sim.expert.view import (
    Block,
    View,
    rotation_matrix,
    tool_euler,
)

Motion = Generator[np.ndarray, None, bool]
OPEN, CLOSE = 1.0, -1.0
NOMINAL_YAW = np.pi / 2
SAFE_Z_M = 0.57       # tool height for travel over blocks
CARRY_Z_M = 0.62      # the same with a block in the hand
FRONT_Y_M = -0.06     # in front of door handle and switch
_SETTLED_M = 0.0008
_CONTAINER_RIM_Z_M = 0.5


def _turn(goal: np.ndarray, euler: np.ndarray) -> np.ndarray:
    """Euler step from ``euler`` to ``goal``: the shortest, but never past the wrist's stop.

    The yaw that faces away from the robot's nominal one cannot be crossed.
    """
    turn = (goal - euler + np.pi) % (2 * np.pi) - np.pi
    yaws = (np.array([goal[2], euler[2]]) - NOMINAL_YAW + np.pi) % (2 * np.pi) - np.pi
    turn[2] = yaws[0] - yaws[1]
    return turn


class Arm:
    """The tool of one expert; ``view`` is renewed before every action."""

    def __init__(self) -> None:
        """Without a view yet."""
        self.view: View

    # ------------------------------------------------------------------ single actions
    def toward(self, position: np.ndarray, euler: np.ndarray, gripper: float,
               speed: float = 1.0) -> np.ndarray:
        """One action that takes the stored target towards a pose, straight."""
        shift = (position - self.view.target[:3]) / MAX_POSITION_STEP_M
        turn = _turn(euler, self.view.target[3:])
        shift *= min(1.0, speed / max(float(np.abs(shift).max()), 1e-9))
        return np.array([*shift, *np.clip(turn / MAX_ROTATION_STEP_RAD, -1.0, 1.0), gripper])

    def still(self, gripper: float) -> np.ndarray:
        """One action that keeps the target where it is."""
        return np.array([0.0, 0, 0, 0, 0, 0, gripper])

    # ------------------------------------------------------------------ primitives
    def move(self, pose: Callable[[], tuple[np.ndarray, np.ndarray]], gripper: float,
             tolerance_m: float = 0.006, tolerance_rad: float = 0.06, speed: float = 1.0,
             limit: int = 120, correct: bool = False) -> Motion:
        """Move to a pose that may itself move; False if it is blocked or too slow.

        ``correct`` also removes the small error that inverse kinematics leaves.
        """
        previous, still_steps = self.view.tcp, 0
        correction = np.zeros(3)
        for _ in range(limit):
            position, euler = pose()
            error = position - self.view.tcp
            turn = (euler - self.view.euler + np.pi) % (2 * np.pi) - np.pi
            if np.abs(turn).max() < tolerance_rad and np.linalg.norm(error) < tolerance_m:
                return True
            lag = _turn(euler, self.view.target[3:])
            has_arrived = np.abs(lag).max() < 1e-3 \
                and np.linalg.norm(position + correction - self.view.target[:3]) < 1e-3
            if has_arrived and correct and np.linalg.norm(correction) < 0.03:
                correction = correction + 0.3 * error
            is_still = has_arrived and np.linalg.norm(self.view.tcp - previous) < _SETTLED_M
            still_steps = still_steps + 1 if is_still else 0
            if still_steps > 5:
                return False
            previous = self.view.tcp
            yield self.toward(position + correction, euler, gripper, speed)
        return False

    def move_to(self, position: np.ndarray, euler: np.ndarray, gripper: float,
                **options: float) -> Motion:
        """Move to a fixed pose."""
        return (yield from self.move(lambda: (np.asarray(position), euler), gripper,
                                     **options))  # type: ignore[arg-type]

    def command(self, gripper: float, until: Callable[[], bool], limit: int = 12) -> Motion:
        """Drive the fingers, the tool standing still."""
        for _ in range(limit):
            yield self.still(gripper)
            if until():
                return True
        return False

    def close(self) -> Motion:
        """Close until the fingers stop; True if a block is between them."""
        widths = [self.view.width]
        for _ in range(14):
            yield self.still(CLOSE)
            widths.append(self.view.width)
            if len(widths) > 4 and abs(widths[-1] - widths[-3]) < 0.0007:
                break
        return self.view.held() is not None

    def open(self) -> Motion:
        """Open until the fingers stand clear of what they held."""
        start = self.view.width
        return (yield from self.command(OPEN, lambda: self.view.width > min(0.077,
                                                                            start + 0.022)))

    def back_off(self, distance_m: float, gripper: float) -> Motion:
        """Withdraw along the fingers."""
        goal = self.view.tcp - distance_m * self.view.tool[:, 2]
        return (yield from self.move_to(goal, self.view.euler, gripper, tolerance_m=0.015,
                                        limit=25))

    def clear(self, gripper: float, height_m: float) -> Motion:
        """Leave cabinet, drawer or the space between blocks, up to travel height."""
        for _ in range(60):
            _, y, z = self.view.tcp
            if y > FRONT_Y_M and z < 0.66:  # cabinet: out along the slant first
                step = np.array([0.0, -1.0, 0.5 if z > 0.48 else 0.8])
            elif z < height_m - 0.012:
                step = np.array([0.0, 0.0, 1.0])
            else:
                return True
            yield self.toward(self.view.tcp + 0.045 * step, self.view.target[3:], gripper)
        return False

    def travel(self, position: np.ndarray, euler: np.ndarray, gripper: float) -> Motion:
        """Go over all obstacles to a point at or above travel height, or in front."""
        height = CARRY_Z_M if gripper == CLOSE else SAFE_Z_M
        near = np.linalg.norm((position - self.view.tcp)[:2]) < 0.02 \
            and self.view.tcp[2] > position[2] - 0.01
        if not near:
            yield from self.clear(gripper, height)
            above = np.array([position[0], min(position[1], FRONT_Y_M),
                              max(height, position[2])])
            yield from self.move_to(above, euler, gripper, tolerance_m=0.03, tolerance_rad=0.15)
        return (yield from self.move_to(position, euler, gripper, tolerance_m=0.012,
                                        tolerance_rad=0.08))

    # ------------------------------------------------------------------ a block in the hand
    def carried(self, block: Block, euler: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Offset TCP to block centre and the block's rotation, if the tool turns to ``euler``."""
        turn = rotation_matrix(euler) @ self.view.tool.T
        return turn @ (block.position - self.view.tcp), turn @ block.rotation

    def level_euler(self, block: Block, yaw: float, tilts: np.ndarray) -> np.ndarray:
        """Tool orientation of heading ``yaw`` whose tilt lays the held block most level."""
        def cost(tilt: float) -> float:
            _, rotation = self.carried(block, tool_euler(yaw, tilt))
            return float(1 - np.abs(rotation[2]).max() + 0.005 * abs(tilt))
        return tool_euler(yaw, min((float(t) for t in tilts), key=cost))
