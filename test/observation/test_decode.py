# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Swapped colours or a skewed row would still look like an image to the policy."""

from array import array

import cv2
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.observation.decode import ENCODINGS, decode_compressed, decode_image

FORWARD = {
    'rgb8': lambda rgb: rgb,
    'bgr8': lambda rgb: rgb[:, :, ::-1],
    'rgba8': lambda rgb: np.dstack([rgb, np.full(rgb.shape[:2], 7, np.uint8)]),
    'bgra8': lambda rgb: np.dstack([rgb[:, :, ::-1], np.full(rgb.shape[:2], 7, np.uint8)]),
}


@given(st.sampled_from(sorted(FORWARD)), st.integers(1, 9), st.integers(1, 9), st.integers(0, 5),
       st.integers(0, 2**32 - 1))
def test_every_encoding_and_padding_gives_the_same_image(encoding, height, width, padding, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    packed = FORWARD[encoding](rgb).reshape(height, -1)
    rows = np.hstack([packed, np.full((height, padding), 99, np.uint8)])
    data = array('B', rows.tobytes())
    image = decode_image(height, width, encoding, rows.shape[1], data)
    assert (image == rgb).all()
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous


@given(st.sampled_from(['rgb16', 'bgr16', 'rgba16', 'bgra16', 'mono16', '16UC1', '16UC3']),
       st.booleans(), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_sixteen_bits_are_scaled_in_either_byte_order(encoding, is_bigendian, padding, seed):
    layout = ENCODINGS[encoding]
    values = np.random.default_rng(seed).integers(0, 65536, (3, 5, layout.channels), np.uint16)
    packed = values.astype('>u2' if is_bigendian else '<u2').reshape(3, -1).view(np.uint8)
    rows = np.hstack([packed, np.full((3, padding), 99, np.uint8)])
    image = decode_image(3, 5, encoding, rows.shape[1], rows.tobytes(), is_bigendian)
    expected = values[:, :, list(layout.order)] / 257
    assert np.abs(image - expected).max() <= 0.5


@pytest.mark.parametrize('depth', [8, 16])
@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_a_bayer_mosaic_of_one_colour_gives_that_colour(pattern, depth):
    colour = {'r': 200, 'g': 100, 'b': 30}
    tile = np.array([colour[c] for c in pattern]).reshape(2, 2) * (257 if depth == 16 else 1)
    mosaic = np.tile(tile, (4, 5)).astype('<u2' if depth == 16 else np.uint8)
    image = decode_image(8, 10, f'bayer_{pattern}{depth}', 10 * depth // 8, mosaic.tobytes())
    assert (image == [200, 100, 30]).all()


@pytest.mark.parametrize(('encoding', 'order'), [('yuv422', 'uyvy'), ('uyvy', 'uyvy'),
                                                 ('yuv422_yuy2', 'yuyv'), ('yuyv', 'yuyv')])
def test_yuv_pairs_are_read_in_their_order(encoding, order):
    y, u, v = 82, 90, 240  # pure red in BT.601
    pixels = bytes({'y': y, 'u': u, 'v': v}[c] for c in order) * 2
    image = decode_image(1, 4, encoding, 8, pixels)
    assert np.abs(image.astype(int) - [255, 0, 0]).max() <= 2


@pytest.mark.parametrize('extension', ['.png', '.jpg'])
def test_a_compressed_image_keeps_its_colours(extension):
    rgb = np.full((8, 8, 3), (200, 100, 30), np.uint8)
    data = cv2.imencode(extension, rgb[:, :, ::-1])[1].tobytes()
    assert np.abs(decode_compressed(data).astype(int) - rgb).max() <= 3
    assert decode_compressed(data).flags.c_contiguous


@given(st.binary(max_size=64))
def test_bytes_that_are_no_picture_are_refused(data):
    with pytest.raises(ContractError, match='no JPEG or PNG'):
        decode_compressed(data)


def test_grey_is_repeated_in_all_channels():
    image = decode_image(1, 2, 'mono8', 2, b'\x05\x09')
    assert image.tolist() == [[[5, 5, 5], [9, 9, 9]]]


def test_an_rgb8_image_is_not_copied_and_cannot_be_written():
    data = array('B', bytes(12))
    image = decode_image(2, 2, 'rgb8', 6, data)
    data[0] = 42
    assert image[0, 0, 0] == 42
    with pytest.raises(ValueError, match='read-only'):
        image[0, 0, 0] = 1


@pytest.mark.parametrize(('arguments', 'complaint'), [
    ((2, 2, '32FC1', 8, bytes(16)), "'32FC1' is not supported"),
    ((2, 3, 'yuv422', 6, bytes(12)), 'expected even sizes'),
    ((3, 2, 'bayer_rggb8', 2, bytes(6)), 'expected even sizes'),
    ((2, 2, 'mono16', 3, bytes(12)), 'step 3 is shorter'),
    ((0, 2, 'rgb8', 6, bytes(12)), 'is empty'),
    ((2, 2, 'rgb8', 5, bytes(12)), 'step 5 is shorter'),
    ((2, 2, 'rgb8', 6, bytes(11)), '11 bytes'),
])
def test_a_broken_image_is_refused_with_the_reason(arguments, complaint):
    with pytest.raises(ContractError, match=complaint):
        decode_image(*arguments)
