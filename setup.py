# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""pip packaging; metadata is in setup.cfg, this file lists the share folder's contents.

colcon builds the same repository through CMakeLists.txt (interfaces included).
"""

from pathlib import Path

from setuptools import setup

SHARE = 'share/dysl_vla_ros'


def share_files() -> list[tuple[str, list[str]]]:
    """Return (target folder, files) for package.xml and the trees launch, config, msg, weights."""
    found = {SHARE: ['package.xml']}
    for folder in ('launch', 'config', 'msg', 'weights'):
        for path in sorted(Path(folder).rglob('*')):
            if path.is_file() and '__pycache__' not in path.parts:
                found.setdefault(f'{SHARE}/{path.parent.as_posix()}', []).append(path.as_posix())
    return sorted(found.items())


setup(data_files=share_files())
