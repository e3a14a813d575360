# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Processes that do nothing but keep the processor busy, gone when the block ends."""

from collections.abc import Iterator
from contextlib import contextmanager
import os
import subprocess
import sys

# Ends by itself when its parent is gone, however that ended: its parent's id changes then.
_LOOP = ('import os, time\n'
         'parent = int({parent})\n'
         'while os.getppid() == parent:\n'
         '    end = time.monotonic() + 0.2\n'
         '    while time.monotonic() < end: pass\n')


@contextmanager
def busy_loops(count: int) -> Iterator[list['subprocess.Popen[bytes]']]:
    """Run ``count`` busy loops; killed and waited for at the end, whatever happens inside."""
    loops: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            loops.append(subprocess.Popen(
                [sys.executable, '-S', '-c', _LOOP.format(parent=os.getpid())]))
        yield loops
    finally:
        for loop in loops:
            loop.kill()
        for loop in loops:
            loop.wait()
