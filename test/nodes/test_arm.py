# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an arm stack receives, message by message: unit, frame, stamp, and the order of a stop."""

import threading

import numpy as np
import pytest

BOUNDS = {
    'linear_speed_m_s': (0.2, 0.2, 0.2, 0.25), 'angular_speed_rad_s': (0.8, 0.8, 0.8, 1.0),
    'linear_acceleration_m_s2': (2.0, 2.0, 2.0, 3.0),
    'angular_acceleration_rad_s2': (4.0, 4.0, 4.0, 5.0),
    'linear_jerk_m_s3': (60.0, 60.0, 60.0, 90.0), 'angular_jerk_rad_s3': (80.0, 80.0, 80.0, 100.0),
    'workspace_min_m': (0.2, -0.3, 0.0), 'workspace_max_m': (0.7, 0.3, 0.6),
    'min_height_m': 0.02, 'cone_angle_rad': 0.6}


class Wire:
    """Stands for every publisher of the node; keeps (topic, message) in order."""

    def __init__(self):
        self.sent = []

    def publisher(self, kind, topic, qos):
        wire = self

        class Publisher:
            topic_name = topic

            def publish(self, message):
                wire.sent.append((topic, message))

        return Publisher()

    def on(self, topic):
        return [message for name, message in self.sent if name == topic]


@pytest.fixture
def make(graph, monkeypatch):
    """make(outputs, safety, **parameters) -> Arm on a real node whose publishers are a wire."""
    from dysl_vla_ros.nodes.arm import Arm
    from dysl_vla_ros.nodes.parameters import (
        OutputParameters,
        PolicyParameters,
        SafetyParameters,
    )
    arms = []

    def make(outputs, safety=None, **parameters):
        wire = Wire()
        graph.node.create_lifecycle_publisher = wire.publisher
        graph.node.destroy_lifecycle_publisher = lambda publisher: None
        safety = SafetyParameters(**{'mode': 'simulation', 'dry_run': False, **(safety or {})})
        arm = Arm(graph.node, PolicyParameters(
            outputs=OutputParameters(**outputs), safety=safety,
            **{'trigger': 'observation', **parameters}), threading.RLock())
        arm.wire = wire
        if arm._timer is not None:
            arm._timer.cancel()  # the tests tick
        arms.append(arm)
        return arm

    yield make
    for arm in arms:
        arm.destroy()


@pytest.fixture
def measured():
    from dysl_vla_ros.control.target import Pose
    return Pose(np.array([0.45, 0.0, 0.3]), np.array([np.pi, 0.0, 1.5]))


def vector(v):
    return np.array([v.x, v.y, v.z])


def test_a_twist_is_the_motion_over_the_period_with_the_right_angular_velocity(make, measured):
    arm = make({'twist': True})
    arm.command(np.array([1.0, -0.5, 0, 1.0, 0, 0, 1]), 0.9, measured, 5 * 10**9)
    (message,) = arm.wire.on('~/command_twist')
    assert vector(message.twist.linear) == pytest.approx([0.6, -0.3, 0])
    # A pure roll at yaw 1.5: about the y axis, not the x axis.
    assert vector(message.twist.angular) == pytest.approx(
        [1.5 * np.cos(1.5), 1.5 * np.sin(1.5), 0], abs=1e-6)
    assert (message.header.frame_id, message.header.stamp.sec) == ('world', 5)


def test_unitless_twists_are_divided_by_the_scales(make, measured):
    arm = make({'twist': True, 'twist_units': 'unitless', 'twist_linear_scale': 0.4})
    arm.command(np.array([1.0, 0, 0, 0, 0, 0, 1]), 0.9, measured, 1)
    assert arm.wire.on('~/command_twist')[0].twist.linear.x == pytest.approx(1.5)


def test_poses_accumulate_on_the_commanded_pose_and_anchor_anew_after_a_stop(make, measured):
    arm = make({'pose': True})
    for stamp in (1, 2):  # the arm lags: its measured pose does not change
        arm.command(np.array([1.0, 0, 0, 0, 0, 0, 1]), 0.9, measured, stamp)
    assert [m.pose.position.x for m in arm.wire.on('~/command_pose')] == pytest.approx(
        [0.47, 0.49])
    arm.stop('test')
    assert [m.pose.position.x for m in arm.wire.on('~/command_pose')[2:]] == [0.45] * 5
    arm.command(np.array([1.0, 0, 0, 0, 0, 0, 1]), 0.9, measured, 3)
    assert arm.wire.on('~/command_pose')[-1].pose.position.x == pytest.approx(0.47)


