# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The built-in Panda: pybullet_data's arm plus CALVIN's long fingers, pads, camera and tcp.

The description is edited in memory: visual meshes are replaced by the arm's own collision
meshes (a hundred times fewer faces; rendering dominates the run time), fingers and pads get
shapes of our own, and the links ``gripper_cam`` and ``tcp`` are added. Joint indices equal CALVIN's.
"""

import copy
import math
from pathlib import Path
import xml.etree.ElementTree as ElementTree

import numpy as np
import pybullet_data

from dysl_vla_ros.sim.solids import Solid, write_obj

# What the fingers look like: left finger's frame, x, y, z ranges in metres.
_FINGER_BOXES = (
    ((-0.0105, 0.0105), (0.0062, 0.027), (0.0, 0.02)),
    ((-0.0105, 0.0105), (0.0127, 0.0216), (0.02, 0.045)),
    ((-0.0088, 0.0088), (0.0042, 0.0180), (0.045, 0.0964)),
)
# What they are for the physics: CALVIN's long finger is one convex body, thick at the hand,
# three millimetres thin at its tip. Cross sections: z, half width, y of inner and outer face.
_FINGER_SECTIONS = (
    (0.0003, 0.0104, 0.0062, 0.027), (0.0337, 0.0105, 0.0131, 0.0216),
    (0.0647, 0.0087, 0.0040, 0.0065), (0.0910, 0.0087, 0.0039, 0.0065),
    (0.0962, 0.0055, 0.0039, 0.0068),
)
# The pads' gel bulges towards the block: back and edge plane, apex, centre in z, half extents
# and radii of curvature (pad frame, x towards the block).
_PAD_BACK_M, _PAD_EDGE_M, _PAD_APEX_M, _PAD_Z_M = 0.0161, 0.0173, 0.0201, 0.0172
_PAD_HALF_M = (0.0092, 0.0125)
_PAD_RADII_M = (0.0163, 0.056)
_PAD_GRID = 9


def _finger_solid() -> Solid:
    return [np.array([(sign * x, y, z) for z, x, inner, outer in _FINGER_SECTIONS
                      for sign in (-1, 1) for y in (inner, outer)])]


def _pad_solid() -> Solid:
    (half_y, half_z), (radius_y, radius_z) = _PAD_HALF_M, _PAD_RADII_M
    y, z = (v.ravel() for v in np.meshgrid(np.linspace(-half_y, half_y, _PAD_GRID),
                                           np.linspace(-half_z, half_z, _PAD_GRID)))
    x = np.maximum(_PAD_APEX_M - y**2 / (2 * radius_y) - z**2 / (2 * radius_z), _PAD_EDGE_M)
    back = [(_PAD_BACK_M, a, _PAD_Z_M + b) for a in (-half_y, half_y) for b in (-half_z, half_z)]
    return [np.vstack([np.column_stack([x, y, z + _PAD_Z_M]), back])]


def _collision(path: str, yaw: float = 0.0) -> str:
    return (f'<collision><origin xyz="0 0 0" rpy="0 0 {yaw!r}"/><geometry>'
            f'<mesh filename="{path}"/></geometry></collision>')


def _replace_finger(link: ElementTree.Element, solid: str, is_mirrored: bool) -> None:
    for tag in ('visual', 'collision'):
        for old in link.findall(tag):
            link.remove(old)
    for x, y, z in _FINGER_BOXES:
        y_range = (-y[1], -y[0]) if is_mirrored else y
        ranges = (x, y_range, z)
        visual = ElementTree.SubElement(link, 'visual')
        centre = [(r[0] + r[1]) / 2 for r in ranges]
        size = [r[1] - r[0] for r in ranges]
        ElementTree.SubElement(visual, 'origin', xyz=' '.join(map(repr, centre)), rpy='0 0 0')
        geometry = ElementTree.SubElement(visual, 'geometry')
        ElementTree.SubElement(geometry, 'box', size=' '.join(map(repr, size)))
    link.append(ElementTree.fromstring(_collision(solid, math.pi if is_mirrored else 0.0)))


def _extra_links(pad_solid: str) -> str:
    pad = ('<inertial><mass value="0.0001"/><origin xyz="0 0 0"/>'
           '<inertia ixx="1" ixy="0" ixz="0" iyy="1" iyz="0" izz="1"/></inertial>'
           '<contact><lateral_friction value="1"/><spinning_friction value=".001"/></contact>')
    # Pad 4 x 18.5 x 25 mm (design/calvin.md 2.3); drawn as a box.
    visual = ('<origin xyz="0.0181 0 0.0171" rpy="0 0 0"/><geometry>'
              '<box size="0.004 0.0185 0.025"/></geometry>')
    parts = []
    for side, sign in (('left', 1), ('right', -1)):
        parts.append(
            f'<joint name="joint_finger_tip_{side}" type="fixed">'
            f'<origin xyz="{sign * 0.0009} {sign * 0.021} 0.066" rpy="0 0 {-sign * 1.57}"/>'
            f'<parent link="panda_{side}finger"/><child link="finger_{side}_tip"/></joint>'
            f'<link name="finger_{side}_tip">{pad}'
            f'<visual>{visual}</visual>{_collision(pad_solid)}</link>')
    parts.append(
        '<joint name="camera_joint" type="fixed"><parent link="panda_hand"/>'
        '<child link="gripper_cam"/><origin xyz="-0.1 0 0" rpy="1.3 0 -1.57"/></joint>'
        '<link name="gripper_cam"><inertial><mass value="0.2"/>'
        '<inertia ixx="0.1" ixy="0" ixz="0" iyy="0.1" iyz="0" izz="0.1"/></inertial>'
        '<visual><geometry><box size="0.08 0.025 0.01"/></geometry></visual></link>'
        '<joint name="tcp_joint" type="fixed"><parent link="panda_hand"/><child link="tcp"/>'
        '<origin xyz="0 0 0.14" rpy="0 0 0"/></joint>'
        '<link name="tcp"><inertial><mass value="0.00001"/>'
        '<inertia ixx="0.1" ixy="0" ixz="0" iyy="0.1" iyz="0" izz="0.1"/></inertial></link>')
    return '<extra>' + ''.join(parts) + '</extra>'


def panda_urdf(solids: Path) -> str:
    """URDF text of the built-in robot with absolute mesh paths.

    Writes the meshes of fingers and pads into the folder ``solids``.
    """
    finger = write_obj(solids / 'finger.obj', _finger_solid())
    pad = write_obj(solids / 'pad.obj', _pad_solid())
    folder = Path(pybullet_data.getDataPath()) / 'franka_panda'
    root = ElementTree.parse(folder / 'panda.urdf').getroot()
    for element in root.findall('link'):
        name = element.get('name', '')
        if name in ('panda_leftfinger', 'panda_rightfinger'):
            _replace_finger(element, finger, is_mirrored=name == 'panda_rightfinger')
        else:
            collision = element.find('collision')
            for visual in element.findall('visual'):
                if collision is not None:
                    old = visual.find('geometry')
                    new = collision.find('geometry')
                    if old is not None and new is not None:
                        visual.remove(old)
                        visual.append(copy.deepcopy(new))
    for mesh in root.iter('mesh'):
        relative = mesh.get('filename', '').removeprefix('package://')
        mesh.set('filename', str(folder / relative))
    for extra in ElementTree.fromstring(_extra_links(pad)):
        root.append(extra)
    ElementTree.indent(root)  # short lines, see urdf.py
    return ElementTree.tostring(root, encoding='unicode')
