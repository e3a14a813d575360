# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Between our dataclasses and ROS messages. Pure functions: no node, no clock, no state."""

from array import array
import json
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose as PoseMessage
from geometry_msgs.msg import PoseStamped
import numpy as np
from sensor_msgs.msg import CompressedImage, Image, JointState

from dysl_vla_ros.control import action_spec
from dysl_vla_ros.control.rotations import quaternion_from_euler
from dysl_vla_ros.control.target import Pose
from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.msg import (
    EndEffectorAction,
    GroupDecision,
    InferenceStats,
    PolicyDescription,
)
from dysl_vla_ros.nodes import optional
from dysl_vla_ros.observation.decode import ENCODINGS
from dysl_vla_ros.observation.messages import (
    ARM_JOINTS,
    FINGER_JOINTS,
    NS_PER_S,
    action_from_message,
    ns_from_time,
    robot_obs_from_messages,
    scene_state_names,
    stats_to_dict,
)
from dysl_vla_ros.observation.messages import image_from_message as decode_message
from dysl_vla_ros.observation.observation import SCENE_STATE_SIZES, SceneState
from dysl_vla_ros.skipping.step import Step

# Decoding is shared with offline evaluation; callers in this room find both directions here.
__all__ = ['action_from_message', 'action_message', 'description_message', 'fill_pose',
           'image_from_message', 'image_message', 'joint_state_message', 'ns_from_time',
           'pose_from_message', 'pose_message',
           'robot_obs_from_messages', 'scene_state_message', 'stats_message', 'stats_to_dict',
           'time_from_ns']


