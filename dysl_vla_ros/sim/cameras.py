# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CALVIN's two cameras: poses, matrices and rendering.

Source: design/calvin.md section 2.6.
"""

from dataclasses import dataclass

import numpy as np
import pybullet

from dysl_vla_ros.errors import ConfigError

STATIC_EYE = (2.871459009488717, -2.166602199425597, 2.555159848480571)
STATIC_TARGET = (-0.026242351159453392, -0.0302329882979393, 0.3920000493526459)
STATIC_UP = (0.4041403970338857, 0.22629790978217404, 0.8862616969685161)
LAYERED = 'tiny_layered'  # layered_renderer.py for the static camera, tiny for the other
RENDERERS = {'tiny': pybullet.ER_TINY_RENDERER, LAYERED: pybullet.ER_TINY_RENDERER,
             'egl': pybullet.ER_BULLET_HARDWARE_OPENGL}
CAMERA_NAMES = ('static', 'gripper')
_MAX_PIXELS = 4096


@dataclass(frozen=True)
class CameraSpec:
    """Intrinsics of one camera: size in pixels, vertical field of view in degrees, range in m."""

    width: int
    height: int
    fov_deg: float
    near_m: float
    far_m: float

    def __post_init__(self) -> None:
        """Refuse what no camera has.

        Raises:
            ConfigError: For a size that is no whole number of 1 to 4096 pixels, a field of view
                outside 0 to 180 degrees, or near and far planes out of order.
        """
        for name in ('width', 'height'):
            value = getattr(self, name)
            if not isinstance(value, int) or not 1 <= value <= _MAX_PIXELS:
                raise ConfigError(f'camera {name}: expected 1 to {_MAX_PIXELS} pixels, got '
                                  f'{value!r}')
        if not 0 < self.fov_deg < 180:
            raise ConfigError(f'camera fov_deg: expected 0 to 180 degrees, got {self.fov_deg!r}')
        if not 0 < self.near_m < self.far_m < np.inf:
            raise ConfigError('camera near_m, far_m: expected 0 < near_m < far_m, got '
                              f'{self.near_m!r} and {self.far_m!r}')

    def projection(self, client: int) -> tuple[float, ...]:
        """Projection matrix (16,) column-major, as PyBullet returns it."""
        matrix = pybullet.computeProjectionMatrixFOV(
            fov=self.fov_deg, aspect=self.width / self.height, nearVal=self.near_m,
            farVal=self.far_m, physicsClientId=client)
        return tuple(matrix)


STATIC_CAMERA = CameraSpec(200, 200, 10.0, 0.01, 10.0)
GRIPPER_CAMERA = CameraSpec(84, 84, 75.0, 0.01, 2.0)


def static_view(client: int) -> tuple[float, ...]:
    """View matrix (16,) of the static camera, column-major."""
    matrix = pybullet.computeViewMatrix(STATIC_EYE, STATIC_TARGET, STATIC_UP,
                                        physicsClientId=client)
    return tuple(matrix)


def gripper_view(client: int, position: tuple[float, ...],
                 quaternion: tuple[float, ...]) -> tuple[float, ...]:
    """View matrix (16,) of the gripper camera: along the link's y axis, up = minus its z axis."""
    rotation = pybullet.getMatrixFromQuaternion(quaternion)
    matrix = np.array(rotation).reshape(3, 3)
    target = np.array(position) + matrix[:, 1]
    return tuple(pybullet.computeViewMatrix(position, target, -matrix[:, 2],
                                            physicsClientId=client))


def draw(client: int, spec: CameraSpec, view: tuple[float, ...],
         renderer: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw one camera.

    Returns:
        (H, W, 3) uint8 RGB, (H, W) float32 depth buffer in 0..1 and (H, W) int32 body ids, -1
        where nothing is.
    """
    _, _, rgba, z, body = pybullet.getCameraImage(
        spec.width, spec.height, view, spec.projection(client), renderer=RENDERERS[renderer],
        physicsClientId=client)
    size = spec.height, spec.width
    return (np.asarray(rgba, dtype=np.uint8).reshape(*size, 4)[:, :, :3],
            np.asarray(z).reshape(size), np.asarray(body).reshape(size))


def metric_depth(spec: CameraSpec, z: np.ndarray) -> np.ndarray:
    """Depth buffer in 0..1 -> float32 metres along the optical axis."""
    near, far = spec.near_m, spec.far_m
    return (far * near / (far - (far - near) * z)).astype(np.float32)


def render(client: int, spec: CameraSpec, view: tuple[float, ...],
           renderer: str) -> tuple[np.ndarray, np.ndarray]:
    """Render one camera.

    Returns:
        (H, W, 3) uint8 RGB and (H, W) float32 depth in metres along the optical axis.
    """
    rgb, z, _ = draw(client, spec, view, renderer)
    return np.ascontiguousarray(rgb), metric_depth(spec, z)