def test_between_actions_a_pose_is_interpolated_to_the_end_of_the_step(make, measured):
    arm = make({'pose': True, 'rate_hz': 100.0}, trigger='timer', rate_hz=10.0)
    output = arm._adapters[0]
    arm.command(np.array([1.0, 0, 0, 0, 0, 0, 1]), 0.9, measured, 1)
    del arm.wire.sent[:]
    begin = output._begin_s
    for tick in range(1, 13):
        output.tick(begin + tick * 0.01)
    found = [m.pose.position.x for m in arm.wire.on('~/command_pose')]
    assert found[:9] == pytest.approx([0.45 + 0.02 * (k + 1) / 10 for k in range(1, 10)])
    assert len(found) == 9  # the target stands: nothing more to say


def test_a_twist_expires_after_one_control_period_and_becomes_zero(make, measured):
    arm = make({'twist': True}, trigger='timer', rate_hz=10.0)
    output = arm._adapters[0]
    arm.command(np.array([1.0, 0, 0, 0, 0, 0, 1]), 0.9, measured, 1)
    end = output._expires_s
    del arm.wire.sent[:]
    for moment in (end - 0.05, end - 1e-6, end, end + 0.02):
        output.tick(moment)
    assert [m.twist.linear.x for m in arm.wire.on('~/command_twist')] == pytest.approx(
        [0.2, 0.2, 0.0, 0.0])
    assert output.gaps == 1


def test_a_stop_is_five_zero_twists_and_then_silence(make, measured):
    arm = make({'twist': True}, trigger='timer', rate_hz=10.0)
    arm.command(np.array([1.0, 0, 0, 0, 0, 0, 1]), 0.9, measured, 1)
    del arm.wire.sent[:]
    arm.stop('test')
    arm.stop('test')
    arm._on_tick()
    assert [vector(m.twist.linear).any() for m in arm.wire.on('~/command_twist')] == [False] * 5


def test_a_dry_run_sends_nothing_but_still_says_what_it_would_limit(make, measured):
    arm = make({'twist': True, 'gripper': 'float64', 'gripper_open': 1.0},
               {'mode': 'bounded', 'dry_run': True, **BOUNDS}, action_frame='base')
    found = arm.command(np.array([1.0, 1, 1, 0, 0, 0, 1]), 0.9, measured, 1)
    assert arm.wire.sent == []
    assert any('speed' in reason for reason in found.reasons)
    assert np.abs(found.action[:3]).max() < 1


def test_the_filtered_action_leads_to_the_filtered_pose(make, measured):
    arm = make({'twist': True}, {'mode': 'bounded', **BOUNDS})
    found = arm.command(np.array([1.0, 1, -1, 1, -1, 1, 1]), 0.9, measured, 1)
    assert measured.added(found.action).position_m == pytest.approx(found.pose.position_m)
    twist = arm.wire.on('~/command_twist')[0].twist
    assert np.linalg.norm(vector(twist.linear)) <= 0.25
    assert np.linalg.norm(vector(twist.angular)) <= 1.0


def test_the_gripper_is_sent_on_change_only_and_dwells(make, measured):
    arm = make({'gripper': 'float64', 'gripper_open': 0.08, 'gripper_closed': 0.01},
               {'gripper_hysteresis': 0.1, 'gripper_dwell_s': 60.0})
    reasons = []
    for probability in (0.9, 0.8, 0.45, 0.1, 0.9):
        action = np.array([0.0] * 6 + [1.0 if probability > 0.5 else -1.0])
        reasons.append(arm.command(action, probability, None, 1))
    assert [m.data for m in arm.wire.on('~/command_gripper')] == [0.08]
    assert 'hysteresis' in reasons[2].reasons[0]
    assert 'dwell' in reasons[3].reasons[0]
    assert reasons[3].action[6] == 1.0


def test_limited_actions_in_a_row_trip_until_reset(make, measured):
    from std_srvs.srv import Trigger
    arm = make({'twist': True}, {'mode': 'bounded', 'trip_after': 3, **BOUNDS})
    for stamp in range(3):
        arm.command(np.array([1.0, 0, 0, 0, 0, 0, 1]), 0.9, measured, stamp)
    assert 'tripped' in arm.blocked
    assert [m.twist.linear.x for m in arm.wire.on('~/command_twist')[-5:]] == [0.0] * 5
    arm._on_reset(Trigger.Request(), Trigger.Response())
    assert arm.blocked == ''


def test_a_rival_on_the_command_topic_stops_the_arm_without_a_tick(make, measured, graph):
    from geometry_msgs.msg import TwistStamped
    from std_srvs.srv import Trigger

    from dysl_vla_ros.nodes import qos
    arm = make({'twist': True}, trigger='timer')
    arm.command(np.array([1.0, 0, 0, 0, 0, 0, 1]), 0.9, measured, 1)
    del arm.wire.sent[:]
    # The arm's own publisher is a stand-in here: two real ones are an arm and its rival.
    publishers = [graph.node.create_publisher(TwistStamped, '~/command_twist', qos.COMMAND)
                  for _ in range(2)]
    graph.wait_often(lambda: arm.blocked, 'the trip')
    assert 'command_twist has another publisher; call ~/reset' in arm.blocked
    assert [vector(m.twist.linear).any() for m in arm.wire.on('~/command_twist')] == [False] * 5
    assert 'has another publisher' in arm.rivals()
    for publisher in publishers:
        graph.node.destroy_publisher(publisher)
    graph.wait_often(lambda: not arm.rivals(), 'the end of the rival')
    arm._on_reset(Trigger.Request(), Trigger.Response())
    assert arm.blocked == ''


