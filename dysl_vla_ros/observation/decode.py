# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the fields of a sensor_msgs/Image to an RGB array, without cv_bridge and without ROS."""

from typing import Any

import numpy as np

from dysl_vla_ros.errors import ContractError

# encoding -> (channels, order of the RGB channels in a pixel)
ENCODINGS: dict[str, tuple[int, tuple[int, int, int]]] = {
    'rgb8': (3, (0, 1, 2)),
    'bgr8': (3, (2, 1, 0)),
    'rgba8': (4, (0, 1, 2)),
    'bgra8': (4, (2, 1, 0)),
    'mono8': (1, (0, 0, 0)),
}


def decode_image(height: int, width: int, encoding: str, step: int, data: Any) -> np.ndarray:
    """Decode one 8-bit image.

    Args:
        height: Rows.
        width: Columns.
        encoding: One of rgb8, bgr8, rgba8, bgra8, mono8 (sensor_msgs/image_encodings.hpp). All
            have one byte per channel, so the byte order flag of the message means nothing here.
        step: Bytes per row, padding included.
        data: Bytes-like object of at least ``step * height`` bytes.

    Returns:
        (height, width, 3) uint8 RGB, contiguous. For an rgb8 image without padding this is a
        read-only view of ``data``; otherwise a copy.

    Raises:
        ContractError: For an unknown encoding, a size of zero, a step shorter than a row or too
            little data.
    """
    if encoding not in ENCODINGS:
        raise ContractError(f'image encoding {encoding!r} is not supported; publish one of '
                            f'{sorted(ENCODINGS)}')
    channels, order = ENCODINGS[encoding]
    if height < 1 or width < 1:
        raise ContractError(f'image of {height} rows and {width} columns is empty')
    if step < width * channels:
        raise ContractError(f'image step {step} is shorter than a row of {width} {encoding} '
                            f'pixels ({width * channels} bytes)')
    flat = np.frombuffer(data, dtype=np.uint8)
    if flat.size < step * height:
        raise ContractError(f'image data has {flat.size} bytes, {height} rows of {step} bytes '
                            f'need {step * height}')
    rows = flat[:step * height].reshape(height, step)  # (H, step)
    pixels = rows[:, :width * channels].reshape(height, width, channels)  # (H, W, C)
    if encoding != 'rgb8':
        return np.ascontiguousarray(pixels[:, :, list(order)])
    image = np.ascontiguousarray(pixels)
    image.flags.writeable = False
    return image
