# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What differs between the CALVIN scenes A to D, as data.

Lengths in metres, world frame (z up, table centred at the origin). Numbers from the public
description of calvin_env 797142c (design/calvin.md sections 2.4 to 2.6).
"""

from dataclasses import dataclass, replace

from dysl_vla_ros.errors import SimulationError

BLOCK_SIZES: dict[str, tuple[float, float, float]] = {
    'small': (0.04, 0.04, 0.04),
    'middle': (0.056, 0.04, 0.04),
    'big': (0.08, 0.04, 0.04),
}
BLOCK_COLOURS: dict[str, tuple[float, float, float, float]] = {
    'red': (1.0, 0.0, 0.0, 1.0),
    'blue': (0.0, 0.0, 1.0, 1.0),
    'pink': (1.0, 0.0, 1.0, 1.0),
}
SWITCH_RANGE_M = 0.088
BUTTON_RANGE_M = 0.02
DRAWER_RANGE_M = 0.22
DESK_REST_HEIGHT_M = 0.46

Area = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class SceneSpec:
    """One CALVIN scene.

    Attributes:
        name: CALVIN's scene name.
        block_order: Block names in the order of ``scene_obs``.
        block_sizes: Size name per colour (red, blue, pink).
        button_xyz: Joint frame of the button.
        switch_x, slide_x, drawer_x: x of the joint frames.
        slide_range: Upper limit of the sliding door in metres ("left").
        led_x, bulb_x: x of the two lights.
        cabinet_x: x range of the cabinet's opening.
        plank_x: x of the plank's centre.
        base_rgb, door_rgb: Mean colours of the table and of drawer and sliding door.
        areas: x and y ranges of the random start areas "table", "slider_left", "slider_right".
        default_poses: (x, y, z, yaw) per block in ``block_order`` after a reset without a scene
            state, or None where CALVIN samples them in the areas.
    """

    name: str
    block_order: tuple[str, str, str]
    block_sizes: tuple[str, str, str]
    button_xyz: tuple[float, float, float]
    switch_x: float
    slide_x: float
    slide_range: float
    drawer_x: float
    led_x: float
    bulb_x: float
    cabinet_x: tuple[float, float]
    plank_x: float
    base_rgb: tuple[int, int, int]
    door_rgb: tuple[int, int, int]
    areas: dict[str, Area]
    default_poses: tuple[tuple[float, float, float, float], ...] | None = None

    @property
    def letter(self) -> str:
        """``A`` to ``D``: which of CALVIN's tables it is."""
        return self.name.removesuffix('_eval')[-1]

    def block_extents(self, block: str) -> tuple[float, float, float]:
        """Full extents in metres of ``block_red``, ``block_blue`` or ``block_pink``."""
        index = ('block_red', 'block_blue', 'block_pink').index(block)
        return BLOCK_SIZES[self.block_sizes[index]]


_SLIDER_Y = (0.05, 0.12)
_TABLE_Y = (-0.15, -0.03)


def _areas(table: tuple[float, float], left: tuple[float, float],
           right: tuple[float, float]) -> dict[str, Area]:
    return {'table': (table, _TABLE_Y), 'slider_left': (left, _SLIDER_Y),
            'slider_right': (right, _SLIDER_Y)}


SCENES: dict[str, SceneSpec] = {
    'calvin_scene_A': SceneSpec(
        'calvin_scene_A', ('block_pink', 'block_blue', 'block_red'), ('middle', 'big', 'small'),
        (-0.28, -0.12, 0.46), 0.30, -0.10, 0.28, 0.10, -0.28, 0.30, (-0.36, 0.16), -0.10,
        (121, 70, 46), (135, 98, 82), _areas((-0.2, 0.35), (-0.32, -0.16), (-0.05, 0.13))),
    'calvin_scene_B': SceneSpec(
        'calvin_scene_B', ('block_red', 'block_blue', 'block_pink'), ('small', 'big', 'middle'),
        (0.28, -0.12, 0.46), -0.32, 0.088, 0.304, 0.18, 0.28, -0.32, (-0.18, 0.34), 0.08,
        (244, 196, 140), (223, 188, 148), _areas((-0.35, 0.15), (-0.12, 0.06), (0.15, 0.33))),
    'calvin_scene_C': SceneSpec(
        'calvin_scene_C', ('block_blue', 'block_red', 'block_pink'), ('big', 'small', 'middle'),
        (-0.12, -0.12, 0.46), -0.32, 0.06, 0.24, 0.10, -0.12, -0.32, (-0.18, 0.34), 0.08,
        (159, 108, 64), (135, 98, 82), _areas((0.0, 0.35), (-0.12, 0.06), (0.15, 0.30))),
    'calvin_scene_D': SceneSpec(
        'calvin_scene_D', ('block_red', 'block_blue', 'block_pink'), ('middle', 'small', 'big'),
        (-0.12, -0.12, 0.46), 0.30, -0.10, 0.28, 0.18, -0.12, 0.30, (-0.36, 0.16), -0.10,
        (156, 117, 78), (161, 133, 105), _areas((0.0, 0.35), (-0.32, -0.16), (-0.05, 0.13))),
}

# The evaluation variant differs in nothing but the poses of a reset without a scene state.
SCENES['calvin_scene_D_eval'] = replace(
    SCENES['calvin_scene_D'], name='calvin_scene_D_eval', default_poses=(
        (0.05, -0.12, 0.46, 1.57), (0.23, -0.12, 0.46, 0.0), (0.10, 0.08, 0.46, 1.57)))


def get_scene(name: str) -> SceneSpec:
    """Return the scene called ``name``.

    Raises:
        SimulationError: If there is no such scene; lists the known ones.
    """
    if not isinstance(name, str) or name not in SCENES:
        raise SimulationError(f'unknown scene {name!r}; expected one of {sorted(SCENES)}')
    return SCENES[name]
