# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Our dataclasses as messages of the ``rosbags`` library.

Field for field what ``nodes/messages.py`` makes for the wire (a test compares the serialised
bytes of both); decoding is shared, in ``observation/messages.py``.
"""

from collections.abc import Mapping
import json
import math
from typing import Any

import numpy as np

from dysl_vla_ros.bags.typestore import build
from dysl_vla_ros.control import action_spec
from dysl_vla_ros.control.rotations import quaternion_from_euler
from dysl_vla_ros.observation.messages import ARM_JOINTS, FINGER_JOINTS, NS_PER_S

_STATS_SCALARS = ('gripper_probability', 'continuity', 'continuity_change', 'preprocess_ms',
                  'vision_ms', 'decoder_ms', 'head_ms', 'total_ms', 'observation_age_ms',
                  'latency_ms')


def time_fields(stamp_ns: int) -> dict[str, int]:
    """Fields of a builtin_interfaces/Time."""
    return {'sec': stamp_ns // NS_PER_S, 'nanosec': stamp_ns % NS_PER_S}


def _header(stamp_ns: int, frame_id: str = '') -> dict[str, Any]:
    return {'stamp': time_fields(stamp_ns), 'frame_id': frame_id}


def image(pixels: np.ndarray, stamp_ns: int, frame_id: str) -> Any:
    """sensor_msgs/Image, rgb8, from (H, W, 3) uint8 RGB."""
    return build('sensor_msgs/msg/Image', {
        'header': _header(stamp_ns, frame_id), 'height': pixels.shape[0],
        'width': pixels.shape[1], 'encoding': 'rgb8', 'step': 3 * pixels.shape[1],
        'data': np.ascontiguousarray(pixels).reshape(-1)})


def joint_state(robot_obs: np.ndarray, stamp_ns: int) -> Any:
    """sensor_msgs/JointState: seven joints (rad), both fingers (m), from robot_obs (15,)."""
    finger = float(robot_obs[6]) / 2
    return build('sensor_msgs/msg/JointState', {
        'header': _header(stamp_ns), 'name': [*ARM_JOINTS, *FINGER_JOINTS],
        'position': np.array([*robot_obs[7:14], finger, finger], dtype=np.float64)})


def pose(robot_obs: np.ndarray, stamp_ns: int, frame_id: str = 'world') -> Any:
    """geometry_msgs/PoseStamped of the tool centre point from robot_obs (15,)."""
    position = dict(zip('xyz', map(float, robot_obs[:3]), strict=True))
    quaternion = quaternion_from_euler(np.asarray(robot_obs[3:6]))
    orientation = dict(zip('xyzw', map(float, quaternion), strict=True))
    return build('geometry_msgs/msg/PoseStamped', {
        'header': _header(stamp_ns, frame_id),
        'pose': {'position': position, 'orientation': orientation}})


def action(command: np.ndarray, stamp_ns: int, frame_id: str, step: int) -> Any:
    """EndEffectorAction from (7,); ``stamp_ns`` is the stamp of its observation."""
    return build('dysl_vla_ros/msg/EndEffectorAction', {
        'header': _header(stamp_ns, frame_id), 'step': step,
        'gripper': 1 if command[6] > 0 else -1, 'translation': command[:3],
        'rotation': command[3:6]})


def inference_stats(stats: Mapping[str, Any], stamp_ns: int, frame_id: str = '') -> Any:
    """InferenceStats from its fields.

    Args:
        stats: ``evaluation.recording.step_stats`` or ``observation.messages.stats_to_dict``, with
            'step' and, if known, 'raw_action' and 'input_stamps_ns'. None and absent numbers
            become NaN.
        stamp_ns: Stamp of the observation.
        frame_id: Frame of the header.
    """
    inputs: Mapping[str, int] = stats.get('input_stamps_ns', {})
    numbers = {name: stats.get(name) for name in _STATS_SCALARS}
    return build('dysl_vla_ros/msg/InferenceStats', {
        'header': _header(stamp_ns, frame_id), 'step': int(stats['step']),
        'input_names': list(inputs), 'input_stamps': [time_fields(ns) for ns in inputs.values()],
        'raw_action': np.asarray(stats.get('raw_action', np.full(7, np.nan)), dtype=np.float64),
        'limit_reasons': list(stats.get('limit_reasons', ())),
        'executed': np.asarray(stats['executed'], dtype=bool),
        'executed_total': int(stats['executed_total']), 'groups': list(stats['groups']),
        'is_verified': bool(stats['is_verified']),
        **{name: math.nan if v is None else float(v) for name, v in numbers.items()}})


def task_status(stamp_ns: int, **fields: Any) -> Any:
    """TaskStatus with the given fields."""
    return build('dysl_vla_ros/msg/TaskStatus', {'header': _header(stamp_ns), **fields})


def policy_description(described: Mapping[str, Any], parameters: Mapping[str, Any],
                       inputs: tuple[str, ...], stamp_ns: int = 0) -> Any:
    """PolicyDescription of a policy.

    Args:
        described: The policy's own ``describe()``.
        parameters: How it was run: 'strategy', 'device' and 'action_frame' at least.
        inputs: Streams it needs.
        stamp_ns: Time of the description.
    """
    return build('dysl_vla_ros/msg/PolicyDescription', {
        'header': _header(stamp_ns), 'checkpoint': str(described.get('folder', '')),
        'weights_sha256': str(described.get('weights_sha256', '')),
        'strategy': parameters.get('policy_factory') or parameters['strategy'],
        'device': parameters['device'], 'position_step_m': action_spec.MAX_POSITION_STEP_M,
        'rotation_step_rad': action_spec.MAX_ROTATION_STEP_RAD,
        'control_rate_hz': float(action_spec.CONTROL_RATE_HZ),
        'action_frame': parameters['action_frame'], 'inputs': list(inputs),
        'policy_json': json.dumps(described, default=str),
        'parameters_json': json.dumps(parameters)})


def clock(now_ns: int) -> Any:
    """rosgraph_msgs/Clock."""
    return build('rosgraph_msgs/msg/Clock', {'clock': time_fields(now_ns)})


def string(text: str) -> Any:
    """std_msgs/String."""
    return build('std_msgs/msg/String', {'data': text})


def float64(value: float) -> Any:
    """std_msgs/Float64."""
    return build('std_msgs/msg/Float64', {'data': float(value)})
