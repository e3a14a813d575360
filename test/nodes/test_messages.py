# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A field packed in another place than it is unpacked from would go unnoticed in a demo."""

import importlib.util
import json
import math
import sys
import types

import numpy as np
import pytest

from dysl_vla_ros.errors import ConfigError, ContractError
from dysl_vla_ros.observation.decode import ENCODINGS
from dysl_vla_ros.skipping.step import GroupReason, GroupTrace, SkipTrace, Step, StepTiming


@pytest.fixture
def messages():
    from dysl_vla_ros.nodes import messages
    return messages


def test_time_survives(messages):
    for stamp_ns in (0, 1, 10**9 - 1, 10**9, 1_033_333_333, 2**31 * 10**9 - 1):
        assert messages.ns_from_time(messages.time_from_ns(stamp_ns)) == stamp_ns


def test_image_survives(messages):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    for source in (image, image[:, ::-1], image[::2]):
        message = messages.image_message(source, 1, 'camera')
        assert message.step == 21
        assert (messages.image_from_message(message) == source).all()


def test_other_encodings_go_through_cv_bridge_or_name_the_remedy(messages, monkeypatch):
    message = messages.image_message(np.zeros((2, 2, 3), np.uint8), 1, 'camera')
    message.encoding = 'nv21'
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)  # as if it were not installed
    with pytest.raises(ConfigError, match=r"encoding 'nv21' needs cv_bridge.*apt install"):
        messages.image_from_message(message)
    converted = np.full((2, 2, 3), 7, np.uint8)
    bridge = types.SimpleNamespace(imgmsg_to_cv2=lambda m, encoding: converted
                                   if (m, encoding) == (message, 'rgb8') else None)
    monkeypatch.setitem(sys.modules, 'cv_bridge', types.SimpleNamespace(CvBridge=lambda: bridge))
    assert messages.image_from_message(message) is converted


def test_a_compressed_image_is_decoded(messages):
    import cv2
    from sensor_msgs.msg import CompressedImage
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    data = cv2.imencode('.png', image[:, :, ::-1])[1].tobytes()
    assert (messages.image_from_message(CompressedImage(format='png', data=data)) == image).all()


@pytest.mark.skipif(importlib.util.find_spec('cv_bridge') is None,
                    reason='cv_bridge is not installed (it has no PyPI wheel); compares pixels on '
                           'a real ROS 2 install')
@pytest.mark.parametrize('encoding', sorted(e for e in ENCODINGS if 'UC' not in e))
def test_our_pixels_equal_those_of_cv_bridge(messages, encoding):
    import cv_bridge
    from sensor_msgs.msg import Image
    layout = ENCODINGS[encoding]
    step = 8 * layout.channels * layout.depth
    data = np.random.default_rng(0).integers(0, 256, 6 * step, np.uint8).tobytes()
    message = Image(height=6, width=8, encoding=encoding, step=step, data=data)
    theirs = cv_bridge.CvBridge().imgmsg_to_cv2(message, 'rgb8')
    assert (messages.image_from_message(message) == theirs).all()


def test_proprioception_survives(messages):
    rng = np.random.default_rng(1)
    robot_obs = np.concatenate([rng.normal(size=3), [3.09, -0.03, 1.5], [0.06],
                                rng.normal(size=7), [-1.0]])
    joints = messages.joint_state_message(robot_obs, 1)
    pose = messages.pose_message(robot_obs, 1)
    found = messages.robot_obs_from_messages(joints, pose, -1.0)
    assert np.abs(found - robot_obs).max() < 1e-12
    joints.name[3] = 'other'
    with pytest.raises(ContractError, match='panda_joint4'):
        messages.robot_obs_from_messages(joints, pose, -1.0)


def test_action_survives_and_a_bad_one_is_refused(messages):
    action = np.array([0.1, -0.2, 0.3, -0.4, 0.5, -0.6, -1.0])
    message = messages.action_message(action, 5, 'world', 3)
    assert (messages.action_from_message(message) == action).all()
    message.gripper = 0
    with pytest.raises(ContractError, match='not valid'):
        messages.action_from_message(message)


def test_statistics_are_complete_and_json_ready(messages):
    trace = SkipTrace(np.array([True, False]), 3,
                      (GroupTrace(1, 1, GroupReason.VERIFIED, 1, 2),), 0.5, math.nan, True)
    step = Step(np.arange(7, dtype=np.float32), 0.25, 4, trace, StepTiming(1, 2, 3, 4, 10))
    plain = messages.stats_to_dict(messages.stats_message(
        step, 9, {'image_static': 8, 'image_gripper': 9}, ('x: limited',), 1.5, 2.5))
    assert json.loads(json.dumps(plain)) == {
        'stamp_ns': 9, 'step': 4, 'input_stamps_ns': {'image_static': 8, 'image_gripper': 9},
        'raw_action': [0, 1, 2, 3, 4, 5, 6], 'limit_reasons': ['x: limited'],
        'executed': [True, False], 'executed_total': 3,
        'groups': [{'first': 1, 'last': 1, 'reason': 4, 'jump_from': 1, 'allow_point': 2}],
        'is_verified': True, 'gripper_probability': 0.25, 'continuity': 0.5,
        'continuity_change': None, 'preprocess_ms': 1, 'vision_ms': 2, 'decoder_ms': 3,
        'head_ms': 4, 'total_ms': 10, 'observation_age_ms': 1.5, 'latency_ms': 2.5}


def test_reasons_have_the_numbers_of_the_message():
    from dysl_vla_ros.msg import GroupDecision
    for reason in GroupReason:
        assert getattr(GroupDecision, reason.name) == reason.value


def test_the_scene_state_survives_bit_for_bit(messages):
    from dysl_vla_ros.observation.messages import scene_state_from_message
    from dysl_vla_ros.observation.observation import SceneState
    rng = np.random.default_rng(0)
    state = SceneState('calvin_scene_B', rng.normal(size=15), rng.normal(size=24),
                       rng.normal(size=6))
    message = messages.scene_state_message(state, 1_033_333_333)
    assert messages.ns_from_time(message.header.stamp) == 1_033_333_333
    back = scene_state_from_message(message)
    assert back.scene == state.scene
    for name in ('robot_obs', 'scene_obs', 'target'):
        assert np.array_equal(getattr(back, name), getattr(state, name)), name


def test_joint_states_are_no_scene_state(messages):
    from dysl_vla_ros.observation.messages import scene_state_from_message
    message = messages.joint_state_message(np.zeros(15), 1)
    with pytest.raises(ContractError, match=r'scene_state: expected 45 .*panda_joint1'):
        scene_state_from_message(message)
