# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A future sample must not hide the one before it; order of arrival must not matter."""

from hypothesis import given
from hypothesis import strategies as st
import pytest

from dysl_vla_ros.observation.ring import StampRing

STAMPS = st.lists(st.integers(0, 1000), min_size=1, max_size=60)


@given(STAMPS, st.integers(-10, 1010))
def test_lookup_equals_a_search_through_everything(stamps, tick):
    ring = StampRing(span_ns=10**6, capacity=100)
    for stamp in stamps:
        ring.push(stamp, f'value {stamp}')
    before = [s for s in stamps if s <= tick]
    found = ring.at_or_before(tick)
    assert (found.stamp_ns if found else None) == (max(before) if before else None)
    exact = ring.exactly(tick)
    assert (exact is not None) == (tick in stamps)
    assert ring.latest().stamp_ns == max(stamps)


@given(STAMPS, st.integers(0, 300), st.integers(1, 20))
def test_span_and_capacity_hold(stamps, span, capacity):
    ring = StampRing(span, capacity)
    for stamp in stamps:
        ring.push(stamp, None)
    assert 1 <= len(ring) <= capacity
    assert ring.at_or_before(ring.latest().stamp_ns - span - 1) is None


def test_an_equal_stamp_replaces_the_value():
    ring = StampRing()
    ring.push(5, 'old')
    ring.push(5, 'new')
    assert len(ring) == 1
    assert ring.latest().value == 'new'


def test_clear_and_wrong_arguments():
    ring = StampRing()
    ring.push(1, None)
    ring.clear()
    assert ring.latest() is None
    with pytest.raises(ValueError, match='capacity'):
        StampRing(capacity=0)
