# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Latency and layer summaries: what the README will claim."""

import numpy as np
import pytest

from dysl_vla_ros.evaluation.recording import Recording
from dysl_vla_ros.evaluation.timing import (
    control_summary,
    layer_summary,
    stage_values,
    summarise,
    timing_summary,
)


def recording(**steps):
    return Recording(None, None, {}, steps)


def test_percentiles_by_hand():
    s = summarise([*range(1, 101), np.nan])
    assert (s['count'], s['mean'], s['p50'], s['max']) == (100, 50.5, 50.5, 100.0)
    assert s['p95'] == pytest.approx(95.05)
    assert s['p99'] == pytest.approx(99.01)


def test_nothing_measured_is_none_and_not_zero():
    assert summarise([np.nan]) == {'count': 0, 'mean': None, 'p50': None, 'p95': None,
                                   'p99': None, 'max': None}
    assert timing_summary([])['decoder_ms']['p50'] is None


def test_the_first_step_after_each_reset_is_left_out():
    r = recording(subtask_step=np.array([0, 1, 2, 0, 1]),
                  decoder_ms=np.array([90.0, 1.0, np.nan, 80.0, 3.0]))
    assert stage_values([r], 'decoder_ms').tolist() == [1.0, 3.0]


def test_periods_are_those_within_a_subtask_and_held_steps_are_counted():
    r = recording(subtask=np.array([0, 0, 0, 1, 1]), wall_s=np.array([5.0, 5.03, 5.07, 9.0, 9.05]),
                  has_stats=np.array([True, False, True, True, True]))
    s = control_summary([r, r])
    assert s['period_ms']['count'] == 6
    assert s['period_ms']['mean'] == pytest.approx(40.0)
    assert s['held_share'] == pytest.approx(0.2)


def test_layers_count_abandoned_work_and_ignore_steps_without_statistics():
    executed = np.array([[1, 0, 1], [1, 1, 1], [0, 0, 0]], bool)
    s = layer_summary([recording(
        executed=executed, executed_total=np.array([2, 5, -1]),
        is_verified=np.array([False, True, False]), has_stats=np.array([True, True, False]))])
    assert s['n_layers'] == 3
    assert s['committed']['mean'] == 2.5
    assert s['total']['mean'] == 3.5
    assert s['verified_share'] == 0.5
    assert s['share_per_layer'] == [1.0, 0.5, 1.0]
