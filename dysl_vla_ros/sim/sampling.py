# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Random, feasible start states for the 34 tasks.

Robot starts are joint perturbations of CALVIN's start pose; blocks lie in the scene's start
areas as distractors.
"""

import numpy as np

from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.sim.block_states import random_block_state, random_robot_obs
from dysl_vla_ros.sim.instructions import FURNITURE_TASKS, TASKS
from dysl_vla_ros.sim.scene import DRAWER_RANGE_M, SWITCH_RANGE_M, SceneSpec, get_scene

_MIN_BLOCK_DISTANCE_M = 0.1
_TABLE_Z, _PLANK_Z = 0.46, 0.461


def _random_blocks(rng: np.random.Generator, scene: SceneSpec) -> list[float]:
    names = list(scene.areas)
    placed: list[np.ndarray] = []
    values: list[float] = []
    for _ in scene.block_order:
        for _ in range(1000):
            name = names[rng.integers(len(names))]
            (x_low, x_high), (y_low, y_high) = scene.areas[name]
            point = np.array([rng.uniform(x_low, x_high), rng.uniform(y_low, y_high)])
            if all(np.linalg.norm(point - other) > _MIN_BLOCK_DISTANCE_M for other in placed):
                break
        placed.append(point)
        height = _TABLE_Z if name == 'table' else _PLANK_Z
        values += [point[0], point[1], height, 0.0, 0.0, rng.uniform(-np.pi, np.pi)]
    return values


def random_scene_obs(rng: np.random.Generator, scene: SceneSpec, slider_left: bool,
                     drawer_open: bool, bulb_on: bool, led_on: bool,
                     partial: bool = False) -> np.ndarray:
    """(24,) scene state; ``partial`` leaves doors short of their stops, as earlier tasks do."""
    short = rng.uniform(0.0, 0.4, 2) if partial else np.zeros(2)
    slide = scene.slide_range * ((1 - short[0]) if slider_left else short[0])
    drawer = DRAWER_RANGE_M * ((1 - short[1]) if drawer_open else short[1])
    switch = SWITCH_RANGE_M if bulb_on else 0.0
    return np.array([slide, drawer, 0.0, switch, float(bulb_on), float(led_on),
                     *_random_blocks(rng, scene)])


def random_initial_state(rng: np.random.Generator, task: str | None = None,
                         scene: str = 'calvin_scene_D') -> tuple[np.ndarray, np.ndarray]:
    """Return (robot_obs (15,), scene_obs (24,)) from which ``task`` is feasible.

    Args:
        rng: Source of randomness.
        task: One of CALVIN's 34 tasks, or None for any furniture state.
        scene: CALVIN scene.

    Raises:
        ContractError: For an unknown task.
    """
    if task is not None and task not in TASKS:
        raise ContractError(f'task {task!r}: expected one of {list(TASKS)}')
    if task is not None and task not in FURNITURE_TASKS:
        return random_block_state(rng, task, get_scene(scene))
    flags = {name: bool(rng.integers(2))
             for name in ('slider_left', 'drawer_open', 'bulb_on', 'led_on')}
    needed = {
        'move_slider_left': ('slider_left', False), 'move_slider_right': ('slider_left', True),
        'open_drawer': ('drawer_open', False), 'close_drawer': ('drawer_open', True),
        'turn_on_lightbulb': ('bulb_on', False), 'turn_off_lightbulb': ('bulb_on', True),
        'turn_on_led': ('led_on', False), 'turn_off_led': ('led_on', True),
    }
    if task is not None:
        flag, value = needed[task]
        flags[flag] = value
    return random_robot_obs(rng), random_scene_obs(rng, get_scene(scene), **flags)


def feasible_furniture_tasks(scene_obs: np.ndarray, scene: SceneSpec) -> list[str]:
    """The four furniture tasks that change the given (24,) scene state."""
    return [
        'move_slider_right' if scene_obs[0] > scene.slide_range / 2 else 'move_slider_left',
        'close_drawer' if scene_obs[1] > DRAWER_RANGE_M / 2 else 'open_drawer',
        'turn_off_lightbulb' if scene_obs[4] > 0.5 else 'turn_on_lightbulb',
        'turn_off_led' if scene_obs[5] > 0.5 else 'turn_on_led',
    ]
