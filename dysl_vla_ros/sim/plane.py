# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The floor: a checker plane with a generated texture.

One triangle that contains CALVIN's 30 m square: the software renderer walks the bounding box of
every triangle, so a second one would cost as much as the whole robot.
"""

from pathlib import Path

import cv2
import numpy as np

_TILES = 30
_HALF_M = 15
_LIGHT, _DARK = 255, 222

_URDF = """<?xml version="1.0"?><robot name="plane"><link name="planeLink">
<contact><lateral_friction value="1"/></contact>
<inertial><mass value="0"/><inertia ixx="0" ixy="0" ixz="0" iyy="0" iyz="0" izz="0"/></inertial>
<visual><geometry><mesh filename="plane.obj"/></geometry>
<material name="white"><color rgba="1 1 1 1"/></material></visual>
<collision><origin xyz="0 0 -5"/><geometry><box size="200 200 10"/></geometry></collision>
</link></robot>"""


def write(folder: Path) -> str:
    """Write URDF, mesh and checker texture into ``folder``; return the URDF's path."""
    cells = (np.arange(256)[:, None] // 128 + np.arange(256)[None, :] // 128) % 2
    image = np.where(cells == 0, _LIGHT, _DARK).astype(np.uint8)
    cv2.imwrite(str(folder / 'checker.png'), np.repeat(image[:, :, None], 3, axis=2))
    (folder / 'plane.mtl').write_text(
        'newmtl checker\nKa 0.5 0.5 0.5\nKd 1 1 1\nKs 0 0 0\nmap_Kd checker.png\n')
    tiles_per_m = _TILES / (4 * _HALF_M)
    # Corners of the triangle around the square; texture coordinates grow with x and y.
    corners = [(-3 * _HALF_M, -_HALF_M), (3 * _HALF_M, -_HALF_M), (0, 3 * _HALF_M)]
    vertices = ''.join(f'v {x} {y} 0\n' for x, y in corners)
    texture = ''.join(f'vt {(x + _HALF_M) * tiles_per_m} {(y + _HALF_M) * tiles_per_m}\n'
                      for x, y in corners)
    (folder / 'plane.obj').write_text(
        f'mtllib plane.mtl\nusemtl checker\n{vertices}{texture}vn 0 0 1\nf 1/1/1 2/2/1 3/3/1\n')
    path = folder / 'plane.urdf'
    path.write_text(_URDF, encoding='utf-8')
    return str(path)
