# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Windows: one frame off and every trained policy sees other data than the original's."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from dysl_vla_ros.calvin_hash import fnv1
from dysl_vla_ros.datasets.windows import CALVIN_VISION, ROBOFLAMINGO, Windowing, pad
from dysl_vla_ros.errors import DatasetError


def test_roboflamingo_starts_at_every_frame_of_the_range_in_its_source():
    assert list(ROBOFLAMINGO.starts(100, 163)) == list(range(100, 163 + 1 - 12))
    assert len(ROBOFLAMINGO.starts(100, 163)) == 52
    assert list(ROBOFLAMINGO.starts(100, 111)) == []
    assert list(ROBOFLAMINGO.starts(5, 5)) == []
    assert {ROBOFLAMINGO.length(first, 163) for first in ROBOFLAMINGO.starts(100, 163)} == {12}


@given(st.integers(0, 10**6), st.integers(0, 200), st.integers(1, 20), st.integers(0, 20),
       st.none() | st.integers(0, 99))
def test_windows_never_pass_the_end(start, extra, shortest, more, seed):
    windowing = Windowing(shortest, shortest + more)
    rng = None if seed is None else np.random.default_rng(seed)
    for first in windowing.starts(start, start + extra):
        length = windowing.length(first, start + extra, rng)
        assert windowing.min_window <= length <= windowing.max_window
        assert first >= start
        assert first + length - 1 <= start + extra


def test_validation_lengths_follow_calvins_hash():
    # Value of design/calvin.md 5.4: the same hash over another text.
    assert fnv1("dict_values([1, 1, 'left', 'open', 'slider_left', 'table', 'slider_right', 0])"
                ) == 2138410836
    lengths = [CALVIN_VISION.length(i, 10_000) for i in range(200)]
    assert lengths == [16 + fnv1(str(i)) % 17 for i in range(200)]
    assert {min(lengths), max(lengths)} == {16, 32}
    assert CALVIN_VISION.length(3, 3 + 19) == 16 + fnv1('3') % 5  # 20 frames left: 16..20


def test_padding_repeats_the_last_frame_and_stops_relative_motion():
    values = np.arange(14, dtype=float).reshape(2, 7)
    assert np.array_equal(pad(values, 4, 'actions')[2:], values[[1, 1]])
    relative = pad(values, 4, 'rel_actions')
    assert np.array_equal(relative[:2], values)
    assert np.array_equal(relative[2:], [[0, 0, 0, 0, 0, 0, 13]] * 2)
    image = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    assert pad(image, 3, 'rgb_static').dtype == np.uint8
    assert np.array_equal(pad(image, 3, 'rgb_static')[2], image[0])
    with pytest.raises(DatasetError, match='cannot pad 2 frames to 1'):
        pad(values, 1, 'actions')
    with pytest.raises(DatasetError, match='cannot pad 0 frames'):
        pad(values[:0], 1, 'actions')


def test_impossible_windows_are_refused():
    with pytest.raises(ValueError, match='min_window'):
        Windowing(12, 11)
    with pytest.raises(DatasetError, match='only 5 frames'):
        ROBOFLAMINGO.length(0, 4)
