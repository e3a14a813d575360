# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which storage files make up a bag, and a readable copy of those that cannot be read in place.

A bag is a folder with metadata.yaml and one or more files, or one file. A recorder that was
killed leaves no metadata.yaml, or one that does not name the last file.
"""

from pathlib import Path
import re
import shutil
import sqlite3
import sys
from typing import Any

import yaml

from dysl_vla_ros.errors import DatasetError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
_COMPRESSED = '.zstd'
_STORAGES = ('.mcap', '.db3')
_PIECE = 1 << 20


def storage_files(bag: Path, problems: list[str]) -> list[Path]:
    """Return the files of a bag in the order of recording.

    Args:
        bag: Folder or single file.
        problems: Gets a sentence for everything that is not as it should be.

    Raises:
        DatasetError: If there is no bag at all.
    """
    if bag.is_file():
        return [bag]
    if not bag.is_dir():
        raise DatasetError(f'{bag}: no such bag; expected a rosbag2 folder or an .mcap or .db3 '
                           'file')
    present = sorted((path for path in bag.iterdir() if _is_storage(path)), key=_natural)
    listed = _listed(bag, problems)
    for name in listed:
        if not (bag / name).is_file():
            problems.append(f'{name} is named in metadata.yaml and missing')
    files = [bag / name for name in listed if (bag / name).is_file()]
    extra = [path for path in present if path not in files]
    if extra and listed:
        problems.append('not named in metadata.yaml, read all the same: '
                        + ', '.join(path.name for path in extra))
    if not files + extra:
        raise DatasetError(f'{bag}: no bag files; expected *.mcap or *.db3 (also .zstd)')
    return sorted(files + extra, key=_natural) if extra else files


def readable_copy(path: Path, folder: Path, problems: list[str]) -> Path:
    """Return a file that can be read in place: itself, or an unpacked copy in ``folder``."""
    if path.suffix == _COMPRESSED:
        copy = folder / path.stem
        damage = _unpack(path, copy)
        if damage:
            problems.append(f'{path.name}: the compressed file is {damage}; '
                            f'{copy.stat().st_size} bytes were recovered')
        return copy
    log = path.with_name(path.name + '-wal')
    if log.is_file() and log.stat().st_size:
        # The recorder was killed: its last messages are in SQLite's write-ahead log.
        problems.append(f'{path.name}: not closed by its recorder; messages in '
                        f'{log.name} are included')
        copy = Path(shutil.copy(path, folder))
        shutil.copy(log, folder)
        connection = sqlite3.connect(copy)
        try:
            connection.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        except sqlite3.DatabaseError as error:
            problems.append(f'{log.name}: {error}')
        finally:
            connection.close()
        return copy
    return path


def _unpack(packed: Path, target: Path) -> str:
    """Decompress piece by piece, so that a cut file gives all it has; returns what is wrong."""
    decompressor = zstd.ZstdDecompressor()
    with packed.open('rb') as source, target.open('wb') as sink:
        while piece := source.read(_PIECE):
            try:
                while piece:
                    if decompressor.eof:  # several frames, one after the other
                        decompressor = zstd.ZstdDecompressor()
                    sink.write(decompressor.decompress(piece))
                    piece = decompressor.unused_data
            except zstd.ZstdError as error:
                return f'damaged ({error})'
    return '' if decompressor.eof else 'cut off'


def _is_storage(path: Path) -> bool:
    name = path.name.removesuffix(_COMPRESSED)
    return path.is_file() and name.endswith(_STORAGES)


def _natural(path: Path) -> list[Any]:
    """Sort key that puts bag_10 after bag_9."""
    return [int(part) if part.isdigit() else part for part in re.split(r'(\d+)', path.name)]


def _listed(bag: Path, problems: list[str]) -> list[str]:
    """File names in metadata.yaml; empty when there is none."""
    path = bag / 'metadata.yaml'
    if not path.is_file():
        problems.append('metadata.yaml is missing (was the recorder killed?); all files in the '
                        'folder are read')
        return []
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
        # Old versions wrote paths relative to the folder's parent.
        return [Path(name).name for name in
                content['rosbag2_bagfile_information']['relative_file_paths']]
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        problems.append(f'metadata.yaml cannot be read ({error!r}); all files in the folder are '
                        'read')
        return []
