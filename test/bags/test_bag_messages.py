# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags hold the very bytes that the nodes send; a field forgotten on one side shows here."""

import contextlib
import importlib.util
import math

from fake_bag import robot_obs
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from dysl_vla_ros.bags import messages as bag_messages
from dysl_vla_ros.bags.topics import TOPICS, remapped
from dysl_vla_ros.bags.typestore import build, decode, own_definitions, typestore
from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.evaluation.recording import step_stats
from dysl_vla_ros.observation.messages import (
    action_from_message,
    observation_from_messages,
    stats_to_dict,
)
from dysl_vla_ros.skipping.step import GroupReason, GroupTrace, SkipTrace, Step, StepTiming

STAMP = 1_234_567_890
IMAGE = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
ACTION = np.array([0.5, -1.0, 1e-3, 0.25, -0.125, 1.0, -1.0], np.float32)
STEP = Step(ACTION, 0.25, 3, SkipTrace(
    np.array([True, False, True]), 4, (GroupTrace(1, 2, GroupReason.SKIPPED, 1, 1),),
    math.nan, 0.5, True), StepTiming(0.1, 0.2, 0.3, 0.4, 1.5))
STATS = {**step_stats(STEP), 'step': 3, 'raw_action': ACTION, 'limit_reasons': ['x is 2'],
         'input_stamps_ns': {'image_static': STAMP, 'image_gripper': STAMP - 1},
         'observation_age_ms': 2.5, 'latency_ms': 3.5}
DESCRIBED = {'folder': '/w', 'weights_sha256': 'ab', 'model': {'head': {'use_state': True}}}
PARAMETERS = {'strategy': 'dysl', 'policy_factory': '', 'device': 'cpu', 'action_frame': 'world'}
MESSAGES = {
    'image': bag_messages.image(IMAGE, STAMP, 'camera_static'),
    'joint_state': bag_messages.joint_state(robot_obs(3), STAMP),
    'pose': bag_messages.pose(robot_obs(3), STAMP),
    'action': bag_messages.action(ACTION, STAMP, 'world', 3),
    'stats': bag_messages.inference_stats(STATS, STAMP),
    'description': bag_messages.policy_description(DESCRIBED, PARAMETERS, ('image_static',)),
    'string': bag_messages.string('open the drawer'),
    'float64': bag_messages.float64(0.04),
    'clock': bag_messages.clock(STAMP),
    'status': bag_messages.task_status(STAMP, state=1, episode_id='a', step=4),
}


def of_ros(name):
    """The same message made by the nodes' functions."""
    from dysl_vla_ros.msg import TaskStatus
    from rosgraph_msgs.msg import Clock
    from std_msgs.msg import Float64, String

    from dysl_vla_ros.nodes import messages
    if name == 'status':
        status = TaskStatus(state=1, episode_id='a', step=4)
        status.header.stamp = messages.time_from_ns(STAMP)
        return status
    return {
        'image': lambda: messages.image_message(IMAGE, STAMP, 'camera_static'),
        'joint_state': lambda: messages.joint_state_message(robot_obs(3), STAMP),
        'pose': lambda: messages.pose_message(robot_obs(3), STAMP),
        'action': lambda: messages.action_message(ACTION, STAMP, 'world', 3),
        'stats': lambda: messages.stats_message(STEP, STAMP, STATS['input_stamps_ns'],
                                                ('x is 2',), 2.5, 3.5),
        'description': lambda: messages.description_message(DESCRIBED, PARAMETERS,
                                                            ('image_static',)),
        'string': lambda: String(data='open the drawer'),
        'float64': lambda: Float64(data=0.04),
        'clock': lambda: Clock(clock=messages.time_from_ns(STAMP))}[name]()


@pytest.mark.ros
@pytest.mark.skipif(importlib.util.find_spec('rclpy') is None
                    or importlib.util.find_spec('dysl_vla_ros.msg') is None,
                    reason='rclpy or the built interfaces are missing: make setup, then '
                           'scripts/with_ros.sh pytest')
@pytest.mark.parametrize('name', MESSAGES)
def test_the_bytes_equal_those_on_the_wire(name):
    from rclpy.serialization import deserialize_message, serialize_message
    theirs, kind = of_ros(name), MESSAGES[name].__msgtype__
    raw = bytes(typestore().serialize_cdr(MESSAGES[name], kind))
    assert repr(deserialize_message(raw, type(theirs))) == repr(theirs)
    # Fast CDR fills gaps with whatever was there, so the wire is compared after decoding.
    wire = serialize_message(theirs)
    assert bytes(typestore().serialize_cdr(decode(typestore(), wire, kind), kind)) == raw


def test_decoding_undoes_encoding():
    samples = {'image_static': MESSAGES['image'], 'image_gripper': MESSAGES['image'],
               'joint_states': MESSAGES['joint_state'], 'ee_pose': MESSAGES['pose']}
    observation = observation_from_messages(samples, 1.0, STAMP)
    assert np.array_equal(observation.rgb_static, IMAGE)
    assert np.allclose(observation.robot_obs, robot_obs(3), atol=1e-12)
    assert np.array_equal(action_from_message(MESSAGES['action']), ACTION.astype(np.float64))
    plain = stats_to_dict(MESSAGES['stats'])
    assert plain['input_stamps_ns'] == STATS['input_stamps_ns']
    assert plain['groups'] == STATS['groups']
    assert plain['continuity'] is None
    assert plain['latency_ms'] == 3.5


def test_every_message_file_is_known():
    assert len(own_definitions()) >= 5
    assert all(topic.type in typestore().fielddefs for topic in TOPICS.values())


@given(st.binary(max_size=80))
def test_bytes_that_are_no_message_are_refused(raw):
    with contextlib.suppress(ValueError):
        decode(typestore(), raw, 'sensor_msgs/msg/JointState')


def test_an_unknown_field_is_an_error():
    with pytest.raises(KeyError, match='frame'):
        build('std_msgs/msg/Header', {'frame': 'world'})


def test_topics_can_be_renamed_by_key_or_by_name():
    names = remapped(['image_static:=/camera/color', '/policy_node/action:=cmd'])
    assert names['image_static'] == '/camera/color'
    assert names['action'] == '/cmd'
    assert names['ee_pose'] == '/ee_pose'
    for wrong in ('image_statik:=/x', 'image_static', 'image_static:='):
        with pytest.raises(ConfigError, match='expected TOPIC:='):
            remapped([wrong])
