# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write a rosbag2 recording without ROS.

    with BagWriter('demo_bag') as bag:
        bag.instruction('open the drawer', stamp_ns)
        bag.observation(rgb_static, rgb_gripper, robot_obs, stamp_ns)
        bag.action(action, stamp_ns, step=0)

``ros2 bag info``, ``ros2 bag play`` and Foxglove read the result.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer, WriterError

from dysl_vla_ros.bags import messages
from dysl_vla_ros.bags.topics import TOPICS, offered_qos
from dysl_vla_ros.bags.typestore import typestore
from dysl_vla_ros.errors import ConfigError

Storage = Literal['mcap', 'sqlite3']
_PLUGINS = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}


class BagWriter:
    """One bag being written; a context manager, closed properly even when its block raises."""

    def __init__(self, folder: str | Path, storage: Storage = 'mcap', is_compressed: bool = False,
                 names: Mapping[str, str] | None = None,
                 custom: Mapping[str, str] | None = None) -> None:
        """Create the bag.

        Args:
            folder: New folder of the bag.
            storage: File format; mcap survives a crash up to its last megabyte, sqlite3 does not.
            is_compressed: Compress by zstd: mcap by chunk, sqlite3 by message.
            names: Topic name by key where it differs from ``topics.TOPICS``.
            custom: Text by key for the ``custom_data`` of metadata.yaml.

        Raises:
            ConfigError: If the folder exists or the storage is unknown.
        """
        if storage not in _PLUGINS:
            raise ConfigError(f'bag storage {storage!r}: expected one of {sorted(_PLUGINS)}')
        self.folder = Path(folder)
        self._names = {key: topic.name for key, topic in TOPICS.items()} | dict(names or {})
        self._connections: dict[str, Connection] = {}
        try:
            # Version 8 is what Jazzy writes; newer distributions read it.
            self._writer = Writer(self.folder, version=8, storage_plugin=_PLUGINS[storage])
            if is_compressed:
                mode = (CompressionMode.STORAGE if storage == 'mcap' else CompressionMode.MESSAGE)
                self._writer.set_compression(mode, CompressionFormat.ZSTD)
            for key, text in (custom or {}).items():
                self._writer.set_custom_data(key, text)
            self._writer.open()
        except WriterError as error:
            raise ConfigError(f'{self.folder}: cannot create a bag: {error}; choose another '
                              'folder or delete it') from error

    def __enter__(self) -> 'BagWriter':
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Write the index and metadata.yaml."""
        self._writer.close()

    # ------------------------------------------------------------------ our topics
    def observation(self, rgb_static: np.ndarray, rgb_gripper: np.ndarray,
                    robot_obs: np.ndarray, stamp_ns: int, time_ns: int | None = None) -> None:
        """Write one observation as the simulation bridge publishes it.

        Args:
            rgb_static: (H, W, 3) uint8 RGB.
            rgb_gripper: (H, W, 3) uint8 RGB.
            robot_obs: (15,) CALVIN's proprioception: joint_states, ee_pose, gripper_width.
            stamp_ns: Header stamp of all messages.
            time_ns: Time of receipt; the stamp if None.
        """
        time_ns = stamp_ns if time_ns is None else time_ns
        self.write('joint_states', messages.joint_state(robot_obs, stamp_ns), time_ns)
        self.write('ee_pose', messages.pose(robot_obs, stamp_ns), time_ns)
        self.write('gripper_width', messages.float64(robot_obs[6]), time_ns)
        for name, pixels in (('static', rgb_static), ('gripper', rgb_gripper)):
            self.write(f'image_{name}', messages.image(pixels, stamp_ns, f'camera_{name}'),
                       time_ns)

    def action(self, action: np.ndarray, stamp_ns: int, step: int, time_ns: int | None = None,
               frame_id: str = 'world') -> None:
        """Write the action (7,) caused by the observation of this stamp."""
        self.write('action', messages.action(action, stamp_ns, frame_id, step),
                   stamp_ns if time_ns is None else time_ns)

    def stats(self, stats: Mapping[str, Any], stamp_ns: int, time_ns: int | None = None) -> None:
        """Write statistics, see ``messages.inference_stats``."""
        self.write('inference_stats', messages.inference_stats(stats, stamp_ns),
                   stamp_ns if time_ns is None else time_ns)

    def instruction(self, sentence: str, time_ns: int) -> None:
        """Write the instruction that holds from now on."""
        self.write('instruction', messages.string(sentence), time_ns)

    def clock(self, now_ns: int, time_ns: int | None = None) -> None:
        """Write simulated time."""
        self.write('clock', messages.clock(now_ns), now_ns if time_ns is None else time_ns)

    # ------------------------------------------------------------------ any topic
    def write(self, key: str, message: Any, time_ns: int) -> None:
        """Write a message of one of ``topics.TOPICS``."""
        connection = self._connections.get(self._names[key])
        if connection is None:
            topic = TOPICS[key]
            connection = self.add(self._names[key], topic.type, [offered_qos(topic.quality)])
        raw = typestore().serialize_cdr(message, connection.msgtype)
        self._writer.write(connection, time_ns, raw)

    def write_raw(self, topic: str, kind: str, raw: bytes, time_ns: int) -> None:
        """Write an already serialised (CDR) message of any topic.

        Raises:
            ConfigError: If the type was not added before and is not known here.
        """
        connection = self._connections.get(topic) or self.add(topic, kind)
        self._writer.write(connection, time_ns, raw)

    def add(self, topic: str, kind: str, qos: Sequence[Qos] = ()) -> Connection:
        """Announce a topic, so that it appears in the bag even without messages.

        Args:
            topic: Name.
            kind: ROS type.
            qos: Offered profiles.

        Raises:
            ConfigError: If the type is not known here.
        """
        if kind not in typestore().fielddefs:
            raise ConfigError(f'topic {topic}: the definition of type {kind} is not known; known '
                              'are the standard messages of Jazzy and those of this package')
        connection = self._writer.add_connection(
            topic, kind, typestore=typestore(), offered_qos_profiles=list(qos))
        self._connections[topic] = connection
        return connection
