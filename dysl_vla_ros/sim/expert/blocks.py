# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plans of the 26 block tasks, composed of motion primitives."""

from collections.abc import Iterator
import math

import numpy as np

from dysl_vla_ros.sim.expert.furniture import FurnitureLaw
from dysl_vla_ros.sim.expert.grasping import (
    MAX_TURN_RAD,
    Grasp,
    clearance,
    free_spot,
    grasps,
    is_clear_of_button,
)
from dysl_vla_ros.sim.expert.motion import CLOSE, NOMINAL_YAW, OPEN, Arm, Motion
from dysl_vla_ros.sim.expert.view import (
    DESK_EDGE_Y_M,
    DESK_Z_M,
    DRAWER_FLOOR_Z_M,
    DRAWER_FRONT_Y_M,
    DRAWER_HALF_WIDTH_M,
    PLANK_Z_M,
    Block,
    tool_euler,
)

# A block turned or pushed hangs this high, so that it lands after the fingers have let go: the
# next task must find no hand on it.
_HOVER_M = 0.006
_TURN_RAD = math.radians(74)
_PUSH_M = 0.118
_LIFT_M = {'table': 0.09, 'slider': 0.05, 'drawer': 0.1}
_TABLE_X_M, _TABLE_Y_M = (-0.36, 0.38), (-0.145, -0.045)
_CLEAR_Y_M, _HANDLE_Y_M = -0.065, -0.033


