# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Random start states for the 26 block tasks.

Like the benchmark's start states (design/calvin.md section 5.2): one or two blocks on the table,
at most one per side of the cabinet; where a task needs it, one in the drawer, in the hand or on
another block. Positions are uniform in the scene's start areas; yaw is uniform on the table and
the benchmark's in the cabinet.
"""

import math

import numpy as np

from dysl_vla_ros.sim.robot import BASE_POSITION, FINGER_OPEN_M, START_JOINTS
from dysl_vla_ros.sim.scene import DRAWER_RANGE_M, SWITCH_RANGE_M, SceneSpec

_JOINT_SPREAD_RAD = 0.12
_MIN_BLOCK_DISTANCE_M = 0.1
# Rest heights of the benchmark: a hair below geometric contact, so that a reset touches.
_TABLE_Z, _PLANK_Z, _DRAWER_Z, _BLOCK_HEIGHT_M = 0.45999, 0.46099, 0.362, 0.04
_TABLE, _LEFT, _RIGHT, _DRAWER, _HAND, _STACK = (
    'table', 'slider_left', 'slider_right', 'drawer', 'hand', 'stack')
# Blocks pushed end where the arm reaches and the desk carries them.
_PUSH_X = (-0.29, 0.28)
_YAW = (3 * math.pi / 8, 5 * math.pi / 8)
# Fingers closed on 0.04 m: their pads stand 0.9 mm in front of the joints' mid plane.
_HELD_FINGER_M = 0.01905
_PANDA = (  # a, d, alpha of the seven joints (Craig's convention), metres and radians
    (0.0, 0.333, 0.0), (0.0, 0.0, -math.pi / 2), (0.0, 0.316, math.pi / 2),
    (0.0825, 0.0, math.pi / 2), (-0.0825, 0.384, -math.pi / 2), (0.0, 0.0, math.pi / 2),
    (0.088, 0.0, math.pi / 2))
_FLANGE_M, _HAND_YAW, _TCP_M = 0.107, -math.pi / 4, 0.14


def random_robot_obs(rng: np.random.Generator,
                     spread_rad: float = _JOINT_SPREAD_RAD) -> np.ndarray:
    """(15,) robot state near the start pose; only joints and width matter to a reset."""
    noise = np.clip(rng.normal(0.0, spread_rad, 7), -2 * spread_rad, 2 * spread_rad)
    # Joint 2 and 4 lower the arm onto the desk when both move the wrong way: halve them.
    noise[[1, 3]] *= 0.5
    robot_obs = np.zeros(15)
    robot_obs[6] = 2 * FINGER_OPEN_M
    robot_obs[7:14] = np.array(START_JOINTS) + noise
    robot_obs[14] = 1.0
    return robot_obs


def tcp_pose(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position (3,) and rotation (3, 3) of the tool centre point for (7,) joints, world frame."""
    transform = np.eye(4)
    transform[:3, 3] = BASE_POSITION
    for (a, d, alpha), angle in zip(_PANDA, joints, strict=True):
        transform = transform @ _link(a, alpha, d, float(angle))
    transform = transform @ _link(0.0, 0.0, _FLANGE_M + _TCP_M, _HAND_YAW)
    return transform[:3, 3], transform[:3, :3]


def _link(a: float, alpha: float, d: float, angle: float) -> np.ndarray:
    (ca, sa), (ct, st) = ((math.cos(v), math.sin(v)) for v in (alpha, angle))
    return np.array([[ct, -st, 0, a], [st * ca, ct * ca, -sa, -sa * d],
                     [st * sa, ct * sa, ca, ca * d], [0, 0, 0, 1.0]])


def random_block_state(rng: np.random.Generator, task: str,
                       scene: SceneSpec) -> tuple[np.ndarray, np.ndarray]:
    """(robot_obs (15,), scene_obs (24,)) from which the block ``task`` is feasible."""
    words = task.split('_')
    colour = words[1] if words[0] in ('rotate', 'push', 'lift') and words[1] != 'into' \
        else str(rng.choice(('red', 'blue', 'pink')))
    block = f'block_{colour}'
    slider_left = bool(rng.integers(2))
    drawer_open = bool(rng.integers(2)) or words[-1] == 'drawer'
    places = _places(rng, task, block, scene, slider_left)
    robot_obs = random_robot_obs(rng)
    switch, led = float(rng.integers(2)), float(rng.integers(2))
    while (poses := _poses(rng, task, block, places, scene, robot_obs)) is None:
        pass
    if _HAND in places.values():
        robot_obs[6], robot_obs[14] = 2 * _HELD_FINGER_M, -1.0
    values = [scene.slide_range * slider_left, DRAWER_RANGE_M * drawer_open, 0.0,
              SWITCH_RANGE_M * switch, switch, led]
    return robot_obs, np.array(values + [v for name in scene.block_order for v in poses[name]])


