# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The topics of a recording: name, type and quality of service, as in docs/reference/nodes.md."""

from dataclasses import dataclass, replace
from typing import Literal

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

from dysl_vla_ros.errors import ConfigError

Quality = Literal['sensor', 'command', 'statistics', 'latched', 'clock', 'diagnostics']
# (depth, is reliable, is latched), as in nodes/qos.py.
QUALITIES: dict[Quality, tuple[int, bool, bool]] = {
    'sensor': (1, False, False), 'command': (1, True, False), 'statistics': (10, True, False),
    'latched': (1, True, True), 'clock': (1, False, False), 'diagnostics': (1, True, False)}


@dataclass(frozen=True)
class Topic:
    """One topic of the nodes.

    Attributes:
        key: What the code calls it, whatever its name in a particular graph or bag.
        name: Absolute name with the nodes' default names and no namespace.
        type: ROS type.
        quality: Which quality of service it is offered with.
    """

    key: str
    name: str
    type: str
    quality: Quality


TOPICS: dict[str, Topic] = {topic.key: topic for topic in (
    # Instruction and status first: a recorder that finds several messages at once keeps causes
    # before their effects.
    Topic('policy_description', '/policy_node/policy_description',
          'dysl_vla_ros/msg/PolicyDescription', 'latched'),
    Topic('clock', '/clock', 'rosgraph_msgs/msg/Clock', 'clock'),
    Topic('instruction', '/instruction', 'std_msgs/msg/String', 'latched'),
    Topic('task_status', '/task_status', 'dysl_vla_ros/msg/TaskStatus', 'latched'),
    Topic('joint_states', '/joint_states', 'sensor_msgs/msg/JointState', 'sensor'),
    Topic('ee_pose', '/ee_pose', 'geometry_msgs/msg/PoseStamped', 'sensor'),
    Topic('gripper_width', '/gripper_width', 'std_msgs/msg/Float64', 'sensor'),
    Topic('image_static', '/image_static', 'sensor_msgs/msg/Image', 'sensor'),
    Topic('image_gripper', '/image_gripper', 'sensor_msgs/msg/Image', 'sensor'),
    Topic('inference_stats', '/policy_node/inference_stats', 'dysl_vla_ros/msg/InferenceStats',
          'statistics'),
    Topic('action', '/policy_node/action', 'dysl_vla_ros/msg/EndEffectorAction', 'command'),
    Topic('diagnostics', '/diagnostics', 'diagnostic_msgs/msg/DiagnosticArray', 'diagnostics'),
)}


def offered_qos(quality: Quality) -> Qos:
    """Return the profile as a bag stores it, so that a player offers what the node offered."""
    depth, is_reliable, is_latched = QUALITIES[quality]
    never = QosTime(0, 0)
    return Qos(
        QosHistory.KEEP_LAST, depth,
        QosReliability.RELIABLE if is_reliable else QosReliability.BEST_EFFORT,
        QosDurability.TRANSIENT_LOCAL if is_latched else QosDurability.VOLATILE,
        never, never, QosLiveliness.AUTOMATIC, never, False)


def chosen(entries: list[str] | tuple[str, ...]) -> list[Topic]:
    """What a recorder shall listen to.

    Args:
        entries: A key of ``TOPICS``; ``KEY:=NAME`` for the same under another name; or
            ``NAME:=package/msg/Type`` for any other topic.

    Returns:
        Topics with the names asked for; a relative one is still to be resolved.

    Raises:
        ConfigError: For an entry of another form, or one name twice.
    """
    topics: dict[str, Topic] = {}
    for entry in entries:
        left, _, right = entry.partition(':=')
        if left in TOPICS:
            known = TOPICS[left]
            topic = replace(known, name=right or known.name)
        elif right.count('/') == 2 and '/msg/' in right and left:
            topic = Topic(left, left, right, 'sensor')  # best effort hears every sender
        else:
            raise ConfigError(f'topic {entry!r}: expected one of {sorted(TOPICS)}, KEY:=NAME with '
                              'one of them, or NAME:=package/msg/Type')
        if topic.name in topics:
            raise ConfigError(f'topic {entry!r}: {topic.name} is named twice')
        topics[topic.name] = topic
    return list(topics.values())


def remapped(remaps: list[str] | tuple[str, ...] = ()) -> dict[str, str]:
    """Topic name in the bag by key.

    Args:
        remaps: Entries ``key:=/name/in/the/bag`` (also ``/default/name:=/name/in/the/bag``).

    Raises:
        ConfigError: For an entry of another form or an unknown topic.
    """
    names = {key: topic.name for key, topic in TOPICS.items()}
    by_name = {topic.name: key for key, topic in TOPICS.items()}
    for entry in remaps:
        left, separator, right = entry.partition(':=')
        key = left if left in names else by_name.get('/' + left.lstrip('/'))
        if not separator or not right or key is None:
            raise ConfigError(f'topic remapping {entry!r}: expected TOPIC:=/name/in/the/bag with '
                              f'TOPIC one of {sorted(names)}')
        names[key] = right if right.startswith('/') else '/' + right
    return names
