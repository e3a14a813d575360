# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The commands that measure running nodes: what they start ends, what they say has happened."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from dysl_vla_ros.cli import governor, overhead
from dysl_vla_ros.cli.busy_loops import busy_loops

needs_ros = pytest.mark.skipif(
    importlib.util.find_spec('rclpy') is None
    or importlib.util.find_spec('dysl_vla_ros.msg') is None,
    reason='rclpy or dysl_vla_ros.msg is missing: run make setup, then scripts/with_ros.sh pytest')


@pytest.mark.ros
@needs_ros
def test_overhead_is_measured_in_the_real_node(tmp_path, fakes_for_children):
    out = tmp_path / 'overhead'
    arguments = ['overhead', '--seconds', '4', '--size', '64x48', '--trigger', 'observation',
                 '--out', str(out)]
    from dysl_vla_ros.cli.__main__ import main
    assert main(arguments) in (0, 1)  # a crowded machine may miss the target
    row = json.loads((out / 'overhead.json').read_text())['triggers']['observation']
    assert row['steps'] > 0
    assert row['images_per_camera'] >= row['steps']
    assert 0 < row['overhead_ms']['p50'] <= row['overhead_ms']['p99']
    assert 0 < row['ros_cpu_share'] < 1
    assert main(arguments) == 1  # nothing is overwritten


def test_the_verdict_needs_both_targets():
    def row(p50, p99, count=1):
        return {'overhead_ms': {'count': count, 'p50': p50, 'p99': p99}}
    assert [overhead.verdict(r) for r in (row(2, 8), row(2.1, 3), row(1, 8.1), row(0, 0, 0))] == [
        'PASS', 'FAIL', 'FAIL', 'no steps']


def results(p95):
    estimate = {'value': 0.5, 'low': 0.2, 'high': 0.8, 'count': 2}
    return {'timing_ms': {'latency_ms': {'count': 9, 'p50': 10.0, 'p95': p95},
                          'total_ms': {'count': 9, 'p50': 8.0, 'p95': 9.0}},
            'metrics': {'success_rates': [estimate]}, 'control': {'held_share': 0.1},
            'layers': {'n_layers': 12, 'total': {'mean': 5.0}}}


def test_a_budget_is_held_or_reported_or_missed():
    verdicts = [governor.summary(results(p95), 25.0, 10, cannot)['verdict']
                for p95, cannot in ((25.0, 0), (26.0, 3), (26.0, 0))]
    assert verdicts == ['held', 'reported', 'missed']


def test_busy_loops_end_with_the_block_even_after_an_error():
    loops = []

    def fail():
        with busy_loops(2) as started:
            loops.extend(started)
            assert [loop.poll() for loop in loops] == [None, None]
            raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        fail()
    assert [loop.poll() for loop in loops] == [-9, -9]


def test_busy_loops_end_when_their_parent_is_killed():
    code = ('import os, signal\nfrom dysl_vla_ros.cli.busy_loops import busy_loops\n'
            'with busy_loops(1):\n    os.kill(os.getpid(), signal.SIGKILL)')
    # They hold the pipe, so its end is theirs.
    done = subprocess.run([sys.executable, '-c', code], stdout=subprocess.PIPE, timeout=60,
                          env=os.environ, check=False)
    assert done.returncode == -9
