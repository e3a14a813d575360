# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From an image message's fields to an RGB array, without cv_bridge and without ROS.

The result equals cv_bridge's ``imgmsg_to_cv2(message, 'rgb8')`` byte for byte where cv_bridge
converts at all; a test compares them where it is installed. Encodings without a colour meaning
(8UC3, 16UC1), which cv_bridge refuses, are read in OpenCV's channel order. Depth (32FC1) is
refused: it is no picture.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from dysl_vla_ros.errors import ContractError


@dataclass(frozen=True)
class Layout:
    """How the bytes of one pixel are meant.

    Attributes:
        channels: Values per pixel as stored.
        depth: Bytes per value.
        order: Where red, green and blue sit among the channels; empty if ``code`` converts.
        code: OpenCV's conversion to RGB (Bayer, YUV), or -1.
    """

    channels: int
    depth: int
    order: tuple[int, ...] = ()
    code: int = -1


_RGB, _BGR, _GREY = (0, 1, 2), (2, 1, 0), (0, 0, 0)
# OpenCV names a Bayer pattern by its second row, the messages by its first.
_BAYER = {'rggb': cv2.COLOR_BayerBG2RGB, 'bggr': cv2.COLOR_BayerRG2RGB,
          'gbrg': cv2.COLOR_BayerGR2RGB, 'grbg': cv2.COLOR_BayerGB2RGB}
# Names: sensor_msgs/image_encodings.hpp.
ENCODINGS: dict[str, Layout] = {
    **{f'{name}{8 * depth}': Layout(channels, depth, order)
       for depth in (1, 2)
       for name, channels, order in (('rgb', 3, _RGB), ('bgr', 3, _BGR), ('rgba', 4, _RGB),
                                     ('bgra', 4, _BGR), ('mono', 1, _GREY))},
    **{f'{8 * depth}UC{channels}': Layout(channels, depth, _BGR if channels > 1 else _GREY)
       for depth in (1, 2) for channels in (1, 3, 4)},
    **{f'bayer_{pattern}{8 * depth}': Layout(1, depth, (), code)
       for depth in (1, 2) for pattern, code in _BAYER.items()},
    **dict.fromkeys(('yuv422', 'uyvy'), Layout(2, 1, (), cv2.COLOR_YUV2RGB_UYVY)),
    **dict.fromkeys(('yuv422_yuy2', 'yuyv'), Layout(2, 1, (), cv2.COLOR_YUV2RGB_YUY2)),
}


def decode_image(height: int, width: int, encoding: str, step: int, data: Any,
                 is_bigendian: bool = False) -> np.ndarray:
    """Decode one raw image.

    Args:
        height: Rows.
        width: Columns.
        encoding: A key of ``ENCODINGS``. 16-bit values are scaled by 255 / 65535.
        step: Bytes per row, padding included.
        data: Bytes-like object of at least ``step * height`` bytes.
        is_bigendian: Byte order of 16-bit values; 8-bit encodings have none.

    Returns:
        (height, width, 3) uint8 RGB, contiguous. For an rgb8 image without padding this is a
        read-only view of ``data``; otherwise a copy.

    Raises:
        ContractError: For an unknown encoding, a size of zero or that the encoding cannot have,
            a step shorter than a row or too little data.
    """
    layout = ENCODINGS.get(encoding)
    if layout is None:
        raise ContractError(f'image encoding {encoding!r} is not supported; publish one of '
                            f'{sorted(ENCODINGS)}')
    if height < 1 or width < 1:
        raise ContractError(f'image of {height} rows and {width} columns is empty')
    if layout.code >= 0 and (width % 2 or (encoding.startswith('bayer') and height % 2)):
        raise ContractError(f'{encoding} image of {height} rows and {width} columns: pairs of '
                            'pixels share their colour, expected even sizes')
    row = width * layout.channels * layout.depth
    if step < row:
        raise ContractError(f'image step {step} is shorter than a row of {width} {encoding} '
                            f'pixels ({row} bytes)')
    flat = np.frombuffer(data, dtype=np.uint8)
    if flat.size < step * height:
        raise ContractError(f'image data has {flat.size} bytes, {height} rows of {step} bytes '
                            f'need {step * height}')
    rows = flat[:step * height].reshape(height, step)[:, :row]  # (H, bytes of a row)
    if layout.depth == 2:
        rows = np.ascontiguousarray(rows).view('>u2' if is_bigendian else '<u2')
    pixels = rows.reshape(height, width, layout.channels)  # (H, W, C)
    if encoding == 'rgb8':
        image = np.ascontiguousarray(pixels)
        image.flags.writeable = False
        return image
    if layout.code >= 0:
        kind: Any = np.uint8 if layout.depth == 1 else np.uint16
        native: np.ndarray[Any, Any] = np.ascontiguousarray(pixels, dtype=kind)
        return _to_8_bit(cv2.cvtColor(native, layout.code))
    return _to_8_bit(np.ascontiguousarray(pixels[:, :, list(layout.order)]))


def decode_compressed(data: Any) -> np.ndarray:
    """Decode a JPEG or PNG (the formats of image_transport's ``compressed``).

    Args:
        data: Bytes-like file content, 8 or 16 bits, grey or colour.

    Returns:
        (H, W, 3) uint8 RGB, contiguous.

    Raises:
        ContractError: If OpenCV cannot read it.
    """
    content = np.frombuffer(data, dtype=np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH) if content.size else None
    if image is None or image.dtype not in (np.uint8, np.uint16):
        raise ContractError(f'compressed image of {content.size} bytes is no JPEG or PNG picture')
    return _to_8_bit(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def _to_8_bit(image: np.ndarray) -> np.ndarray:
    """Scale 16 bits to 8 as OpenCV's convertTo does: by 255 / 65535, half to even."""
    if image.dtype == np.uint8:
        return image
    return np.rint(image * (255.0 / 65535.0)).astype(np.uint8)
