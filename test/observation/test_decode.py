# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Swapped colours or a skewed row would still look like an image to the policy."""

from array import array

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.observation.decode import decode_image

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
    ((2, 2, 'yuv422', 6, bytes(12)), "'yuv422' is not supported"),
    ((0, 2, 'rgb8', 6, bytes(12)), 'is empty'),
    ((2, 2, 'rgb8', 5, bytes(12)), 'step 5 is shorter'),
    ((2, 2, 'rgb8', 6, bytes(11)), '11 bytes'),
])
def test_a_broken_image_is_refused_with_the_reason(arguments, complaint):
    with pytest.raises(ContractError, match=complaint):
        decode_image(*arguments)
