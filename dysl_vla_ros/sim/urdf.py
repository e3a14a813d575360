# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A few helpers that write URDF text from primitive shapes.

Every element has a line of its own: PyBullet reads URDF files in pieces of 8 kB and breaks a
longer line in two, wherever that is.
"""

from dataclasses import dataclass

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Shape:
    """One primitive in its link's frame; size is (x, y, z), (radius, length) or (radius,)."""

    kind: str
    size: tuple[float, ...]
    xyz: Vector = (0.0, 0.0, 0.0)
    rpy: Vector = (0.0, 0.0, 0.0)
    rgba: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)


def box(x: tuple[float, float], y: tuple[float, float], z: tuple[float, float],
        rgba: tuple[float, float, float, float]) -> Shape:
    """Axis-aligned box from its x, y and z ranges in the link frame."""
    size = (x[1] - x[0], y[1] - y[0], z[1] - z[0])
    centre = ((x[0] + x[1]) / 2, (y[0] + y[1]) / 2, (z[0] + z[1]) / 2)
    return Shape('box', size, centre, rgba=rgba)


def _numbers(values: tuple[float, ...]) -> str:
    return ' '.join(repr(float(v)) for v in values)


def _geometry(shape: Shape) -> str:
    if shape.kind == 'box':
        inner = f'<box size="{_numbers(shape.size)}"/>'
    elif shape.kind == 'cylinder':
        inner = f'<cylinder radius="{shape.size[0]!r}" length="{shape.size[1]!r}"/>'
    elif shape.kind == 'sphere':
        inner = f'<sphere radius="{shape.size[0]!r}"/>'
    else:
        raise ValueError(f'unknown shape {shape.kind!r}')
    origin = f'<origin xyz="{_numbers(shape.xyz)}" rpy="{_numbers(shape.rpy)}"/>'
    return f'{origin}<geometry>{inner}</geometry>'


def link(name: str, shapes: list[Shape], mass: float, friction: float, solid: str = '',
         is_concave: bool = False) -> str:
    """URDF text of one link; a mass of 0 makes a base static.

    Args:
        name: Name of the link.
        shapes: What it looks like.
        mass: Kilograms.
        friction: Lateral friction.
        solid: Path of a mesh for the physics; empty: the same shapes.
        is_concave: Whether the mesh is used triangle by triangle, not as convex hulls.
    """
    parts = [f'<link name="{name}">',
             f'<contact><lateral_friction value="{friction!r}"/></contact>',
             f'<inertial><mass value="{mass!r}"/>'
             '<inertia ixx="0.001" ixy="0" ixz="0" iyy="0.001" iyz="0" izz="0.001"/></inertial>']
    for index, shape in enumerate(shapes):
        rgba = _numbers(shape.rgba)
        parts.append(f'<visual>{_geometry(shape)}<material name="{name}_{index}">'
                     f'<color rgba="{rgba}"/></material></visual>')
        if not solid:
            parts.append(f'<collision>{_geometry(shape)}</collision>')
    if solid:
        concave = ' concave="yes"' if is_concave else ''
        parts.append(f'<collision{concave}><geometry><mesh filename="{solid}"/></geometry>'
                     '</collision>')
    return '\n'.join([*parts, '</link>'])


def joint(name: str, kind: str, child: str, xyz: Vector, rpy: Vector = (0.0, 0.0, 0.0),
          axis: Vector = (1.0, 0.0, 0.0), upper: float = 0.0, parent: str = 'base_link') -> str:
    """URDF text of one joint; prismatic joints run from 0 to ``upper`` metres."""
    limit = (f'<axis xyz="{_numbers(axis)}"/>'
             f'<limit lower="0" upper="{upper!r}" effort="0" velocity="0"/>')
    return (f'<joint name="{name}" type="{kind}">'
            f'<origin xyz="{_numbers(xyz)}" rpy="{_numbers(rpy)}"/>'
            f'<parent link="{parent}"/><child link="{child}"/>'
            f'{limit if kind == "prismatic" else ""}</joint>')


def robot(name: str, parts: list[str]) -> str:
    """Complete URDF document."""
    return f'<?xml version="1.0"?><robot name="{name}">' + '\n'.join(parts) + '</robot>'
