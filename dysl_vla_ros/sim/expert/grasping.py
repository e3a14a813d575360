# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where to put the fingers, and where to put a block: choices by free space."""

from collections.abc import Iterable
from dataclasses import dataclass
import math

import numpy as np

from dysl_vla_ros.sim.expert.view import (
    DESK_EDGE_Y_M,
    DRAWER_FRONT_Y_M,
    DRAWER_HALF_WIDTH_M,
    Block,
    View,
    tool_euler,
)

NOMINAL_YAW = math.pi / 2
MAX_GRASP_M = 0.062
# Beyond the inner face at full opening: a finger's thickness and some air.
_FINGER_CENTRE_M, _FINGER_HALF_M = 0.05, 0.013
_CABINET_TILT = 0.9
_MAX_CABINET_YAW = math.radians(50)


@dataclass(frozen=True)
class Grasp:
    """A way to take a block.

    Attributes:
        yaw, tilt: Of the tool.
        offset: (3,) from the block's centre to the TCP.
        cost: Lower is better.
    """

    yaw: float
    tilt: float
    offset: np.ndarray
    cost: float

    @property
    def euler(self) -> np.ndarray:
        """Tool orientation."""
        return tool_euler(self.yaw, self.tilt)


def _distance_to_footprint(point: np.ndarray, block: Block) -> float:
    """Horizontal distance from a point to the block's footprint (0 inside)."""
    relative = point - block.position[:2]
    outside = [max(0.0, abs(float(relative @ axis[:2])) - extent / 2)
               for axis, extent in block.level_axes()]
    return float(np.hypot(*outside))


def grasps(view: View, block: Block, place: str, turn: float = 0.0) -> list[Grasp]:
    """Grasps of ``block``, best first.

    Args:
        view: Current state.
        block: The one to take.
        place: Where it lies (``View.place``).
        turn: Yaw by which the tool will turn afterwards, radians.
    """
    found = []
    for axis, extent in block.level_axes():
        if extent > MAX_GRASP_M:
            continue
        yaw = math.atan2(axis[1], axis[0]) + math.pi / 2
        yaw = (yaw - NOMINAL_YAW + math.pi / 2) % math.pi - math.pi / 2  # from the nominal yaw
        for deviation in (yaw, yaw - math.pi, yaw + math.pi):
            furthest = max(abs(deviation), abs(deviation + turn))
            if furthest > math.radians(115):
                continue
            if place == 'slider' and abs(deviation) > _MAX_CABINET_YAW:
                continue
            for shift in (0.0, 0.012, -0.012):
                if abs(shift) > 0.036 - extent / 2:
                    continue
                found.append(_rate(view, block, place, NOMINAL_YAW + deviation, shift, furthest))
    return sorted(found, key=lambda g: g.cost)


def _rate(view: View, block: Block, place: str, yaw: float, shift: float,
          deviation: float) -> Grasp:
    tilt = _CABINET_TILT if place == 'slider' else 0.0
    closing = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    heading = np.array([math.cos(yaw), math.sin(yaw), 0.0])
    offset = shift * closing + np.array([0.0, 0.0, 0.004])
    cost = 0.3 * deviation + 8.0 * abs(shift)
    low = block.bottom + 0.005
    for side in (-1.0, 1.0):
        for along in (-0.01, 0.01):
            finger = (block.position + offset + side * _FINGER_CENTRE_M * closing
                      + along * heading)[:2]
            for other in view.blocks.values():
                if other.name != block.name and other.top > low \
                        and other.bottom < block.top + 0.05:
                    gap = _distance_to_footprint(finger, other) - _FINGER_HALF_M
                    cost += 40.0 * max(0.0, 0.004 - gap)
            cost += 40.0 * _blocked(view, finger, place)
    return Grasp(yaw, tilt, offset, cost)


def _blocked(view: View, finger: np.ndarray, place: str) -> float:
    """Depth in metres by which a finger would stand in furniture."""
    x, y = finger
    if place == 'slider':
        return min(max(0.0, low + 0.012 - x) + max(0.0, x - high + 0.012)
                   for low, high in view.openings())
    if place == 'drawer':
        front = DRAWER_FRONT_Y_M - view.drawer
        return (max(0.0, front + 0.014 - y) + max(0.0, y - DESK_EDGE_Y_M + 0.014)
                + max(0.0, abs(x - view.scene.drawer_x) - DRAWER_HALF_WIDTH_M + 0.014))
    button = view.scene.button_xyz
    near_button = max(0.0, 0.05 - math.hypot(x - button[0], y - button[1]))
    return near_button + max(0.0, y - 0.01)


# ---------------------------------------------------------------------- free places
def clearance(view: View, point: np.ndarray, radius: float, ignore: Iterable[str]) -> float:
    """Air in metres between a disc and the footprints of the other blocks."""
    gaps = [_distance_to_footprint(point, other) - radius for other in view.blocks.values()
            if other.name not in ignore]
    return min(gaps, default=1.0)


def is_clear_of_button(view: View, point: np.ndarray, radius: float) -> bool:
    """Whether a disc on the desk keeps off the button."""
    button = view.scene.button_xyz
    return math.hypot(point[0] - button[0], point[1] - button[1]) > 0.045 + radius


def free_spot(view: View, candidates: Iterable[np.ndarray], radius: float,
              ignore: Iterable[str], wanted_m: float = 0.03) -> np.ndarray | None:
    """The first candidate with enough air around it, or else the one with most air."""
    ignore = tuple(ignore)
    best: tuple[float, np.ndarray] | None = None
    for point in candidates:
        air = clearance(view, point, radius, ignore)
        if air > wanted_m:
            return point
        if best is None or air > best[0]:
            best = (air, point)
    return best[1] if best is not None else None
