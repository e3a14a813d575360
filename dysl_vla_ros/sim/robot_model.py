# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The built-in Panda: pybullet_data's arm plus CALVIN's long fingers, pads, camera and tcp.

The description is edited in memory: visual meshes are replaced by the arm's own collision
meshes (a hundred times fewer faces; rendering dominates the run time), fingers and pads are
boxes, and the links ``gripper_cam`` and ``tcp`` are added. Joint indices equal CALVIN's.
"""

import copy
from pathlib import Path
import xml.etree.ElementTree as ElementTree

import numpy as np
import pybullet_data

_FINGER_BOXES = (  # finger frame of the left finger: x, y, z ranges in metres
    ((-0.0105, 0.0105), (0.0062, 0.027), (0.0, 0.02)),
    ((-0.0105, 0.0105), (0.0127, 0.0216), (0.02, 0.045)),
    ((-0.0088, 0.0088), (0.0042, 0.0180), (0.045, 0.0964)),
)


# Bullet gives convex meshes, which CALVIN's fingers are, a collision margin that boxes lack:
# without it a gripped block is not touched.
_MESH_MARGIN_M = 0.001


def _box_element(tag: str, x: tuple[float, float], y: tuple[float, float],
                 z: tuple[float, float]) -> ElementTree.Element:
    element = ElementTree.Element(tag)
    margin = _MESH_MARGIN_M if tag == 'collision' else 0.0
    centre = [(r[0] + r[1]) / 2 for r in (x, y, z)]
    size = [r[1] - r[0] + 2 * margin for r in (x, y, z)]
    ElementTree.SubElement(element, 'origin', xyz=' '.join(map(repr, centre)), rpy='0 0 0')
    geometry = ElementTree.SubElement(element, 'geometry')
    ElementTree.SubElement(geometry, 'box', size=' '.join(map(repr, size)))
    return element


def _replace_finger(link: ElementTree.Element, mirror: bool) -> None:
    for tag in ('visual', 'collision'):
        for old in link.findall(tag):
            link.remove(old)
        for x, y, z in _FINGER_BOXES:
            y_range = (-y[1], -y[0]) if mirror else y
            link.append(_box_element(tag, x, y_range, z))


def _extra_links() -> str:
    pad = ('<inertial><mass value="0.0001"/><origin xyz="0 0 0"/>'
           '<inertia ixx="1" ixy="0" ixz="0" iyy="1" iyz="0" izz="1"/></inertial>'
           '<contact><lateral_friction value="1"/><spinning_friction value=".001"/></contact>')
    # Pad 4 x 18.5 x 25 mm, inner face 0.9 mm from the mid plane at q = 0 (design/calvin.md 2.3).
    size = np.array([0.004, 0.0185, 0.025])
    boxes = {tag: '<origin xyz="0.0181 0 0.0171" rpy="0 0 0"/><geometry>'
                  f'<box size="{" ".join(map(repr, extent.tolist()))}"/></geometry>'
             for tag, extent in (('visual', size), ('collision', size + 2 * _MESH_MARGIN_M))}
    parts = []
    for side, sign in (('left', 1), ('right', -1)):
        parts.append(
            f'<joint name="joint_finger_tip_{side}" type="fixed">'
            f'<origin xyz="{sign * 0.0009} {sign * 0.021} 0.066" rpy="0 0 {-sign * 1.57}"/>'
            f'<parent link="panda_{side}finger"/><child link="finger_{side}_tip"/></joint>'
            f'<link name="finger_{side}_tip">{pad}'
            f'<visual>{boxes["visual"]}</visual>'
            f'<collision>{boxes["collision"]}</collision></link>')
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


def panda_urdf() -> str:
    """URDF text of the built-in robot with absolute mesh paths."""
    folder = Path(pybullet_data.getDataPath()) / 'franka_panda'
    root = ElementTree.parse(folder / 'panda.urdf').getroot()
    for element in root.findall('link'):
        name = element.get('name', '')
        if name in ('panda_leftfinger', 'panda_rightfinger'):
            _replace_finger(element, mirror=name == 'panda_rightfinger')
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
    for extra in ElementTree.fromstring(_extra_links()):
        root.append(extra)
    ElementTree.indent(root)  # short lines, see urdf.py
    return ElementTree.tostring(root, encoding='unicode')
