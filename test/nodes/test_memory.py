# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Memory of the process: what is removed goes back to the system."""

import sys

import pytest


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='malloc_trim is glibc')
def test_freed_memory_goes_back_to_the_system(graph):
    from dysl_vla_ros.nodes import memory
    # Small pieces come from the heap; the last one, which stays, keeps glibc from shrinking it.
    pieces = [b'x' * 100_000 for _ in range(500)]
    kept = bytes(100_000)
    full = memory.resident_memory_mb()
    pieces.clear()
    memory.give_back()
    assert memory.resident_memory_mb() < full - 40
    assert len(kept) == 100_000
