# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The built-in play table and blocks.

Visual shapes are primitives after the box description of design/calvin.md section 2.4, solid
ones those of ``furniture_solids``. Joint order, names, ranges and axes are CALVIN's.
"""

import math
from pathlib import Path

from dysl_vla_ros.sim import furniture_solids, urdf
from dysl_vla_ros.sim.scene import (
    BLOCK_COLOURS,
    BUTTON_RANGE_M,
    DRAWER_RANGE_M,
    SWITCH_RANGE_M,
    SceneSpec,
)
from dysl_vla_ros.sim.solids import write_obj
from dysl_vla_ros.sim.urdf import Shape, box

BLOCK_MASS_KG = 1.0
BLOCK_FRICTION = 0.7
_TABLE_FRICTION = 0.5
_GREY = (0.4, 0.4, 0.4, 1.0)
_DARK = (0.25, 0.22, 0.2, 1.0)
_BLACK = (0.05, 0.05, 0.05, 1.0)
_WHITE = (1.0, 1.0, 1.0, 1.0)
# The cabinet front slants from (y 0.02, z 0.44) to (y 0.14, z 0.648): 60 degrees.
_SLANT_RAD = math.radians(60)


def _rgba(rgb: tuple[int, int, int]) -> tuple[float, float, float, float]:
    return rgb[0] / 255, rgb[1] / 255, rgb[2] / 255, 1.0


def _slanted_panel(x: tuple[float, float], rgba: tuple[float, float, float, float]) -> Shape:
    """Solid part of the cabinet front over the x range, 0.24 m along the slant, 0.02 m thick."""
    # Half the thickness behind the slanted plane, whose outward normal is (0, -sin60, cos60).
    centre_y = 0.08 + 0.01 * math.sin(_SLANT_RAD)
    centre_z = 0.544 - 0.01 * math.cos(_SLANT_RAD)
    return Shape('box', (x[1] - x[0], 0.24, 0.02), ((x[0] + x[1]) / 2, centre_y, centre_z),
                 (_SLANT_RAD, 0.0, 0.0), rgba)


def _base_shapes(scene: SceneSpec) -> list[Shape]:
    wood = _rgba(scene.base_rgb)
    left, right = scene.cabinet_x
    button_x, button_y, _ = scene.button_xyz
    shapes = [
        # Desk top in parts, since the plank's top lies in the same plane.
        box((-0.44, 0.44), (-0.18, 0.02), (0.402, 0.44), wood),
        box((-0.44, left), (0.02, 0.18), (0.402, 0.44), wood),
        box((right, 0.44), (0.02, 0.18), (0.402, 0.44), wood),
        box((-0.44, 0.44), (-0.18, 0.18), (0.28, 0.298), wood),             # floor of drawer bay
        box((-0.44, 0.44), (0.16, 0.18), (0.298, 0.402), wood),             # back of drawer bay
        box((-0.44, scene.drawer_x - 0.222), (-0.18, 0.16), (0.298, 0.402), wood),
        box((scene.drawer_x + 0.222, 0.44), (-0.18, 0.16), (0.298, 0.402), wood),
        box((-0.44, 0.44), (0.16, 0.18), (0.44, 0.648), wood),              # back wall
        box((-0.44, 0.44), (0.14, 0.18), (0.628, 0.648), wood),             # top
        _slanted_panel((-0.44, left), wood),
        _slanted_panel((right, 0.44), wood),
        Shape('cylinder', (0.04, 0.02), (button_x, button_y, 0.45), rgba=_GREY),  # button ring
    ]
    for side in ((left - 0.01, left), (right, right + 0.01)):  # behind the slanted front
        shapes += [box(side, (y, 0.16), z, wood) for y, z in
                   ((0.07, (0.44, 0.5)), (0.105, (0.5, 0.565)), (0.14, (0.565, 0.63)))]
    shapes = [s for s in shapes if min(s.size) > 1e-6]
    for x in (-0.42, 0.42):
        for y in (-0.164, 0.164):
            shapes.append(box((x - 0.02, x + 0.02), (y - 0.016, y + 0.016), (0.0, 0.28), wood))
    return shapes


def table_urdf(scene: SceneSpec, folder: Path) -> str:
    """URDF text of the play table of ``scene``: seven joints, indices as in CALVIN.

    Writes the meshes it refers to into ``folder``.
    """
    solids = {part: write_obj(folder / f'{part}.obj', solid) for part, solid in {
        'base': furniture_solids.base(scene), 'button': furniture_solids.button(),
        'switch': furniture_solids.switch(), 'slide': furniture_solids.slide(),
        'drawer': furniture_solids.drawer(), 'led': furniture_solids.led(),
        'plank': furniture_solids.plank()}.items()}
    door = _rgba(scene.door_rgb)
    slide = [  # link frame: x along the rail, y up the slant, z out of the front
        box((0.0, 0.28), (-0.12, 0.12), (0.0, 0.0219), door),
        box((0.1192, 0.1608), (-0.0803, -0.0577), (0.0219, 0.0801), _GREY),
        box((0.1192, 0.1608), (0.0574, 0.0811), (0.0219, 0.0801), _GREY),
        box((0.1192, 0.1608), (-0.0577, 0.0574), (0.0570, 0.0801), _GREY),
    ]
    drawer = [  # link frame: y up, z towards the robot side
        box((-0.2209, 0.2209), (-0.0209, 0.0812), (0.1574, 0.182), door),
        box((-0.2015, 0.2015), (-0.0015, 0.0812), (-0.0609, -0.038), door),
        box((0.1769, 0.2015), (-0.0015, 0.0812), (-0.038, 0.1574), door),
        box((-0.2015, -0.1769), (-0.0015, 0.0812), (-0.038, 0.1574), door),
        box((-0.1769, 0.1769), (-0.0015, 0.0224), (-0.038, 0.1574), door),  # blocks rest on it
        box((0.0959, 0.1206), (0.0196, 0.0601), (0.182, 0.2612), _GREY),
        box((-0.1206, -0.0959), (0.0196, 0.0601), (0.182, 0.2612), _GREY),
        box((-0.0959, 0.0959), (0.0196, 0.0601), (0.2383, 0.2612), _GREY),
    ]
    switch = [  # link frame: y out of the panel, z down the slant
        box((-0.0603, 0.0603), (0.0416, 0.0643), (-0.0242, 0.008), _GREY),
        box((0.0396, 0.0603), (0.0, 0.0416), (-0.0242, 0.008), _GREY),
        box((-0.0603, -0.0396), (0.0, 0.0416), (-0.0242, 0.008), _GREY),
    ]
    button = [Shape('cylinder', (0.032, 0.024), (0.0, 0.0, 0.012), rgba=_BLACK)]
    led = [box((-0.08, 0.08), (-0.02, 0.02), (-0.008, 0.008), _WHITE)]
    bulb = [Shape('sphere', (0.028,), (0.0, 0.0, 0.014), rgba=_WHITE)]
    plank = [box((-0.26, 0.26), (-0.07, 0.07), (-0.02, 0.0), _DARK)]
    half = math.pi / 2
    links = [
        urdf.link('base_link', _base_shapes(scene), 0.0, _TABLE_FRICTION, solids['base'],
                  is_concave=True),
        urdf.link('button_link', button, 0.154, _TABLE_FRICTION, solids['button']),
        urdf.link('switch_link', switch, 0.239, _TABLE_FRICTION, solids['switch']),
        urdf.link('slide_link', slide, 1.543, _TABLE_FRICTION, solids['slide']),
        urdf.link('drawer_link', drawer, 4.231, _TABLE_FRICTION, solids['drawer']),
        urdf.link('led_link', led, 0.1, _TABLE_FRICTION, solids['led']),
        urdf.link('light_link', bulb, 0.1, _TABLE_FRICTION),
        urdf.link('plank_link', plank, 1.0, _TABLE_FRICTION, solids['plank']),
    ]
    joints = [
        urdf.joint('base__button', 'prismatic', 'button_link', scene.button_xyz,
                   axis=(0.0, 0.0, -1.0), upper=BUTTON_RANGE_M),
        urdf.joint('base__switch', 'prismatic', 'switch_link', (scene.switch_x, 0.060928, 0.49489),
                   (math.radians(150), 0.0, 0.0), (0.0, 0.0, -1.0), SWITCH_RANGE_M),
        urdf.joint('base__slide', 'prismatic', 'slide_link', (scene.slide_x, 0.075, 0.535264),
                   (_SLANT_RAD, 0.0, 0.0), (-1.0, 0.0, 0.0), scene.slide_range),
        urdf.joint('base__drawer', 'prismatic', 'drawer_link', (scene.drawer_x, 0.0, 0.32),
                   (half, 0.0, 0.0), (0.0, 0.0, 1.0), DRAWER_RANGE_M),
        urdf.joint('base__led', 'fixed', 'led_link', (scene.led_x, 0.16, 0.656)),
        urdf.joint('base__light', 'fixed', 'light_link', (scene.bulb_x, 0.16, 0.656)),
        urdf.joint('base__plank', 'fixed', 'plank_link', (scene.plank_x, 0.09, 0.44)),
    ]
    return urdf.robot(f'{scene.name}_table', links + joints)


def block_urdf(scene: SceneSpec, block: str) -> str:
    """URDF text of one block of ``scene``."""
    colour = BLOCK_COLOURS[block.removeprefix('block_')]
    shape = Shape('box', scene.block_extents(block), rgba=colour)
    text = urdf.link(block, [shape], BLOCK_MASS_KG, BLOCK_FRICTION)
    return urdf.robot(block, [text.replace(
        '<contact>', '<contact><spinning_friction value="0.001"/>')])
