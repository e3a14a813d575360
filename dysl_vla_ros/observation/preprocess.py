# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image preprocessing shared by training data, the node and offline evaluation."""

from typing import Literal

import cv2
import numpy as np

ResizeMode = Literal['area', 'bicubic']


def resize(image: np.ndarray, size: int, mode: ResizeMode) -> np.ndarray:
    """Resize to a square.

    Args:
        image: (H, W, 3) uint8 RGB.
        size: Side of the result in pixels.
        mode: 'area' averages (dysl-mini); 'bicubic' is PIL's bicubic resize of the shorter side
            followed by a centre crop (CLIP, roboflamingo-3b).

    Returns:
        (size, size, 3) uint8 RGB.
    """
    if mode == 'area':
        if image.shape[:2] == (size, size):
            return image
        return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    from PIL import Image

    height, width = image.shape[:2]
    scale = size / min(height, width)
    new = (max(size, round(width * scale)), max(size, round(height * scale)))
    resized = np.asarray(Image.fromarray(image).resize(new, Image.Resampling.BICUBIC))
    top, left = (new[1] - size) // 2, (new[0] - size) // 2
    return resized[top:top + size, left:left + size]