@pytest.mark.parametrize('kind', ['bool', 'joy'])
def test_a_deadman_that_falls_silent_stops_the_arm_without_a_tick(make, measured, graph, kind):
    from sensor_msgs.msg import Joy
    from std_msgs.msg import Bool

    from dysl_vla_ros.nodes import qos
    arm = make({'twist': True}, {'deadman': kind, 'deadman_timeout_s': 0.3}, trigger='timer')
    message, topic = (Bool(data=True), 'deadman') if kind == 'bool' else (Joy(buttons=[1]), 'joy')
    publisher = graph.node.create_publisher(type(message), topic, qos.SENSOR)

    def is_held():
        publisher.publish(message)
        return not arm.blocked

    assert arm.blocked == 'deadman never heard'
    graph.wait_often(is_held, 'the deadman to be heard')
    for stamp in range(1, 100):  # until one of them goes out before the hand is tired
        publisher.publish(message)
        arm.command(np.array([1.0, 0, 0, 0, 0, 0, 1]), 0.9, measured, stamp)
        if any(vector(m.twist.linear).any() for m in arm.wire.on('~/command_twist')):
            break
    graph.wait_often(lambda: arm.stops, 'the stop')
    assert list(arm.stops) == ['deadman silent, limit 0.3 s']
    assert arm.blocked == 'deadman silent, limit 0.3 s'
    assert [vector(m.twist.linear).any() for m in arm.wire.on('~/command_twist')[-5:]] == [
        False] * 5


def test_a_missing_package_is_named_with_its_remedy(make):
    import importlib.util

    from dysl_vla_ros.errors import ConfigError
    if importlib.util.find_spec('moveit_msgs') is None:
        with pytest.raises(ConfigError, match=r'servo_node needs moveit_msgs.*apt install'):
            make({'twist': True, 'servo_node': '/servo_node'})
    if importlib.util.find_spec('control_msgs') is None:
        with pytest.raises(ConfigError, match=r'needs control_msgs.*apt install'):
            make({'gripper': 'gripper_command', 'gripper_open': 1.0})


@pytest.mark.parametrize(('fields', 'complaint'), [
    ({'outputs': {'twist': True}}, 'arm outputs are on'),
    ({'outputs': {'gripper': 'float64'}}, 'no default'),
    ({'safety': {'mode': 'bounded'}}, 'linear_speed_m_s.*cone_angle_rad'),
    ({'outputs': {'twist': True, 'pose': True}, 'safety': {'mode': 'unbounded'}}, 'set one'),
])
def test_an_arm_without_bounds_is_refused(fields, complaint):
    from dysl_vla_ros.errors import ConfigError
    from dysl_vla_ros.nodes import parameters as p
    with pytest.raises((ValueError, ConfigError), match=complaint):
        p.PolicyParameters(outputs=p.OutputParameters(**fields.get('outputs', {})),
                           safety=p.SafetyParameters(**fields.get('safety', {})))


def test_servo_is_asked_for_its_command_type_until_it_agrees(graph, monkeypatch):
    """With a stand-in for moveit_msgs: the message package has no wheel."""
    import sys
    import types

    from std_srvs.srv import SetBool

    from dysl_vla_ros.nodes.outputs import ServoCommandType

    fake = types.SimpleNamespace(ServoCommandType=types.SimpleNamespace(
        Request=lambda command_type: SetBool.Request(data=command_type == 1)))
    monkeypatch.setitem(sys.modules, 'moveit_msgs', types.SimpleNamespace(srv=fake))
    monkeypatch.setitem(sys.modules, 'moveit_msgs.srv', fake)
    created = []

    def create_client(kind, name):
        created.append(name)
        return real(SetBool, name)

    real = graph.node.create_client
    monkeypatch.setattr(graph.node, 'create_client', create_client)
    answers = iter([False, True])
    graph.node.create_service(
        SetBool, '/servo_node/switch_command_type',
        lambda request, response: _answer(response, answers))
    servo = ServoCommandType(graph.node, '/servo_node', ServoCommandType.TWIST)
    assert created == ['/servo_node/switch_command_type']
    assert 'has not answered' in servo.problem
    problems = set()
    for _ in range(600):
        servo.poll()
        problems.add(servo.problem)
        if not servo.problem:
            break
        with graph.condition:
            graph.condition.wait(0.02)
    assert servo.problem == ''
    assert any('refused command type 1' in p for p in problems)


def _answer(response, answers):
    response.success = next(answers)
    return response
