# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Read any rosbag2 without ROS: sqlite3 or mcap, split, compressed, damaged at the end.

    with BagReader('demo_bag') as bag:
        for message in bag.messages(['/image_static']):
            image = bag.decode(message)
    print(bag.problems)

Messages come one at a time; nothing but the storage's own chunk is kept in memory. What cannot
be read is described in ``problems``, the rest is read.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
import struct
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import apsw
from rosbags.interfaces import MessageDefinitionFormat
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.typesys import TypesysError, get_types_from_msg
from rosbags.typesys.store import Typestore

from dysl_vla_ros.bags.files import ZSTD_MAGIC, readable_copy, storage_files, zstd
from dysl_vla_ros.bags.salvage import DamagedFile
from dysl_vla_ros.bags.typestore import decode, own_definitions, store_with, typestore
from dysl_vla_ros.errors import DatasetError
from dysl_vla_ros.resources import PACKAGE

# What rosbags raises on bytes that are not what they should be.
_DAMAGE = (ReaderError, apsw.Error, zstd.ZstdError, EOFError, OSError, struct.error, ValueError,
           LookupError, TypeError, ArithmeticError, AssertionError, RuntimeError, MemoryError)


@dataclass(frozen=True)
class BagMessage:
    """One message: where it was, when it was received, and its serialised (CDR) bytes."""

    topic: str
    type: str
    time_ns: int
    raw: bytes


@dataclass(frozen=True)
class BagTopic:
    """What the bag says about a topic."""

    name: str
    type: str
    count: int


class BagReader:
    """One bag, open for reading; a context manager.

    Attributes:
        path: Folder or file.
        topics: By name.
        problems: Sentences about damage; grows while messages are read.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the bag.

        Raises:
            DatasetError: If there is no bag, or nothing in it can be read.
        """
        self.path = Path(path)
        self.problems: list[str] = []
        self.topics: dict[str, BagTopic] = {}
        self._sources: list[Reader | DamagedFile] = []
        self._stack = ExitStack()
        try:
            files = storage_files(self.path, self.problems)
            temporary = Path(self._stack.enter_context(TemporaryDirectory(prefix='dysl_bag_')))
            for file in files:
                self._open(file, temporary)
            if not self._sources:
                raise DatasetError(f'{self.path}: nothing can be read: '
                                   + '; '.join(self.problems))
            self._collect()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> 'BagReader':
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all files and remove unpacked copies."""
        self._stack.close()

    # ------------------------------------------------------------------ opening
    def _open(self, file: Path, temporary: Path) -> None:
        try:
            path = readable_copy(file, temporary, self.problems)
        except OSError as error:
            self.problems.append(f'{file.name}: cannot be opened: {error}')
            return
        try:
            self._sources.append(self._stack.enter_context(Reader(path)))
        except _DAMAGE as error:
            try:
                damaged = DamagedFile(path, str(error) or type(error).__name__)
            except (DatasetError, OSError) as nothing:
                self.problems.append(str(nothing))
                return
            self.problems.append(damaged.problem)
            self._sources.append(damaged)

    def _collect(self) -> None:
        """Merge the topics of all files and choose the message classes."""
        counts: Counter[tuple[str, str]] = Counter()
        definitions: dict[str, str] = {}
        for source in self._sources:
            if isinstance(source, DamagedFile):
                counts.update(source.counts)
                definitions |= {kind: text for kind, (form, text) in source.definitions.items()
                                if form == 'ros2msg'}
                continue
            for connection in source.connections:
                counts[connection.topic, connection.msgtype] += connection.msgcount
                if connection.msgdef.format == MessageDefinitionFormat.MSG:
                    definitions[connection.msgtype] = connection.msgdef.data
        for (topic, kind), count in counts.items():
            before = self.topics.get(topic)
            if before is not None and before.type != kind:
                self.problems.append(f'{topic} has two types, {before.type} and {kind}; the '
                                     'second is left out')
                continue
            self.topics[topic] = BagTopic(topic, kind, count)
        self._store = self._choose_store(definitions)

    def _choose_store(self, definitions: dict[str, str]) -> Typestore:
        """Use our own messages as the bag defines them, if it was made by another version."""
        own: dict[str, Any] = dict(own_definitions())
        for kind, text in definitions.items():
            if not kind.startswith(f'{PACKAGE}/'):
                continue
            try:
                parsed = get_types_from_msg(text, kind)
            except TypesysError as error:
                self.problems.append(f'the definition of {kind} in the bag is not valid: {error}')
                continue
            own |= {name: fields for name, fields in parsed.items()
                    if name.startswith(f'{PACKAGE}/')}
        return typestore() if own == own_definitions() else store_with(own)

    # ------------------------------------------------------------------ reading
    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """Yield messages in the order of their receipt.

        Args:
            topics: Names; None means all. Unknown ones give nothing.
        """
        for source in self._sources:
            yield from self._guarded(source, topics)

    def _guarded(self, source: Reader | DamagedFile,
                 topics: Collection[str] | None) -> Iterator[BagMessage]:
        def is_wanted(topic: str, kind: str) -> bool:
            return (topics is None or topic in topics) and self.topics[topic].type == kind

        if isinstance(source, DamagedFile):
            for found in source.messages():
                if is_wanted(found.topic, found.type):
                    yield BagMessage(found.topic, found.type, found.time_ns, _unpack(found.raw))
            return
        wanted = [c for c in source.connections if is_wanted(c.topic, c.msgtype)]
        if not wanted:
            return
        count = 0
        try:
            for connection, time_ns, raw in source.messages(wanted):
                yield BagMessage(connection.topic, connection.msgtype, time_ns, _unpack(raw))
                count += 1
        except _DAMAGE as error:
            name = Path(str(source.path)).name
            self.problems.append(f'{name}: reading stopped after {count} messages: '
                                 f'{error}')

    def decode(self, message: BagMessage) -> Any:
        """Deserialise.

        Raises:
            DatasetError: If the type is not known or the bytes do not fit it.
        """
        if message.type not in self._store.fielddefs:
            raise DatasetError(f'{message.topic}: type {message.type} is not known here')
        try:
            return decode(self._store, message.raw, message.type)
        except ValueError as error:
            raise DatasetError(f'{message.topic} at {message.time_ns} ns: not a valid '
                               f'{message.type}: {error}') from error


def _unpack(raw: bytes) -> bytes:
    """Undo compression by message; a serialised message never starts like a zstd frame."""
    return zstd.decompress(raw) if raw[:4] == ZSTD_MAGIC else raw
