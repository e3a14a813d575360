# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scores and intervals: a wrong one would be published."""

from hypothesis import given
from hypothesis import strategies as st
import pytest

from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.evaluation.metrics import (
    bootstrap_mean,
    calvin_result,
    chain_metrics,
    paired_difference,
    wilson,
)


def result(succeeded, episode_id='x', tasks=('a', 'b', 'c')):
    attempted = min(succeeded + 1, len(tasks))
    return {'episode_id': episode_id, 'succeeded': succeeded, 'subtasks': list(tasks),
            'steps': [10 * (i + 1) for i in range(attempted)]}


counts = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_wilson_contains_the_rate_and_stays_inside_zero_and_one(pair):
    e = wilson(*pair)
    assert 0 <= e.low <= e.value <= e.high <= 1
    assert e.low < e.high


@given(counts)
def test_wilson_is_symmetric(pair):
    good, n = pair
    e, mirrored = wilson(good, n), wilson(n - good, n)
    assert e.low == pytest.approx(1 - mirrored.high, abs=1e-12)


def test_wilson_equals_published_numbers():
    # R. G. Newcombe, Statistics in Medicine 17 (1998) 857, table I, score method, 81 of 263.
    e = wilson(81, 263)
    assert (e.low, e.high) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))
    # By hand for 0 of 10: z^2 / (10 + z^2).
    assert wilson(0, 10).high == pytest.approx(3.8414588 / 13.8414588, abs=1e-6)


@pytest.mark.parametrize('pair', [(1, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(pair):
    with pytest.raises(ContractError):
        wilson(*pair)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(0, 5))
def test_bootstrap_contains_the_mean_and_repeats_with_its_seed(values, seed):
    e = bootstrap_mean(values, seed)
    assert min(values) <= e.low <= e.value <= e.high <= max(values)
    assert e == bootstrap_mean(values, seed)


def test_bootstrap_width_is_that_of_the_normal_approximation():
    values = [0.0, 1.0] * 200  # standard error of the mean: 0.5 / 20
    e = bootstrap_mean(values)
    assert (e.high - e.low) / 2 == pytest.approx(1.96 * 0.025, rel=0.06)


def test_chain_scores_by_hand():
    metrics = chain_metrics([result(3), result(1), result(0), result(2)])
    assert [e.value for e in metrics.success_rates] == [0.75, 0.5, 0.25]
    assert metrics.average_length.value == 1.5
    assert {t: (e.value, e.count) for t, e in metrics.per_task.items()} == {
        'a': (0.75, 4), 'b': (pytest.approx(2 / 3), 3), 'c': (0.5, 2)}
    # Successful subtasks took 10, 20, 30, 10, 10, 20 steps.
    assert metrics.mean_steps == pytest.approx(100 / 6)


def test_calvin_file_has_its_keys():
    data = calvin_result('run', [result(3), result(1)])
    assert data == {'run': {
        'avg_seq_len': 2.0, 'chain_sr': {'1': 1.0, '2': 0.5, '3': 0.5},
        'task_info': {'a': {'success': 2, 'total': 2}, 'b': {'success': 1, 'total': 2},
                      'c': {'success': 1, 'total': 1}}}}


def test_the_paired_difference_pairs_by_episode_not_by_order():
    first = [result(3, 'p'), result(1, 'q')]
    second = [result(0, 'q'), result(2, 'p'), result(3, 'r')]
    e = paired_difference(first, second)
    assert (e.value, e.low, e.high, e.count) == (1.0, 1.0, 1.0, 2)


def test_nothing_finished_is_an_error():
    with pytest.raises(ContractError, match='no episode'):
        chain_metrics([])
    with pytest.raises(ContractError):
        paired_difference([result(1, 'a')], [result(1, 'b')])
