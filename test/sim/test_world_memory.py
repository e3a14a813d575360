# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A bridge builds a new world for every episode: a closed one must leave nothing behind."""

import subprocess
import sys

import pytest

CODE = """
import ctypes
from pathlib import Path
import resource
from dysl_vla_ros.sim import PlayTableEnv

def memory_mb():
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize() / 1e6

for index in range(16):
    PlayTableEnv('calvin_scene_D', render=False).close()
    if index == 3:
        before = memory_mb()
print('GROWTH', memory_mb() - before)
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc and trims the heap of glibc')
def test_closed_worlds_leave_no_memory_behind():
    output = subprocess.run([sys.executable, '-c', CODE], capture_output=True, text=True,
                            check=True).stdout
    assert float(output.split('GROWTH')[1]) < 1.0  # 2.5 with PyBullet's cache of meshes
