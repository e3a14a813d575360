# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the expert sees: the privileged state as poses, extents and places.

World frame, metres, radians. The tool frame is the TCP's: z along the fingers, y the axis along
which they close.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dysl_vla_ros.sim.scene import SceneSpec

DESK_Z_M, PLANK_Z_M, DRAWER_FLOOR_Z_M = 0.44, 0.441, 0.341
DOOR_WIDTH_M = 0.28
# Drawer, at joint value 0: inner face of the front plate, inner half width.
DRAWER_FRONT_Y_M, DRAWER_HALF_WIDTH_M, DESK_EDGE_Y_M = -0.157, 0.176, -0.18
FINGER_TIP_M = 0.015  # beyond the TCP


def rotation_matrix(euler: np.ndarray) -> np.ndarray:
    """(3, 3) matrix of fixed-axis roll, pitch, yaw."""
    (cr, cp, cy), (sr, sp, sy) = np.cos(euler), np.sin(euler)
    return np.array([[cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
                     [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
                     [-sp, cp * sr, cp * cr]])


def tool_euler(yaw: float, tilt: float = 0.0) -> np.ndarray:
    """Fingers down, tilted forward by ``tilt``; they close across the heading ``yaw``."""
    return np.array([np.pi, -tilt, yaw])


@dataclass(frozen=True)
class Block:
    """One block.

    Attributes:
        name: As in ``scene_obs``.
        position: (3,) centre.
        rotation: (3, 3) block axes as columns.
        extents: (3,) full lengths along these axes.
    """

    name: str
    position: np.ndarray
    rotation: np.ndarray
    extents: np.ndarray

    @property
    def half_height(self) -> float:
        """Half the vertical extent of the block as it lies."""
        return self.half_along(np.array([0.0, 0.0, 1.0]))

    def half_along(self, direction: np.ndarray) -> float:
        """Half the block's extent along a unit vector."""
        return float(np.abs(direction @ self.rotation) @ self.extents / 2)

    @property
    def bottom(self) -> float:
        """Height of the lowest point."""
        return float(self.position[2]) - self.half_height

    @property
    def top(self) -> float:
        """Height of the highest point."""
        return float(self.position[2]) + self.half_height

    def level_axes(self) -> list[tuple[np.ndarray, float]]:
        """The two most horizontal axes: (unit vector in the horizontal plane, extent)."""
        order = np.argsort(np.abs(self.rotation[2]))[:2]
        axes = []
        for index in order:
            axis = self.rotation[:, index] * [1.0, 1.0, 0.0]
            axes.append((axis / np.linalg.norm(axis), float(self.extents[index])))
        return axes

    @property
    def radius(self) -> float:
        """Radius of the footprint's circumscribed circle."""
        return float(np.hypot(*(extent / 2 for _, extent in self.level_axes())))


@dataclass(frozen=True)
class View:
    """State at one control step.

    Attributes:
        scene: The scene's constants.
        tcp, euler: (3,) measured tool pose.
        target: (6,) pose target stored by the environment, to which actions are added.
        width: Opening of the gripper, 0..0.08.
        is_closing: Whether the last gripper command was -1.
        slide, drawer, switch: Joint positions.
        is_bulb_on, is_led_on: Lights.
        blocks: By name.
    """

    scene: SceneSpec
    tcp: np.ndarray
    euler: np.ndarray
    target: np.ndarray
    width: float
    is_closing: bool
    slide: float
    drawer: float
    switch: float
    is_bulb_on: bool
    is_led_on: bool
    blocks: Mapping[str, Block]

    @classmethod
    def from_state(cls, scene: SceneSpec, state: Mapping[str, Any], target: np.ndarray) -> 'View':
        """Read CALVIN's ``robot_obs`` (15,) and ``scene_obs`` (24,)."""
        robot, world = np.asarray(state['robot_obs']), np.asarray(state['scene_obs'])
        blocks = {}
        for index, name in enumerate(scene.block_order):
            pose = world[6 + 6 * index:12 + 6 * index]
            blocks[name] = Block(name, pose[:3], rotation_matrix(pose[3:]),
                                 np.array(scene.block_extents(name)))
        return cls(scene, robot[:3], robot[3:6], target, float(robot[6]), robot[14] < 0,
                   float(world[0]), float(world[1]), float(world[3]), world[4] > 0.5,
                   world[5] > 0.5, blocks)

    @property
    def tool(self) -> np.ndarray:
        """(3, 3) tool axes as columns."""
        return rotation_matrix(self.euler)

    def held(self) -> Block | None:
        """The block between the closed fingers."""
        if not self.is_closing or not 0.02 < self.width < 0.078:
            return None
        closing = self.tool[:, 1]
        near = [block for block in self.blocks.values()
                if abs((block.position - self.tcp) @ closing) < 0.015
                and np.linalg.norm(block.position - self.tcp) < 0.05]
        return min(near, key=lambda b: float(np.linalg.norm(b.position - self.tcp)), default=None)

    def place(self, block: Block) -> str:
        """Where a block lies: ``table``, ``slider``, ``drawer``, ``stacked``, ``air``, ``lost``."""
        x, y, _ = block.position
        if abs(x) > 0.47 or y > 0.2 or block.bottom < 0.28:
            return 'lost'
        if self.support(block) is not None:
            return 'stacked'
        if y < DESK_EDGE_Y_M - 0.01 and block.bottom < 0.42:
            return 'drawer' if block.bottom < DRAWER_FLOOR_Z_M + 0.02 else 'air'
        left, right = self.scene.cabinet_x
        if y > 0.035 and left < x < right:
            return 'slider' if block.bottom < PLANK_Z_M + 0.012 else 'air'
        return 'table' if block.bottom < DESK_Z_M + 0.015 else 'air'

    def support(self, block: Block) -> Block | None:
        """The block that carries ``block``, if any."""
        for other in self.blocks.values():
            gap = block.bottom - other.top
            distance = np.linalg.norm((block.position - other.position)[:2])
            if other is not block and abs(gap) < 0.012 and distance < 0.045:
                return other
        return None

    def is_free_on_top(self, block: Block) -> bool:
        """Whether no block lies on ``block``."""
        return all(other is block or self.support(other) is not block
                   for other in self.blocks.values())

    def openings(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """x ranges of the cabinet left and right of the sliding door."""
        left, right = self.scene.cabinet_x
        door = self.scene.slide_x - self.slide
        return (left, max(left, door)), (min(right, door + DOOR_WIDTH_M), right)

    def handle_x(self) -> float:
        """x of the sliding door's handle."""
        return self.scene.slide_x + 0.14 - self.slide
