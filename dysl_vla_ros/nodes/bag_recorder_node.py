# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Node that records our topics into a rosbag2, on machines without ``ros2 bag``.

    python -m dysl_vla_ros.nodes.bag_recorder_node --ros-args -p bag:=/tmp/run

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

from dysl_vla_ros.bags.topics import QUALITIES, TOPICS, Topic, offered_qos
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


class BagRecorderNode(Node):
    """Subscribes to every topic of ``bags/topics.py`` and writes what comes."""

    def __init__(self, stop: threading.Event) -> None:
        """Open the bag and subscribe."""
        super().__init__('bag_recorder_node')
        self.exit_code = 0
        p = declare(self, BagRecorderParameters)
        if not p.bag:
            raise ConfigError('bag_recorder_node: parameter bag is empty; expected a new folder')
        self._count, self._start_ns = 0, time.time_ns()
        self._seen: set[str] = set()
        # Remappings and the namespace decide under which name a topic is recorded.
        names = {key: self.resolve_topic_name(_relative(topic)) for key, topic in TOPICS.items()}
        self._writer = BagWriter(p.bag, p.storage, p.compressed, names)
        self._bag = p.bag
        for key, topic in TOPICS.items():
            self._writer.add(names[key], topic.type, [offered_qos(topic.quality)])
            self.create_subscription(message_class(topic.type), _relative(topic),
                                     self._callback(names[key], topic), _profile(topic), raw=True)

    def start(self) -> None:
        """Say that recording has begun."""
        self.get_logger().info(f'recording {len(TOPICS)} topics into {self._bag}')

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
    return topic.name if topic.quality in ('clock', 'diagnostics') else topic.name[1:]


def _profile(topic: Topic) -> QoSProfile:
    _, is_reliable, is_latched = QUALITIES[topic.quality]
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=_DEPTH,
        reliability=ReliabilityPolicy.RELIABLE if is_reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=(DurabilityPolicy.TRANSIENT_LOCAL if is_latched
                    else DurabilityPolicy.VOLATILE))


def message_class(kind: str) -> type:
    """Rclpy's class of a type such as 'sensor_msgs/msg/Image'."""
    package, _, name = kind.split('/')
    return getattr(import_module(f'{package}.msg'), name)


def main(args: list[str] | None = None) -> int:
    """Entry point of ``bag_recorder_node``."""
    return run_node(BagRecorderNode, args)


if __name__ == '__main__':
    sys.exit(main())
