# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where to put the fingers, and where to put a block: choices by free space."""

from collections.abc import Iterable
from dataclasses import dataclass
import math

import numpy as np

from dysl_vla_ros.sim.expert.motion import NOMINAL_YAW
from dysl_vla_ros.sim.expert.view import (
    DESK_EDGE_Y_M,
    DRAWER_FRONT_Y_M,
    DRAWER_HALF_WIDTH_M,
    Block,
    View,
    rotation_matrix,
    tool_euler,
)

MAX_TURN_RAD = math.radians(126)  # from the nominal yaw, before the wrist is at its stop
MAX_GRASP_M = 0.062
# Beyond the inner face at full opening: a finger's thickness and some air.
_FINGER_CENTRE_M, _FINGER_HALF_M = 0.05, 0.013
_INNER_HALF_M = 0.037
_CABINET_TILTS = (0.9, 0.7)  # more, and the forearm meets the desk
_ASKEW = (0.0, -0.15, 0.15, -0.3, 0.3)
_DOOR_DEPTH_M = 0.026  # in y, before the plane of the cabinet's front
# Outline of open fingers and hand in the tool frame.
_TOOL_POINTS_M = np.array(
    [(0.0, side * 0.062, -back) for side in (-1, 1) for back in (0.0, 0.04, 0.08)]
    + [(thick, side * 0.1, -back) for side in (-1, 1) for thick in (-0.03, 0.03)
       for back in (0.075, 0.13)])
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
    return math.hypot(*outside)


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
            if furthest > MAX_TURN_RAD or (place == 'slider'
                                           and abs(deviation) > _MAX_CABINET_YAW):
                continue
            room = 0.036 - extent / 2
            for shift in (-room, -room / 2, 0.0, room / 2, room):
                if place == 'slider':
                    found += [_rate_in_cabinet(view, block, NOMINAL_YAW + deviation + askew,
                                               tilt, shift, abs(askew))
                              for tilt in _CABINET_TILTS for askew in _ASKEW]
                else:
                    found.append(_rate(view, block, place, NOMINAL_YAW + deviation, shift,
                                       furthest))
    return sorted(found, key=lambda g: g.cost)


def _rate(view: View, block: Block, place: str, yaw: float, shift: float,
          deviation: float) -> Grasp:
    closing = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    offset = shift * closing + np.array([0.0, 0.0, 0.004])
    cost = 0.3 * deviation + 8.0 * abs(shift)
    for finger in _fingers(block.position + offset, yaw):
        cost += 40.0 * (_among_blocks(view, block, finger) + _blocked(view, finger, place))
    return Grasp(yaw, 0.0, offset, cost)


def _fingers(tcp: np.ndarray, yaw: float) -> list[np.ndarray]:
    """Horizontal positions of both open fingers, two points each."""
    closing, heading = (np.array([math.sin(yaw), -math.cos(yaw)]),
                        np.array([math.cos(yaw), math.sin(yaw)]))
    return [tcp[:2] + side * _FINGER_CENTRE_M * closing + along * heading
            for side in (-1.0, 1.0) for along in (-0.01, 0.01)]


def _among_blocks(view: View, block: Block, finger: np.ndarray) -> float:
    """Depth in metres by which a finger would stand in other blocks."""
    depth = 0.0
    for other in view.blocks.values():
        if other.name != block.name and other.top > block.bottom + 0.005 \
                and other.bottom < block.top + 0.05:
            gap = _distance_to_footprint(finger, other) - _FINGER_HALF_M
            depth += max(0.0, 0.004 - gap)
    return depth


def _rate_in_cabinet(view: View, block: Block, yaw: float, tilt: float, shift: float,
                     askew: float) -> Grasp:
    """A grasp from the front; hand and fingers must fit between door and walls."""
    tool = rotation_matrix(tool_euler(yaw, tilt))
    offset = shift * tool[:, 1] + np.array([0.0, 0.0, 0.004])
    cost = 1.0 * askew + 8.0 * abs(shift) + 0.3 * abs(tilt - _CABINET_TILTS[0]) \
        + 0.1 * abs(yaw - NOMINAL_YAW)
    # The block must fit between the fingers even where they are askew.
    cost += 40.0 * max(0.0, block.half_along(tool[:, 1]) + abs(shift) - _INNER_HALF_M)
    for finger in _fingers(block.position + offset, yaw):
        cost += 40.0 * _among_blocks(view, block, finger)
    for back in (0.0, 0.03):  # in place, and a little before
        points = block.position + offset - back * tool[:, 2] + _TOOL_POINTS_M @ tool.T
        cost += 40.0 * max(_in_front_wall(view, point) for point in points)
    return Grasp(yaw, tilt, offset, cost)


def _in_front_wall(view: View, point: np.ndarray) -> float:
    """How far a point is from the opening, sideways, if it is as deep as the door or deeper."""
    x, y, z = point
    front_y = 0.02 + (z - 0.44) * 0.12 / 0.208 - _DOOR_DEPTH_M
    if y < front_y or z > 0.66:
        return 0.0
    return min(max(0.0, low + 0.003 - x, x - high + 0.003) for low, high in view.openings()
               if high - low > 0.02)


def _blocked(view: View, finger: np.ndarray, place: str) -> float:
    """Depth in metres by which a finger would stand in furniture."""
    x, y = finger
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
