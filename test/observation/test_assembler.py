# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras of different moments, or of long ago, must never become one observation."""


from hypothesis import given
from hypothesis import strategies as st
import pytest

from dysl_vla_ros.observation.assembler import ObservationAssembler, StreamState

MS = 1_000_000


def assembler(**fields):
    return ObservationAssembler(('a', 'b'), **{'max_age_ns': 100 * MS, 'max_spread_ns': 20 * MS,
                                               **fields})


def test_a_set_is_complete_only_with_equal_stamps():
    both = assembler()
    both.push('a', 1 * MS, 'a1')
    assert both.complete() is None
    both.push('b', 2 * MS, 'b2')
    assert both.complete() is None
    both.push('a', 2 * MS, 'a2')
    found = both.complete()
    assert found.stamp_ns == 2 * MS
    assert [s.value for s in found.samples.values()] == ['a2', 'b2']


def test_a_tick_takes_the_newest_sample_that_is_not_later():
    both = assembler()
    for stamp in (10, 40, 70):
        both.push('a', stamp * MS, stamp)
        both.push('b', (stamp + 5) * MS, stamp + 5)
    found = both.at(72 * MS)
    assert found.is_usable is False  # a at 70, b at 45: 25 ms apart
    assert 'differ by 25 ms' in found.reason
    found = both.at(60 * MS)
    assert found.is_usable
    assert (found.samples['a'].value, found.samples['b'].value) == (40, 45)
    assert found.stamp_ns == 45 * MS
    assert found.spread_ns == 5 * MS


def test_each_stream_says_why_it_cannot_be_used():
    both = assembler()
    found = both.at(0)
    assert found.states == {'a': StreamState.MISSING, 'b': StreamState.MISSING}
    both.push('a', 50 * MS, None)
    both.push('b', 300 * MS, None)
    found = both.at(200 * MS)
    assert found.states == {'a': StreamState.STALE, 'b': StreamState.FUTURE}
    assert 'a: 150 ms old, limit 100 ms' in found.reason
    assert not found.is_usable


def test_a_sample_is_never_reused_without_saying_so():
    both = assembler()
    both.push('a', 10 * MS, None)
    both.push('b', 12 * MS, None)
    used = {name: s.stamp_ns for name, s in both.at(20 * MS).samples.items()}
    again = both.at(25 * MS, used)
    assert set(again.states.values()) == {StreamState.HELD}
    assert 'nothing new' in again.reason
    both.push('a', 24 * MS, None)
    one_new = both.at(25 * MS, used)
    assert one_new.is_usable
    assert one_new.states == {'a': StreamState.FRESH, 'b': StreamState.HELD}


def test_a_stream_whose_clock_is_ahead_is_not_used_although_old_samples_look_fresh():
    both = assembler(max_ahead_ns=100 * MS)
    for stamp in (90, 800):
        both.push('a', stamp * MS, None)
    both.push('b', 95 * MS, None)
    found = both.at(100 * MS)
    assert found.states['a'] is StreamState.FUTURE
    assert 'a: only future data, stamped 700 ms ahead of the clock' in found.reason


def test_late_and_repeated_samples_are_counted():
    both = assembler()
    for stamp in (30, 10, 30, 40):
        both.push('a', stamp * MS, None)
    counters = both.counters['a']
    assert (counters.received, counters.late, counters.repeated, counters.jumps) == (4, 1, 1, 0)


def test_a_stream_may_have_an_age_limit_of_its_own():
    both = assembler(max_ages_ns={'b': 10 * MS})
    both.push('a', 0, None)
    both.push('b', 0, None)
    assert both.at(20 * MS).states == {'a': StreamState.FRESH, 'b': StreamState.STALE}


def test_a_clock_set_back_empties_every_stream():
    both = assembler()
    both.push('a', 5_000 * MS, None)
    both.push('b', 5_000 * MS, None)
    assert both.push('a', 100 * MS, None) is True
    assert both.at(5_000 * MS).states['b'] is StreamState.MISSING


@given(st.lists(st.tuples(st.sampled_from('ab'), st.integers(0, 900)), max_size=40),
       st.integers(0, 900), st.randoms(use_true_random=False))
def test_the_answer_does_not_depend_on_the_order_of_arrival(arrivals, tick, shuffler):
    answers = []
    for _ in range(2):
        both = assembler()
        for stream, stamp in arrivals:
            both.push(stream, stamp * MS, stamp)
        answers.append(both.at(tick * MS))
        shuffler.shuffle(arrivals)
    assert answers[0] == answers[1]


def test_wrong_limits_are_refused():
    with pytest.raises(ValueError, match='at least one stream'):
        ObservationAssembler((), 1, 1)
    with pytest.raises(ValueError, match='max_age_ns'):
        assembler(max_age_ns=0)
