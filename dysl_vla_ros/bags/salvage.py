# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What can still be read of a storage file whose end is missing.

An MCAP file without its index is read record by record (mcap.dev/spec), an SQLite file row by
row until the first missing page.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
import sqlite3
import struct
import sys
from typing import BinaryIO, NamedTuple

import lz4.frame

from dysl_vla_ros.errors import DatasetError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_MAGIC = b'\x89MCAP0\r\n'
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F
_LARGEST_RECORD = 1 << 31


class Found(NamedTuple):
    """One message of a damaged file."""

    topic: str
    type: str
    time_ns: int
    raw: bytes


class DamagedFile:
    """A storage file without a usable end: its messages in the order of writing.

    Attributes:
        counts: Readable messages by (topic, type).
        definitions: (format, text) of the message definitions by type.
        problem: What is wrong, for the report.
    """

    def __init__(self, path: Path, reason: str) -> None:
        """Look through the file once.

        Raises:
            DatasetError: If nothing can be read.
        """
        self.path = path
        self.definitions: dict[str, tuple[str, str]] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        self.problem = ''
        for found in self.messages():
            self.counts[found.topic, found.type] += 1
        total = sum(self.counts.values())
        if not total:
            raise DatasetError(f'{path.name}: damaged ({reason}) and no message can be recovered')
        self.problem = f'{path.name}: damaged ({reason}); {total} messages recovered'

    def messages(self) -> Iterator[Found]:
        """Yield everything that can be read."""
        if self.path.suffix == '.db3':
            yield from _sqlite_messages(self.path)
            return
        schemas: dict[int, str] = {}
        channels: dict[int, tuple[str, str]] = {}
        with self.path.open('rb') as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                return
            for code, content in _mcap_records(file):
                try:
                    if code == _SCHEMA:
                        (number,) = struct.unpack_from('<H', content)
                        name, position = _text(content, 2)
                        encoding, position = _text(content, position)
                        schemas[number] = name
                        self.definitions[name] = encoding, _text(content, position)[0]
                    elif code == _CHANNEL:
                        number, schema = struct.unpack_from('<HH', content)
                        channels[number] = _text(content, 4)[0], schemas.get(schema, '')
                    elif code == _MESSAGE:
                        number, _, time_ns = struct.unpack_from('<HIQ', content)
                        if number in channels:
                            yield Found(*channels[number], time_ns, content[22:])
                except (struct.error, UnicodeDecodeError):
                    continue  # one damaged record


def _text(content: bytes, position: int) -> tuple[str, int]:
    (size,) = struct.unpack_from('<I', content, position)
    end = position + 4 + size
    return content[position + 4:end].decode(), end


def _mcap_records(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(code, content) of every complete record, those inside chunks included."""
    while True:
        head = file.read(9)
        if len(head) < 9:
            return
        code, size = head[0], struct.unpack_from('<Q', head, 1)[0]
        if size > _LARGEST_RECORD or code == _DATA_END:
            return
        content = file.read(size)
        if code == _CHUNK:
            yield from _records_of_chunk(content)
        elif len(content) == size:
            yield code, content
        if len(content) < size:
            return


def _records_of_chunk(chunk: bytes) -> Iterator[tuple[int, bytes]]:
    """Records of a chunk, as far as it goes; a chunk that cannot be unpacked gives none."""
    try:
        compression, position = _text(chunk, 28)
        packed = chunk[position + 8:]
        if compression == 'zstd':
            records = zstd.ZstdDecompressor().decompress(packed)
        elif compression == 'lz4':
            records = lz4.frame.LZ4FrameDecompressor().decompress(packed)
        else:
            records = packed
    except (struct.error, UnicodeDecodeError, zstd.ZstdError, RuntimeError):
        return
    position = 0
    while position + 9 <= len(records):
        code, size = records[position], struct.unpack_from('<Q', records, position + 1)[0]
        content = records[position + 9:position + 9 + size]
        if len(content) < size:
            return
        yield code, content
        position += 9 + size


def _sqlite_messages(path: Path) -> Iterator[Found]:
    # Without writable_schema SQLite refuses a file shorter than its header says; immutable:
    # nothing is written, whatever a journal beside the file says.
    connection = sqlite3.connect(f'file:{path}?immutable=1', uri=True)
    try:
        connection.execute('PRAGMA writable_schema=ON')
        topics = {row[0]: (row[1], row[2]) for row in
                  connection.execute('SELECT id, name, type FROM topics')}
        for topic, time_ns, raw in connection.execute(
                'SELECT topic_id, timestamp, data FROM messages ORDER BY id'):
            if topic in topics:
                name, kind = topics[topic]
                yield Found(name, kind, time_ns, raw)
    except sqlite3.DatabaseError:
        return
    finally:
        connection.close()
