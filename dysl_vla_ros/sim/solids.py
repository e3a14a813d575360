# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Collision bodies made of convex parts, written as OBJ files.

PyBullet turns every object of such a file into a convex hull with a margin of 1 mm, as it does
with CALVIN's files, and solves the contacts of hulls in another way than those of boxes: with
boxes a recorded grasp ends elsewhere.
"""

from pathlib import Path

import numpy as np
from scipy.spatial import ConvexHull

Range = tuple[float, float]
# Convex parts as their (n, 3) corner points, metres, link frame.
Solid = list[np.ndarray]


def box(x: Range, y: Range, z: Range) -> np.ndarray:
    """(8, 3) corners of an axis-aligned box."""
    return np.array([(a, b, c) for a in x for b in y for c in z])


def prism(profile: list[tuple[float, float]], x: Range) -> np.ndarray:
    """Corners of a (y, z) profile drawn along x."""
    return np.array([(a, y, z) for a in x for y, z in profile])


def cylinder(radius: float, z: Range, corners: int = 32) -> np.ndarray:
    """Corners of an upright regular prism with ``corners`` sides around the z axis."""
    angles = 2 * np.pi * np.arange(corners) / corners
    return np.array([(radius * np.cos(a), radius * np.sin(a), h) for a in angles for h in z])


def ring(centre: tuple[float, float], radii: Range, z: Range, parts: int = 12) -> Solid:
    """An upright ring around ``centre`` as ``parts`` convex blocks."""
    angles = 2 * np.pi * np.arange(parts + 1) / parts
    return [np.array([(centre[0] + r * np.cos(a), centre[1] + r * np.sin(a), h)
                      for r in radii for a in pair for h in z])
            for pair in zip(angles[:-1], angles[1:], strict=True)]


def write_obj(path: Path, solid: Solid) -> str:
    """Write one OBJ object per convex part, triangles facing outward; return the path."""
    lines: list[str] = []
    count = 1  # OBJ counts vertices from 1
    for index, points in enumerate(solid):
        hull = ConvexHull(points)
        lines.append(f'o part_{index}')
        lines += [f'v {x!r} {y!r} {z!r}' for x, y, z in points.tolist()]
        for (a, b, c), plane in zip(hull.simplices, hull.equations, strict=True):
            normal = np.cross(points[b] - points[a], points[c] - points[a])
            second, third = (b, c) if normal @ plane[:3] > 0 else (c, b)
            lines.append(f'f {a + count} {second + count} {third + count}')
        count += len(points)
    path.write_text('\n'.join(lines) + '\n', encoding='utf-8')
    return str(path)
