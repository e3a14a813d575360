# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Peak memory of a part of a program: loading, running.

Host memory is the process's resident set as the kernel counts it, which sees torch, mapped files
and libraries alike; the accelerator's is torch's own count.
"""

import contextlib
from pathlib import Path
import sys
from types import TracebackType

import torch

_STATUS = Path('/proc/self/status')
_CLEAR = Path('/proc/self/clear_refs')


def _resident(field: str) -> int:
    """VmRSS (now) or VmHWM (largest) of this process in bytes; 0 where there is no /proc."""
    if sys.platform != 'linux':
        return 0
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f'{field}:'):
            return 1024 * int(line.split()[1])
    return 0


class PeakMemory:
    """Measures the growth of memory within a ``with`` block.

    Attributes:
        before_bytes: Memory in use at the start, accelerator included.
        peak_bytes: Largest memory in use inside; valid after the block.
    """

    before_bytes = peak_bytes = 0

    def __enter__(self) -> 'PeakMemory':
        """Forget earlier peaks, as far as the system lets us."""
        # Where this is not allowed an earlier peak counts as ours: too high, never too low.
        with contextlib.suppress(OSError):
            _CLEAR.write_text('5')  # resets VmHWM to VmRSS
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self.before_bytes = _resident('VmRSS') + _device('memory_allocated')
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Read the peak."""
        self.peak_bytes = _resident('VmHWM') + _device('max_memory_allocated')

    @property
    def growth_bytes(self) -> int:
        """Peak minus what was in use before."""
        return self.peak_bytes - self.before_bytes


def _device(count: str) -> int:
    return int(getattr(torch.cuda, count)()) if torch.cuda.is_available() else 0