def _places(rng: np.random.Generator, task: str, block: str, scene: SceneSpec,
            slider_left: bool) -> dict[str, str]:
    """Where each block lies; the task's own block first."""
    others = [str(name) for name in rng.permutation([b for b in scene.block_order if b != block])]
    sides = [str(side) for side in rng.permutation((_LEFT, _RIGHT))]
    if task == 'push_into_drawer':
        return {block: _TABLE, **dict(zip(others, sides, strict=True))}
    if task == 'stack_block':
        return {block: _HAND, others[0]: _TABLE, others[1]: sides[0]}
    if task == 'unstack_block':
        return {block: _STACK, others[0]: _TABLE, others[1]: sides[0]}
    if task.endswith('_slider') and task.startswith('lift'):
        own = _RIGHT if slider_left else _LEFT
        sides = [s for s in sides if s != own]
    elif task.startswith('place'):
        own = _HAND
    else:
        own = _DRAWER if task.endswith('_drawer') else _TABLE
    # One or two of the three on the table.
    second = _TABLE if own != _TABLE or rng.integers(2) else sides[0]
    last = sides[-1] if second != sides[-1] else sides[0]
    return {block: own, others[0]: second, others[1]: last}


def _poses(rng: np.random.Generator, task: str, block: str, places: dict[str, str],
           scene: SceneSpec, robot_obs: np.ndarray) -> dict[str, list[float]] | None:
    """x, y, z, roll, pitch, yaw of every block, or None if two of them are too close."""
    poses: dict[str, list[float]] = {}
    for name, place in places.items():
        if place == _HAND:
            poses[name] = _held_pose(robot_obs)
        elif place == _STACK:
            continue
        elif place == _DRAWER:
            point = [scene.drawer_x + rng.uniform(-0.1, 0.1), rng.uniform(-0.32, -0.25)]
            poses[name] = [*point, _DRAWER_Z, 0.0, 0.0, rng.uniform(*_YAW)]
        else:
            (x_low, x_high), y_range = scene.areas[place]
            if name == block and task.startswith('push') and task != 'push_into_drawer':
                x_low, x_high = max(x_low, _PUSH_X[0]), min(x_high, _PUSH_X[1])
            yaw = rng.uniform(-math.pi, math.pi) if place == _TABLE else rng.uniform(*_YAW)
            z = _TABLE_Z if place == _TABLE else _PLANK_Z
            poses[name] = [rng.uniform(x_low, x_high), rng.uniform(*y_range), z, 0.0, 0.0, yaw]
    for name, place in places.items():
        if place == _STACK:
            below = next(poses[n] for n, p in places.items() if p == _TABLE)
            x, y = (below[i] + rng.uniform(-0.006, 0.006) for i in range(2))
            poses[name] = [x, y, _TABLE_Z + _BLOCK_HEIGHT_M, 0.0, 0.0,
                           below[5] + rng.uniform(-0.3, 0.3)]
    points = [np.array(poses[name][:2]) for name, place in places.items()
              if place not in (_HAND, _STACK)]
    if any(np.linalg.norm(p - q) <= _MIN_BLOCK_DISTANCE_M
           for i, p in enumerate(points) for q in points[i + 1:]):
        return None
    return poses


def _held_pose(robot_obs: np.ndarray) -> list[float]:
    """Pose of a block between the fingers, its short axis along their closing direction."""
    position, tool = tcp_pose(robot_obs[7:14])
    # Block axes: y along the closing axis, z against the fingers' direction.
    rotation = np.column_stack((-tool[:, 0] * -1.0, -tool[:, 1], -tool[:, 2]))
    roll = math.atan2(rotation[2, 1], rotation[2, 2])
    pitch = math.asin(float(np.clip(-rotation[2, 0], -1.0, 1.0)))
    yaw = math.atan2(rotation[1, 0], rotation[0, 0])
    return [*(float(v) for v in position), roll, pitch, yaw]
