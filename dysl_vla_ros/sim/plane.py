# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The floor: a 30 m checker plane with a generated texture."""

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
    h, t = _HALF_M, _TILES / 2
    (folder / 'plane.obj').write_text(
        'mtllib plane.mtl\nusemtl checker\n'
        f'v {-h} {-h} 0\nv {h} {-h} 0\nv {h} {h} 0\nv {-h} {h} 0\n'
        f'vt 0 0\nvt {t} 0\nvt {t} {t}\nvt 0 {t}\nvn 0 0 1\n'
        'f 1/1/1 2/2/1 3/3/1\nf 1/1/1 3/3/1 4/4/1\n')
    path = folder / 'plane.urdf'
    path.write_text(_URDF, encoding='utf-8')
    return str(path)
