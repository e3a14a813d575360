# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Node that records our topics into a rosbag2, on machines without ``ros2 bag``.

    python -m dysl_vla_ros.nodes.bag_recorder_node --ros-args -p bag:=/tmp/run
    ... -p "topics:=['image_static:=/camera/color/image_raw', instruction, action,
                     '/servo_node/delta_twist_cmds:=geometry_msgs/msg/TwistStamped']"

Serialised messages are written as they arrive, undecoded. With a full ROS 2 install use
``ros2 launch dysl_vla_ros record.launch.py``, which starts ``ros2 bag record``.
"""

from dataclasses import dataclass
from importlib import import_module
import sys
import threading
import time

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from dysl_vla_ros.bags.topics import QUALITIES, TOPICS, Topic, chosen, offered_qos
from dysl_vla_ros.bags.writer import BagWriter
from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.nodes.parameters import declare, field
from dysl_vla_ros.nodes.process import run_node

# Recording must not miss what the node sees: deeper than the node's own queues.
_DEPTH = 200


@dataclass(frozen=True)
class BagRecorderParameters:
    """Parameters of ``bag_recorder_node``."""

    bag: str = field('', 'New folder of the bag; must be given.')
    storage: str = field('mcap', 'mcap or sqlite3.', choices=('mcap', 'sqlite3'))
    compressed: bool = field(True, 'Compress by zstd.')
    topics: tuple[str, ...] = field(
        tuple(TOPICS), 'What to record: keys of bags/topics.py, KEY:=NAME for one of them under '
                       'another name, or NAME:=package/msg/Type for any other topic.')


class BagRecorderNode(Node):
    """Subscribes to the chosen topics and writes what comes."""

    def __init__(self, stop: threading.Event) -> None:
        """Open the bag and subscribe."""
        super().__init__('bag_recorder_node')
        self.exit_code = 0
        p = declare(self, BagRecorderParameters)
        if not p.bag:
            raise ConfigError('bag_recorder_node: parameter bag is empty; expected a new folder')
        self._count, self._start_ns = 0, time.time_ns()
        self._seen: set[str] = set()
        self._topics = chosen(p.topics)
        kinds = {topic.key: message_class(topic.type) for topic in self._topics}
        self._writer = BagWriter(p.bag, p.storage, p.compressed)
        self._bag = p.bag
        for topic in self._topics:
            # Remappings and the namespace decide under which name a topic is recorded.
            name = self.resolve_topic_name(_relative(topic))
            self._writer.add(name, topic.type, [offered_qos(topic.quality)])
            self.create_subscription(kinds[topic.key], _relative(topic),
                                     self._callback(name, topic), _profile(topic), raw=True)

    def start(self) -> None:
        """Say that recording has begun."""
        self.get_logger().info(f'recording {len(self._topics)} topics into {self._bag}')

    def _callback(self, name: str, topic: Topic):
        def write(raw: bytes, info: dict) -> None:
            # The time of sending: a latched instruction may arrive after the first observation
            # made for it. Not before the recording, or an old latched message would stretch it.
            time_ns = max(info['source_timestamp'], self._start_ns)
            self._writer.write_raw(name, topic.type, raw, time_ns)
            self._count += 1
            if name not in self._seen:
                self._seen.add(name)
                self.get_logger().info(f'first message on {name}')
        return write

    def close(self) -> None:
        """Write the index."""
        self._writer.close()
        self.get_logger().info(f'{self._count} messages in {self._bag}')


def _relative(topic: Topic) -> str:
    """Our own names take the node's namespace; names that were given are taken as they are."""
    own = TOPICS.get(topic.key)
    is_own = own is not None and own.name == topic.name
    return topic.name[1:] if is_own and topic.quality not in ('clock', 'diagnostics') \
        else topic.name


def _profile(topic: Topic) -> QoSProfile:
    _, is_reliable, is_latched = QUALITIES[topic.quality]
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=_DEPTH,
        reliability=ReliabilityPolicy.RELIABLE if is_reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=(DurabilityPolicy.TRANSIENT_LOCAL if is_latched
                    else DurabilityPolicy.VOLATILE))


def message_class(kind: str) -> type:
    """Rclpy's class of a type such as 'sensor_msgs/msg/Image'.

    Raises:
        ConfigError: If its package is not installed or has no such message.
    """
    package, _, name = kind.split('/')
    try:
        return getattr(import_module(f'{package}.msg'), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f'message type {kind}: {error}') from error


def main(args: list[str] | None = None) -> int:
    """Entry point of ``bag_recorder_node``."""
    return run_node(BagRecorderNode, args)


if __name__ == '__main__':
    sys.exit(main())