def time_from_ns(stamp_ns: int) -> Time:
    """Convert nanoseconds to a Time message."""
    return Time(sec=stamp_ns // NS_PER_S, nanosec=stamp_ns % NS_PER_S)


# ---------------------------------------------------------------------- images, proprioception
def image_message(image: np.ndarray, stamp_ns: int, frame_id: str) -> Image:
    """Pack (H, W, 3) uint8 RGB as an rgb8 message.

    The data go through ``array.frombytes``, one copy. Measured for 200 x 200 on two 2026 server
    cores: 5 us; a list assigned to ``Image.data`` is checked element by element, 2100 us, and
    a numpy array 5900 us.
    """
    message = Image(height=image.shape[0], width=image.shape[1], encoding='rgb8',
                    step=3 * image.shape[1])
    message.header.stamp = time_from_ns(stamp_ns)
    message.header.frame_id = frame_id
    data = array('B')
    data.frombytes(np.ascontiguousarray(image))
    message.data = data
    return message


def image_from_message(message: Image | CompressedImage) -> np.ndarray:
    """Unpack a raw or compressed image message to (H, W, 3) uint8 RGB.

    Our own converter knows cv_bridge's colour encodings and gives the same pixels; cv_bridge is
    asked for what is left, where it is installed.

    Raises:
        ContractError: If size, step and data do not fit together.
        ConfigError: If the encoding needs cv_bridge and it is not installed.
    """
    if not isinstance(message, CompressedImage) and message.encoding not in ENCODINGS:
        cv_bridge = optional.require('cv_bridge', f'image encoding {message.encoding!r}')
        return np.asarray(cv_bridge.CvBridge().imgmsg_to_cv2(message, 'rgb8'))
    return decode_message(message)


def joint_state_message(robot_obs: np.ndarray, stamp_ns: int) -> JointState:
    """Seven arm joints (rad) and both fingers (m, half the width each) from robot_obs (15,)."""
    message = JointState(name=[*ARM_JOINTS, *FINGER_JOINTS])
    message.header.stamp = time_from_ns(stamp_ns)
    finger = float(robot_obs[6]) / 2
    message.position = array('d', [*map(float, robot_obs[7:14]), finger, finger])
    return message


def scene_state_message(state: SceneState, stamp_ns: int) -> JointState:
    """Pack the privileged state: 45 named doubles, unchanged (``scene_state_names``)."""
    message = JointState(name=scene_state_names(state.scene))
    message.header.stamp = time_from_ns(stamp_ns)
    message.header.frame_id = 'world'
    message.position = array('d', np.concatenate([getattr(state, name)
                                                  for name in SCENE_STATE_SIZES]))
    return message


def pose_message(robot_obs: np.ndarray, stamp_ns: int, frame_id: str = 'world') -> PoseStamped:
    """Tool centre point pose (m, quaternion xyzw) from robot_obs (15,)."""
    message = PoseStamped()
    message.header.stamp = time_from_ns(stamp_ns)
    message.header.frame_id = frame_id
    fill_pose(message.pose, robot_obs[:3], quaternion_from_euler(robot_obs[3:6]))
    return message


def fill_pose(message: PoseMessage, position_m: np.ndarray, quaternion: np.ndarray) -> None:
    """Write a position (3,) in metres and a quaternion (4,) xyzw into a Pose message."""
    message.position.x, message.position.y, message.position.z = map(float, position_m)
    o = message.orientation
    o.x, o.y, o.z, o.w = map(float, quaternion)


def pose_from_message(message: PoseStamped) -> Pose:
    """Unpack a measured pose.

    Raises:
        ContractError: If a value is not finite or the quaternion has no length.
    """
    p, q = message.pose.position, message.pose.orientation
    values = np.array([p.x, p.y, p.z, q.x, q.y, q.z, q.w])
    if not np.isfinite(values).all() or np.linalg.norm(values[3:]) < 1e-6:
        raise ContractError(f'ee_pose: not a pose: {values.tolist()}')
    return Pose.from_quaternion(values[:3], values[3:])


# ---------------------------------------------------------------------- actions, statistics
def action_message(action: np.ndarray, stamp_ns: int, frame_id: str,
                   step: int) -> EndEffectorAction:
    """Pack a limited (7,) action; ``stamp_ns`` is the stamp of its observation."""
    message = EndEffectorAction(step=step, gripper=1 if action[6] > 0 else -1)
    message.header.stamp = time_from_ns(stamp_ns)
    message.header.frame_id = frame_id
    message.translation = np.array(action[:3], dtype=np.float64)
    message.rotation = np.array(action[3:6], dtype=np.float64)
    return message


def stats_message(step: Step, stamp_ns: int, inputs: dict[str, int], reasons: tuple[str, ...],
                  age_ms: float, latency_ms: float) -> InferenceStats:
    """Pack how a step was computed; ``inputs`` maps stream names to stamps in nanoseconds."""
    trace, timing = step.trace, step.timing
    message = InferenceStats(
        step=step.index, input_names=list(inputs),
        input_stamps=[time_from_ns(ns) for ns in inputs.values()],
        limit_reasons=list(reasons), gripper_probability=float(step.gripper_probability),
        executed=[bool(e) for e in trace.executed], executed_total=int(trace.n_executed_total),
        groups=[GroupDecision(first=g.first, last=g.last, reason=int(g.reason),
                              jump_from=g.jump_from, allow_point=g.allow_point)
                for g in trace.groups],
        continuity=float(trace.continuity), continuity_change=float(trace.continuity_change),
        is_verified=bool(trace.is_verified), preprocess_ms=float(timing.preprocess_ms),
        vision_ms=float(timing.vision_ms), decoder_ms=float(timing.decoder_ms),
        head_ms=float(timing.head_ms), total_ms=float(timing.total_ms),
        observation_age_ms=float(age_ms), latency_ms=float(latency_ms))
    message.header.stamp = time_from_ns(stamp_ns)
    action = np.array(step.action, dtype=np.float64)
    # Of a policy that broke the contract, what cannot be told is NaN.
    message.raw_action = action if action.shape == (7,) else np.full(7, np.nan)
    return message


def description_message(described: dict[str, Any], parameters: dict[str, Any],
                        inputs: tuple[str, ...]) -> PolicyDescription:
    """Pack what the policy node runs; ``parameters`` are the node's own."""
    return PolicyDescription(
        checkpoint=str(described.get('folder', '')),
        weights_sha256=str(described.get('weights_sha256', '')),
        strategy=parameters['policy_factory'] or parameters['strategy'],
        device=parameters['device'], position_step_m=action_spec.MAX_POSITION_STEP_M,
        rotation_step_rad=action_spec.MAX_ROTATION_STEP_RAD,
        control_rate_hz=float(action_spec.CONTROL_RATE_HZ),
        action_frame=parameters['action_frame'], inputs=list(inputs),
        policy_json=json.dumps(described, default=str), parameters_json=json.dumps(parameters))
