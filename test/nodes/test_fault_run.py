# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The judge of the fault table: a wrong time there would make every number in it wrong."""

from pathlib import Path

import numpy as np
import pytest

MS = 1_000_000


@pytest.mark.parametrize(('motions_ms', 'is_intermittent', 'stop_ms', 'problem'), [
    ([], False, 0, ''),
    ([-40, -20], False, 0, ''),
    ([-20, 10, 30, 55], False, 55, ''),
    ([10, 30, 900], False, 30, '1 motions after the stop'),
    ([10, 30, 900, 930], True, 30, ''),
    ([10, 250, 500, 750], False, 750, ''),
])
def test_the_stop_is_the_last_motion_before_a_stillness(motions_ms, is_intermittent, stop_ms,
                                                        problem):
    from dysl_vla_ros.nodes.fault_run import judge_stop
    fault_ns = 10**15
    found = judge_stop([fault_ns + ms * MS for ms in motions_ms], fault_ns, is_intermittent)
    assert found == (pytest.approx(stop_ms), problem)


def test_a_late_stop_fails_in_the_table(tmp_path):
    from dysl_vla_ros.nodes.fault_run import STOP_LIMIT_MS, FaultResult
    late = FaultResult(STOP_LIMIT_MS + 1, 10.0, 'cause', 0.1, 0.1, 30.0, '')
    assert 'limit 120' in late.verdict
    assert FaultResult(STOP_LIMIT_MS, 10.0, 'cause', 0.1, 0.1, 30.0, '').verdict == ''
    assert FaultResult(float('nan'), 10.0, '', 0.1, 0.1, 30.0, '').verdict == ''


def tap(graph):
    from dysl_vla_ros.nodes.fault_tap import CommandLimits, WireTap
    return WireTap(graph.node, CommandLimits(0.25, 1.0, 250.0))


def twist(x, sent_ms):
    from geometry_msgs.msg import TwistStamped
    message = TwistStamped()
    message.twist.linear.x = x
    ns = sent_ms * MS
    return message, {'source_timestamp': ns, 'received_timestamp': ns}


def action(stamp_ns, sent_ms):
    from dysl_vla_ros.nodes import messages
    message = messages.action_message(np.array([0, 0, 0, 0, 0, 0, 1.0]), stamp_ns, 'base', 0)
    return message, {'source_timestamp': sent_ms * MS, 'received_timestamp': sent_ms * MS}


@pytest.mark.parametrize(('speed', 'problem'), [
    (0.2, ''), (0.3, '0.300 m/s, limit 0.25'), (float('nan'), 'a twist of [nan')])
def test_the_tap_finds_a_command_beyond_its_bounds(graph, speed, problem):
    wire = tap(graph)
    wire._on_twist(*twist(speed, 1))
    assert wire.worst.problem.startswith(problem)
    assert bool(problem) == bool(wire.worst.problem)


def test_the_tap_finds_a_command_that_outlives_its_observation(graph):
    wire = tap(graph)
    wire.sent_ns = {5: 1000 * MS, 6: 1400 * MS}     # observations of stamp 5 and 6
    wire._on_twist(*twist(0.1, 1010))               # before its action, as the node sends it
    wire._on_action(*action(5, 1011))
    for sent_ms in (1050, 1100, 1150, 1200):
        wire._on_twist(*twist(0.1, sent_ms))
    wire._on_twist(*twist(0.1, 1409))               # belongs to stamp 6
    wire._on_action(*action(6, 1410))
    assert wire.judge_ages().problem == ''
    assert wire.worst.age_ms == pytest.approx(200)
    for sent_ms in range(1450, 1701, 50):           # repeated: the last is 300 ms old
        wire._on_twist(*twist(0.1, sent_ms))
    assert wire.judge_ages().problem == ''          # the action of the last may still come
    wire._on_action(*action(7, 1850))
    assert '300 ms after its observation' in wire.judge_ages().problem


def test_the_words_for_a_cause_are_taken_from_messages_before_values(graph):
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
    wire = tap(graph)
    wire._on_report(DiagnosticArray(status=[
        DiagnosticStatus(level=b'\x00', name='a', message='fine',
                         values=[KeyValue(key='image late', value='3')]),
        DiagnosticStatus(level=b'\x01', name='b', message='image is late')]))
    assert wire.said('late') == 'image is late'
    assert wire.said('image late') == 'image late: 3'
    assert wire.said('frozen') == ''


def test_the_split_files_keep_to_the_house_limit():
    room = Path(__file__).resolve().parents[2] / 'dysl_vla_ros/nodes'
    for name in ('policy_node', 'control_cycle', 'parameters', 'fault_cases', 'fault_rig'):
        assert len((room / f'{name}.py').read_text().splitlines()) <= 350, name
