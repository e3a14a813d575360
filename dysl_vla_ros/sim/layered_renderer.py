# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The static camera's picture from two layers: what never moves is drawn once.

TinyRenderer casts no shadows here, so a pixel shows the nearest surface and nothing else matters.
Floor and table body fill most of the picture and cost two thirds of its time; they are drawn once
with their depth, and each frame draws the rest. The result is the plain picture except where both
layers are equally far to the last bit of the depth buffer (0.1 mm): up to a few of 40,000 pixels,
along the edges of things that lie on the table (test_layered_renderer.py).
"""

import numpy as np
import pybullet

from dysl_vla_ros.sim import cameras
from dysl_vla_ros.sim.cameras import CameraSpec

_INVISIBLE = (0.0, 0.0, 0.0, 0.0)
_Part = tuple[int, int]  # (body, link)


class LayeredRenderer:
    """Draws one camera that does not move, in the client whose scene it shows."""

    def __init__(self, client: int, spec: CameraSpec, view: tuple[float, ...],
                 fixed: tuple[_Part, ...]) -> None:
        """Draw the fixed layer.

        Args:
            client: Physics client.
            spec: The camera.
            view: Its view matrix (16,).
            fixed: (body, link) pairs that never move or change colour; -1 is the base.
        """
        self._client, self._spec, self._view = client, spec, view
        colours: dict[_Part, list[tuple[float, ...]]] = {}
        for body in range(pybullet.getNumBodies(physicsClientId=client)):
            uid = pybullet.getBodyUniqueId(body, physicsClientId=client)
            for shape in pybullet.getVisualShapeData(uid, physicsClientId=client):
                colours.setdefault((uid, shape[1]), []).append(shape[7])
        self._fixed = {part: colours[part] for part in fixed}
        moving = {part: values for part, values in colours.items() if part not in self._fixed}
        self._hide(moving)
        self._rgb, self._z, self._body = (image.copy() for image in self._draw())
        self._show(moving)

    def render(self) -> tuple[np.ndarray, np.ndarray]:
        """Draw now: RGB (H, W, 3) uint8 and depth (H, W) float32 in metres."""
        self._hide(self._fixed)
        rgb, z, body = self._draw()
        self._show(self._fixed)
        # As in the plain picture, of two equally near surfaces the one drawn later is seen.
        is_seen = (z < self._z) | ((z == self._z) & (body >= self._body))
        picture = np.where(is_seen[..., None], rgb, self._rgb)
        return picture, cameras.metric_depth(self._spec, np.where(is_seen, z, self._z))

    def _draw(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return cameras.draw(self._client, self._spec, self._view, 'tiny')

    def _hide(self, parts: dict[_Part, list[tuple[float, ...]]]) -> None:
        for body, link in parts:
            pybullet.changeVisualShape(body, link, rgbaColor=_INVISIBLE,
                                       physicsClientId=self._client)

    def _show(self, parts: dict[_Part, list[tuple[float, ...]]]) -> None:
        for (body, link), colours in parts.items():
            for index, colour in enumerate(colours):
                pybullet.changeVisualShape(body, link, shapeIndex=index, rgbaColor=colour,
                                           physicsClientId=self._client)
