# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How much memory a process occupies, and giving back what it does not need."""

import contextlib
import ctypes
import gc
from pathlib import Path
import resource


def resident_memory_mb(pid: int | str = 'self') -> float:
    """Memory a process occupies now, in megabytes (our own peak where /proc does not tell)."""
    try:
        pages = int(Path(f'/proc/{pid}/statm').read_text(encoding='ascii').split()[1])
        return round(pages * resource.getpagesize() / 1e6, 1)
    except (OSError, ValueError, IndexError):
        if pid != 'self':
            raise
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)


def give_back() -> None:
    """Return freed memory to the system, after something large was removed.

    glibc keeps freed pages between live ones: a policy that is loaded again may not fit there and
    takes new ones, so that a node which is configured often grows by one policy now and then.
    Does nothing with another C library.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL('libc.so.6').malloc_trim(0)
