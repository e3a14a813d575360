# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From messages to our arrays, for every family of message classes.

A message is anything with the fields of its ROS type: rclpy's classes in the node, those of the
``rosbags`` library in offline evaluation. Both go through these functions, so a replay decodes
exactly what the node decoded.
"""

from collections.abc import Callable, Mapping
import math
from typing import Any

import numpy as np

from dysl_vla_ros.control.rotations import euler_from_quaternion
from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.observation.decode import decode_compressed, decode_image
from dysl_vla_ros.observation.observation import (
    SCENE_STATE_SIZES,
    Observation,
    SceneState,
)

IMAGES = ('image_static', 'image_gripper')
PROPRIOCEPTION = ('joint_states', 'ee_pose')
SCENE_STATE = 'scene_state'
ARM_JOINTS = tuple(f'panda_joint{i}' for i in range(1, 8))
FINGER_JOINTS = ('panda_finger_joint1', 'panda_finger_joint2')
NS_PER_S = 1_000_000_000
# How a limit reason begins that says why a step of the policy has no action.
NOT_SENT = 'not sent: '


# Messages are typed Any: their classes are generated, by rclpy or from the definitions in a bag.
def ns_from_time(stamp: Any) -> int:
    """Convert a builtin_interfaces/Time to nanoseconds."""
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def image_from_message(message: Any) -> np.ndarray:
    """Unpack a sensor_msgs/Image or CompressedImage to (H, W, 3) uint8 RGB.

    Raises:
        ContractError: For an unknown encoding or format, or when size, step and data do not fit
            together.
    """
    if not hasattr(message, 'encoding'):
        return decode_compressed(message.data)
    return decode_image(message.height, message.width, message.encoding, message.step,
                        message.data, bool(message.is_bigendian))


def robot_obs_from_messages(joints: Any, pose: Any, gripper_command: float,
                            arm_joints: tuple[str, ...] = ARM_JOINTS,
                            finger_joints: tuple[str, ...] = FINGER_JOINTS) -> np.ndarray:
    """Build CALVIN's robot_obs (15,) from joint states, tool pose and the last command.

    Args:
        joints: sensor_msgs/JointState with the seven arm joints (rad) and both fingers (m).
        pose: geometry_msgs/PoseStamped of the tool centre point (m, quaternion xyzw).
        gripper_command: The last gripper command, -1 or +1.
        arm_joints: Names of the arm joints, in CALVIN's order.
        finger_joints: Names of the fingers; their positions add up to the width.

    Raises:
        ContractError: If a joint is missing; names it.
    """
    positions = dict(zip(joints.name, joints.position, strict=False))
    missing = [name for name in (*arm_joints, *finger_joints) if name not in positions]
    if missing:
        raise ContractError(f'joint_states lacks {missing}; got {list(joints.name)}')
    p, q = pose.pose.position, pose.pose.orientation
    return np.array([
        p.x, p.y, p.z, *euler_from_quaternion(np.array([q.x, q.y, q.z, q.w])),
        sum(positions[name] for name in finger_joints),
        *(positions[name] for name in arm_joints), gripper_command])


def scene_state_names(scene: str) -> list[str]:
    """Names of the 45 values of a scene state on a topic: ``<scene>/<array>/<index>``."""
    return [f'{scene}/{name}/{index}' for name, size in SCENE_STATE_SIZES.items()
            for index in range(size)]


def scene_state_from_message(message: Any) -> SceneState:
    """Unpack the sensor_msgs/JointState that carries the privileged state.

    Raises:
        ContractError: If a name is missing or foreign, or a value is not finite.
    """
    names = list(message.name)
    scene = names[0].partition('/')[0] if names else ''
    if names != scene_state_names(scene) or len(message.position) != len(names):
        raise ContractError(
            f'scene_state: expected {len(scene_state_names(""))} values named '
            f'<scene>/robot_obs/0 and so on, got {len(message.position)} values and the names '
            f'{names[:3]} ...; is it published by sim_bridge_node with publish_scene_state?')
    values, first = np.array(message.position, dtype=np.float64), 0
    arrays = {}
    for name, size in SCENE_STATE_SIZES.items():
        arrays[name] = values[first:first + size]
        first += size
    return SceneState(scene, **arrays)


def observation_from_messages(
        samples: Mapping[str, Any], gripper_command: float, stamp_ns: int,
        decode: Callable[[str, Any], np.ndarray] = lambda _, message: image_from_message(message),
        arm_joints: tuple[str, ...] = ARM_JOINTS,
        finger_joints: tuple[str, ...] = FINGER_JOINTS) -> Observation:
    """Build the observation of one control step.

    Args:
        samples: Message by stream: both of IMAGES and, if the policy uses them, PROPRIOCEPTION
            and SCENE_STATE.
        gripper_command: The last gripper command, -1 or +1.
        stamp_ns: Time of the observation.
        decode: Unpacks the image message of a stream; the node's also asks cv_bridge and
            refuses a frozen camera.
        arm_joints: Names of the arm joints, in CALVIN's order.
        finger_joints: Names of the fingers; their positions add up to the width.

    Raises:
        ContractError: If an image, the joint states or the scene state cannot be decoded.
    """
    robot_obs = None
    if PROPRIOCEPTION[0] in samples:
        joints, pose = (samples[name] for name in PROPRIOCEPTION)
        robot_obs = robot_obs_from_messages(joints, pose, gripper_command, arm_joints,
                                            finger_joints)
    static, gripper = (decode(name, samples[name]) for name in IMAGES)
    scene = scene_state_from_message(samples[SCENE_STATE]) if SCENE_STATE in samples else None
    return Observation(static, gripper, robot_obs, stamp_ns, scene)


def action_from_message(message: Any) -> np.ndarray:
    """Unpack an EndEffectorAction to (7,) float64.

    Raises:
        ContractError: Unless it is finite with gripper -1 or +1.
    """
    action = np.array([*message.translation, *message.rotation, float(message.gripper)])
    if not np.isfinite(action).all() or message.gripper not in (-1, 1):
        raise ContractError(f'received an action that is not valid: {action}')
    return action


def was_sent(stats: Any) -> bool:
    """Whether the step that an InferenceStats describes has an action."""
    return not any(reason.startswith(NOT_SENT) for reason in stats.limit_reasons)


def stats_to_dict(message: Any) -> dict[str, Any]:
    """Unpack InferenceStats to JSON-ready types with its field names; NaN becomes None."""
    def number(value: float) -> float | None:
        return None if math.isnan(value) else float(value)

    plain: dict[str, Any] = {
        'stamp_ns': ns_from_time(message.header.stamp), 'step': int(message.step),
        'input_stamps_ns': {name: ns_from_time(stamp) for name, stamp in
                            zip(message.input_names, message.input_stamps, strict=True)},
        'raw_action': [number(v) for v in message.raw_action],
        'limit_reasons': list(message.limit_reasons),
        'executed': [bool(v) for v in message.executed],
        'executed_total': int(message.executed_total),
        'groups': [{'first': int(g.first), 'last': int(g.last), 'reason': int(g.reason),
                    'jump_from': int(g.jump_from), 'allow_point': int(g.allow_point)}
                   for g in message.groups],
        'is_verified': bool(message.is_verified)}
    for name in ('gripper_probability', 'continuity', 'continuity_change', 'preprocess_ms',
                 'vision_ms', 'decoder_ms', 'head_ms', 'total_ms', 'observation_age_ms',
                 'latency_ms'):
        plain[name] = number(getattr(message, name))
    return plain
