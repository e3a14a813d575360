# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the built-in play table is made of for the physics; ``furniture`` draws it.

Dimensions in metres after design/calvin.md section 2.4 and measured ones of CALVIN's furniture.
The base is in the world frame, the others in the frames of their joints.
"""

from dysl_vla_ros.sim.scene import SceneSpec
from dysl_vla_ros.sim.solids import Solid, box, cylinder, prism, ring

_HALF_X, _HALF_Y = 0.44, 0.18
# Higher than 0.44 by one float of the mesh file: CALVIN resets blocks to where they touch the
# desk without a gap, and where 0.44 is rounded down PyBullet makes no contact.
_DESK_Z = (0.40, 0.44000002)
_BAY_X, _BAY_Y = 0.42, 0.16
_BAY_Z = (0.30, 0.40)
_TOP_Z = 0.6478
_BACK_Y = 0.16            # of the compartment
_CEILING_Z = 0.6278
# The cabinet's front slants from (y 0.02, z 0.44) to (y 0.14, top): 60 degrees.
_FRONT_Y = (0.02, 0.14)
_CEILING_FRONT_Y = 0.1285
_PIT_Z = 0.42             # the plank lies in a pit of the desk


def base(scene: SceneSpec) -> Solid:
    """Desk, legs, drawer bay, cabinet and the ring around the button."""
    left, right = scene.cabinet_x
    low, high = scene.drawer_x - 0.20, scene.drawer_x + 0.20
    profile = [(_FRONT_Y[0], _DESK_Z[1]), (_FRONT_Y[1], _TOP_Z), (_HALF_Y, _TOP_Z),
               (_HALF_Y, _DESK_Z[1])]
    ceiling = [(_CEILING_FRONT_Y, _CEILING_Z), (_FRONT_Y[1], _TOP_Z), (_BACK_Y, _TOP_Z),
               (_BACK_Y, _CEILING_Z)]
    parts = [
        box((-_HALF_X, _HALF_X), (-_HALF_Y, _FRONT_Y[0]), _DESK_Z),
        box((-_HALF_X, left), (_FRONT_Y[0], _HALF_Y), _DESK_Z),
        box((right, _HALF_X), (_FRONT_Y[0], _HALF_Y), _DESK_Z),
        box((left, right), (_BACK_Y, _HALF_Y), _DESK_Z),
        box((left, right), (_FRONT_Y[0], _BACK_Y), (_DESK_Z[0], _PIT_Z)),
        box((-_BAY_X, _BAY_X), (-_BAY_Y, _BAY_Y), (_BAY_Z[0], 0.32)),
        box((-_BAY_X, low), (-_BAY_Y, _BAY_Y), (0.32, _BAY_Z[1])),
        box((high, _BAY_X), (-_BAY_Y, _BAY_Y), (0.32, _BAY_Z[1])),
        box((low, high), (0.06, _BAY_Y), (0.32, _BAY_Z[1])),
        prism(profile, (-_HALF_X, left)),
        prism(profile, (right, _HALF_X)),
        prism(ceiling, (left, right)),
        box((left, right), (_BACK_Y, _HALF_Y), (_DESK_Z[1], _TOP_Z)),
        *ring(scene.button_xyz[:2], (0.03, 0.04), (_DESK_Z[1], 0.46)),
    ]
    for x in ((-_HALF_X, -0.40), (0.40, _HALF_X)):
        for y in ((-_HALF_Y, -0.148), (0.148, _HALF_Y)):
            parts.append(box(x, y, (0.0, _DESK_Z[0])))
    return [p for p in parts if (p.max(axis=0) - p.min(axis=0)).min() > 1e-6]


def slide() -> Solid:
    """Sliding door: x along the rail, y up the slant, z out of the front."""
    return [box((-0.0006, 0.2806), (-0.1206, 0.1203), (-0.0006, 0.0219)),
            box((0.1192, 0.1608), (-0.0803, -0.0577), (0.0219, 0.0801)),
            box((0.1192, 0.1608), (0.0574, 0.0811), (0.0219, 0.0575)),
            box((0.1192, 0.1608), (-0.0577, 0.0811), (0.0575, 0.0801))]


def drawer() -> Solid:
    """Drawer: y up, z towards the robot's side; blocks rest on the fifth part."""
    return [box((-0.2209, 0.2209), (-0.0209, 0.0812), (0.1574, 0.182)),
            box((-0.2015, 0.2015), (-0.0015, 0.0812), (-0.0609, -0.038)),
            box((0.1769, 0.2015), (-0.0015, 0.0812), (-0.038, 0.1574)),
            box((-0.2015, -0.1769), (-0.0015, 0.0812), (-0.038, 0.1574)),
            box((-0.1769, 0.1769), (-0.0015, 0.0214), (-0.038, 0.1574)),
            box((0.0959, 0.1206), (0.0196, 0.0618), (0.182, 0.2612)),
            box((-0.1206, -0.0959), (0.0196, 0.0618), (0.182, 0.2612)),
            box((-0.0959, 0.0959), (0.0196, 0.0601), (0.2383, 0.2612))]


def switch() -> Solid:
    """Switch lever: y out of the panel, z down the slant."""
    return [box((-0.0603, 0.0603), (0.0416, 0.0643), (-0.0242, 0.008)),
            box((0.0386, 0.0602), (-0.0003, 0.0416), (-0.0242, 0.008)),
            box((-0.0603, -0.0396), (-0.0003, 0.0416), (-0.0242, 0.008))]


def button() -> Solid:
    """Button: a disc."""
    return [cylinder(0.032, (0.0, 0.024))]


def led() -> Solid:
    """LED: a bar on top of the cabinet."""
    return [box((-0.08, 0.08), (-0.02, 0.02), (-0.008, 0.008))]


def plank() -> Solid:
    """Floor of the compartment."""
    return [box((-0.26, 0.26), (-0.07, 0.07), (-0.02, 0.0))]