class BlockPlans:
    """Plans for one arm; each is a generator of actions."""

    def __init__(self, arm: Arm) -> None:
        """Plan for ``arm``."""
        self.arm = arm
        self._misses = 0

    def block(self, name: str) -> Block:
        """Where the block is now."""
        return self.arm.view.blocks[name]

    # ------------------------------------------------------------------ take and let go
    def take(self, name: str, turn: float = 0.0) -> Motion:
        """Grasp a block wherever it lies; True if it is in the hand."""
        arm = self.arm
        held = arm.view.held()
        if held is not None and held.name == name and abs(turn) < 1e-9:
            return True
        place = arm.view.place(self.block(name))
        if place == 'slider':
            yield from self.uncover(name)
        # A turn beyond the wrist's reach is made in two.
        found = grasps(arm.view, self.block(name), place, turn) \
            or grasps(arm.view, self.block(name), place, turn / 2)
        if not found:
            return False
        # After a miss a clearly different grasp: the same one would miss again.
        first = found[0]
        others = [g for g in found if abs(g.yaw - first.yaw) > 0.1 or g.tilt != first.tilt
                  or np.linalg.norm(g.offset - first.offset) > 0.006]
        choices = [first, *others[:3]]
        has_taken = yield from self._take(name, choices[self._misses % len(choices)], place)
        self._misses += not has_taken
        return has_taken

    def _take(self, name: str, grasp: Grasp, place: str) -> Motion:
        arm = self.arm

        def goal() -> tuple[np.ndarray, np.ndarray]:
            return self.block(name).position + grasp.offset, grasp.euler

        axis = np.array([math.sin(grasp.tilt) * math.cos(grasp.yaw),
                         math.sin(grasp.tilt) * math.sin(grasp.yaw), -math.cos(grasp.tilt)])
        start = self.block(name).position
        # Before the cabinet straight in front of the block, whatever the heading: the fingers
        # pass between door and wall.
        before = 0.16 * np.array([0.0, math.sin(grasp.tilt), -math.cos(grasp.tilt)]) \
            if place == 'slider' else 0.075 * axis
        yield from arm.travel(goal()[0] - before, grasp.euler, OPEN)
        if np.linalg.norm(self.block(name).position - start) > 0.03:
            return False  # something moved it meanwhile: choose again
        yield from arm.move(lambda: (goal()[0] - 0.045 * axis, grasp.euler), OPEN, 0.008,
                            correct=True, limit=40, speed=0.6 if place == 'slider' else 1.0)
        yield from arm.move(goal, OPEN, 0.005, correct=True, limit=30, speed=0.6)
        return (yield from arm.close())

    def let_go(self, distance_m: float = 0.09) -> Motion:
        """Open and withdraw."""
        yield from self.arm.open()
        return (yield from self.arm.back_off(distance_m, OPEN))

    def raise_by(self, height_m: float, name: str) -> Motion:
        """Lift what is held; False if it was lost on the way."""
        arm = self.arm
        goal = arm.view.tcp + [0.0, 0.0, height_m]
        euler = arm.view.target[3:].copy()
        yield from arm.move_to(goal, euler, CLOSE, tolerance_m=0.006, limit=40)
        held = arm.view.held()
        return held is not None and held.name == name

    def uncover(self, name: str) -> Motion:
        """Push the sliding door aside if it covers a block of the cabinet."""
        arm = self.arm
        for _ in range(300):
            x = float(self.block(name).position[0])
            half = self.block(name).half_along(np.array([1.0, 0.0, 0.0]))
            left, right = arm.view.openings()
            if any(low + 0.01 < x - half and x + half < high - 0.01 and
                   self._fits(name, low, high) for low, high in (left, right)):
                return True
            door = arm.view.scene.slide_x - arm.view.slide + 0.14
            task = 'move_slider_right' if x < door else 'move_slider_left'
            at_stop = arm.view.slide < 0.006 if task.endswith('right') \
                else arm.view.slide > arm.view.scene.slide_range - 0.006
            if at_stop:
                return True
            yield FurnitureLaw(task, arm.view).action(arm.view)
        return False

    def _fits(self, name: str, low: float, high: float) -> bool:
        x = float(self.block(name).position[0])
        return low + 0.062 < x < high - 0.062

    # ------------------------------------------------------------------ put down
    def lower(self, name: str, spot: np.ndarray, floor_z: float, euler: np.ndarray,
              gap_m: float, standoff_m: float, along: np.ndarray | None = None) -> Motion:
        """Bring the held block over ``spot`` and down to ``gap_m`` above ``floor_z``.

        ``spot`` is where the block's centre shall be, (2,); ``along`` the direction of the last
        stretch of the path (default: straight down).
        """
        arm = self.arm
        offset, rotation = arm.carried(self.block(name), euler)
        half = float(np.abs(rotation[2]) @ self.block(name).extents / 2)
        centre = np.array([*spot, floor_z + gap_m + half])
        goal = centre - offset
        axis = np.array([0.0, 0.0, -1.0]) if along is None else along
        yield from arm.travel(goal - standoff_m * axis, euler, CLOSE)
        if arm.view.held() is None:
            return False
        return (yield from arm.move_to(goal, euler, CLOSE, tolerance_m=0.004, speed=0.5,
                                       limit=60, correct=True))

    def put_on_table(self, name: str) -> Motion:
        """Lay the held block on a free spot of the desk."""
        view = self.arm.view
        block = self.block(name)
        euler = self.arm.level_euler(block, self._heading(), np.linspace(-0.2, 1.1, 27))
        spots = sorted(self._table_spots(block.radius),
                       key=lambda s: float(np.linalg.norm(s - view.tcp[:2])))
        spot = free_spot(view, spots, block.radius, (name,), 0.02)
        if spot is None:
            return False
        yield from self.lower(name, spot, DESK_Z_M, euler, 0.004, 0.08)
        return (yield from self.let_go())

    def _heading(self) -> float:
        """Current yaw of the tool, kept within reach."""
        deviation = (self.arm.view.euler[2] - NOMINAL_YAW + math.pi) % (2 * math.pi) - math.pi
        return NOMINAL_YAW + float(np.clip(deviation, -2.0, 2.0))

    def _table_spots(self, radius: float) -> Iterator[np.ndarray]:
        for x in np.linspace(*_TABLE_X_M, 20):
            for y in np.linspace(*_TABLE_Y_M, 4):
                spot = np.array([x, y])
                if is_clear_of_button(self.arm.view, spot, radius):
                    yield spot

    # ------------------------------------------------------------------ tasks
    def lift(self, name: str, place: str) -> Motion:
        """LIFT: off its support until it touches the robot only."""
        if (yield from self.take(name)):
            yield from self.raise_by(_LIFT_M[place], name)
        return True

    def rotate(self, name: str, start: Block, sign: float) -> Motion:
        """ROT: turn by more than 60 degrees about the vertical, near the start position."""
        done = _yaw_between(start, self.block(name))
        if sign * done > math.radians(150):
            done -= sign * 2 * math.pi
        turn = sign * _TURN_RAD - done
        if not (yield from self.take(name, turn)):
            return False
        if not (yield from self.raise_by(_HOVER_M, name)):
            return False
        yield from self._pull_forward(name)
        arm = self.arm
        deviation = (arm.view.target[5] - NOMINAL_YAW + math.pi) % (2 * math.pi) - math.pi
        if abs(deviation + turn) > MAX_TURN_RAD:
            turn /= 2
        position, euler = arm.view.target[:3].copy(), arm.view.target[3:] + [0.0, 0.0, turn]
        yield from arm.move_to(position, euler, CLOSE, tolerance_m=0.02, tolerance_rad=0.03,
                               limit=60)
        return (yield from self.let_go())

    def _pull_forward(self, name: str) -> Motion:
        """Draw the held block away from the cabinet, where the hand would touch door or switch."""
        arm, y = self.arm, float(self.block(name).position[1])
        spot = np.array([self.block(name).position[0], _CLEAR_Y_M])
        if y < _CLEAR_Y_M or clearance(arm.view, spot, 0.04, (name,)) < 0.0:
            return False
        goal = arm.view.target[:3] + [0.0, _CLEAR_Y_M - y, 0.0]
        return (yield from arm.move_to(goal, arm.view.target[3:].copy(), CLOSE, limit=20))

    def push(self, name: str, start: Block, sign: float) -> Motion:
        """PUSH: sideways by more than 0.1 m, on the desk again at the end."""
        if not (yield from self.take(name)):
            return False
        if not (yield from self.raise_by(_HOVER_M, name)):
            return False
        yield from self._pull_forward(name)
        arm, block = self.arm, self.block(name)
        spot = self._push_goal(block, float(start.position[0]) + sign * _PUSH_M, sign)
        offset = arm.view.target[:3] - block.position
        euler = arm.view.target[3:].copy()
        if not self._is_path_free(block, spot):
            yield from self.raise_by(0.09, name)
            yield from arm.move_to(np.array([*(spot + offset[:2]), arm.view.tcp[2]]), euler,
                                   CLOSE, tolerance_m=0.008)
        height = DESK_Z_M + block.half_height + _HOVER_M
        yield from arm.move_to(np.array([*spot, height]) + offset, euler, CLOSE,
                               tolerance_m=0.006, speed=0.7, correct=True)
        if (start.position[0] + sign * 0.103 - self.block(name).position[0]) * sign > 0:
            return False
        return (yield from self.let_go())

    def _push_goal(self, block: Block, x: float, sign: float) -> np.ndarray:
        ys = sorted(np.linspace(*_TABLE_Y_M, 8), key=lambda y: abs(y - block.position[1]))
        y_now = float(np.clip(block.position[1], -0.16, -0.02))
        spots = [np.array([x + sign * further, y]) for further in (0.0, 0.02, 0.04)
                 for y in (y_now, *ys)
                 if abs(x + sign * further) < 0.42]
        good = [s for s in spots if is_clear_of_button(self.arm.view, s, block.radius)]
        spot = free_spot(self.arm.view, good or spots, block.radius, (block.name,), 0.02)
        return spot if spot is not None else np.array([x, y_now])

    def _is_path_free(self, block: Block, spot: np.ndarray) -> bool:
        for share in np.linspace(0.0, 1.0, 9):
            point = block.position[:2] + share * (spot - block.position[:2])
            if clearance(self.arm.view, point, 0.065, (block.name,)) < 0.0 \
                    or not is_clear_of_button(self.arm.view, point, 0.065):
                return False
        return True

    def place_in_slider(self) -> Motion:
        """PLACE on the plank, on the side that the door leaves open."""
        arm = self.arm
        held = arm.view.held()
        if held is None:
            return False
        euler = tool_euler(self._cabinet_yaw(), 0.9)
        level = arm.level_euler(held, self._cabinet_yaw(), np.linspace(0.6, 1.1, 11))
        euler = level if arm.view.tool[2, 2] > -0.9 else euler
        low, high = max(arm.view.openings(), key=lambda side: side[1] - side[0])
        inner = np.linspace(low + 0.07, high - 0.07, 9) if high - low > 0.15 \
            else np.array([(low + high) / 2])
        middle = (low + high) / 2
        spots = [np.array([x, 0.088]) for x in sorted(inner, key=lambda x: abs(x - middle))]
        _, rotation = arm.carried(held, euler)
        half = float(np.abs(rotation[0]) @ held.extents / 2)
        spot = free_spot(arm.view, spots, half + 0.012, (held.name,), 0.004)
        if spot is None:
            return False
        axis = np.array([0.0, math.sin(0.9), -math.cos(0.9)])
        yield from self.lower(held.name, spot, PLANK_Z_M, euler, 0.004, 0.17, axis)
        return (yield from self.let_go(0.15))

    def _cabinet_yaw(self) -> float:
        return NOMINAL_YAW

    def place_in_drawer(self) -> Motion:
        """PLACE in the drawer, near its front so that a half-open drawer shows it too."""
        held = self.arm.view.held()
        if held is None:
            return False
        return (yield from self.drop_into_drawer(held.name, 0.012))

    def drop_into_drawer(self, name: str, gap_m: float) -> Motion:
        """Let the held block fall a little into the open drawer."""
        arm, view = self.arm, self.arm.view
        euler = arm.level_euler(self.block(name), NOMINAL_YAW, np.linspace(0.0, 0.3, 4))
        _, rotation = arm.carried(self.block(name), euler)
        half_x, half_y = (float(np.abs(rotation[i]) @ self.block(name).extents / 2)
                          for i in (0, 1))
        front = DRAWER_FRONT_Y_M - view.drawer
        middle = (front + DESK_EDGE_Y_M) / 2
        y = max(min(front + 0.055, middle + 0.02), front + half_y + 0.01)
        span = DRAWER_HALF_WIDTH_M - max(half_x, 0.05) - 0.015
        xs = sorted(view.scene.drawer_x + np.linspace(-span, span, 13),
                    key=lambda x: abs(x - view.tcp[0]))
        spot = free_spot(view, [np.array([x, y]) for x in xs], half_x + 0.01, (name,), 0.04)
        if spot is None:
            return False
        yield from self.lower(name, spot, DRAWER_FLOOR_Z_M, euler, gap_m, 0.12)
        return (yield from self.let_go(0.12))

    def push_into_drawer(self) -> Motion:
        """INTO: a block of the desk over its edge into the open drawer."""
        view = self.arm.view
        names = [b.name for b in view.blocks.values()
                 if view.place(b) == 'table' and view.is_free_on_top(b)]
        if not names:
            return False
        name = max(names, key=lambda n: clearance(view, view.blocks[n].position[:2], 0.02, (n,)))
        if not (yield from self.take(name)):
            return False
        yield from self.raise_by(0.05, name)
        return (yield from self.drop_into_drawer(name, 0.03))

    def stack(self) -> Motion:
        """STACK: the held block (or a free one) on another that lies on the table."""
        view = self.arm.view
        held = view.held()
        if held is None:
            # One that lies askew on another comes first.
            free = [b for b in view.blocks.values() if view.is_free_on_top(b)
                    and view.place(b) in ('table', 'stacked')]
            if not free:
                return False
            name = min(free, key=lambda b: (view.place(b) != 'stacked', b.extents[0])).name
            if (yield from self.take(name)):
                yield from self.raise_by(0.1, name)
            return True
        bases = [b for b in view.blocks.values() if b.name != held.name
                 and view.place(b) == 'table' and view.is_free_on_top(b)]
        if not bases:
            return False
        base = max(bases, key=lambda b: float(b.extents[0]) - abs(float(b.position[0])) * 0.05)
        tilts = np.linspace(-0.2, 1.1, 27)
        eulers = [self.arm.level_euler(held, yaw, tilts)
                  for yaw in (self._heading(), NOMINAL_YAW, NOMINAL_YAW + 1.2, NOMINAL_YAW - 1.2)]
        spots = [self._on_top(held, euler, base) for euler in eulers]
        best = min(range(len(eulers)), key=lambda i: 3.0 * float(np.linalg.norm(
            spots[i] - base.position[:2])) + 0.004 * abs(eulers[i][2] - self._heading()))
        yield from self.lower(held.name, spots[best], base.top, eulers[best], 0.002, 0.07)
        return (yield from self.let_go())

    def _on_top(self, held: Block, euler: np.ndarray, base: Block) -> np.ndarray:
        """Where the held block goes: over the base's centre, clear of the door's handle."""
        _, rotation = self.arm.carried(held, euler)
        half_x, half_y = (float(np.abs(rotation[i]) @ held.extents / 2) for i in (0, 1))
        spot = base.position[:2].copy()
        handle_x = self.arm.view.handle_x()
        if abs(spot[0] - handle_x) < half_x + 0.026:
            spot[1] = max(min(spot[1], _HANDLE_Y_M - half_y - 0.005), spot[1] - 0.015)
        return spot

    def unstack(self) -> Motion:
        """UNSTACK: take the upper block away."""
        view = self.arm.view
        tops = [b for b in view.blocks.values() if view.support(b) is not None]
        if not tops:
            return False
        top = max(tops, key=lambda b: float(b.position[2]))
        if (yield from self.take(top.name)):
            yield from self.raise_by(0.06, top.name)
        return True


def _yaw_between(before: Block, after: Block) -> float:
    """Rotation about the vertical, radians in (-pi, pi]."""
    turn = after.rotation @ before.rotation.T
    return math.atan2(turn[1, 0], turn[0, 0])
