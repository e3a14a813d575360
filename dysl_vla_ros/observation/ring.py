# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A short history of one stream, addressed by header stamp."""

import bisect
from typing import Generic, NamedTuple, TypeVar

T = TypeVar('T')


class Sample(NamedTuple, Generic[T]):
    """One message: when it was measured and what it holds."""

    stamp_ns: int
    value: T


class StampRing(Generic[T]):
    """Samples of the last ``span_ns`` nanoseconds, ordered by stamp.

    A history and not a single value: a sample stamped after the tick must not hide the one
    before it. A sample with the stamp of a stored one replaces it. Not thread-safe; the owner
    holds the lock.
    """

    def __init__(self, span_ns: int = 1_000_000_000, capacity: int = 120) -> None:
        """Keep at most ``capacity`` samples that are at most ``span_ns`` older than the newest."""
        if span_ns < 0 or capacity < 1:
            raise ValueError(f'expected span_ns >= 0 and capacity >= 1, got {span_ns}, {capacity}')
        self._span_ns = span_ns
        self._capacity = capacity
        self._stamps: list[int] = []
        self._samples: list[Sample[T]] = []

    def __len__(self) -> int:
        return len(self._samples)

    def push(self, stamp_ns: int, value: T) -> None:
        """Store a sample; late arrivals are put in their place."""
        index = bisect.bisect_left(self._stamps, stamp_ns)
        if index < len(self._stamps) and self._stamps[index] == stamp_ns:
            self._samples[index] = Sample(stamp_ns, value)
            return
        self._stamps.insert(index, stamp_ns)
        self._samples.insert(index, Sample(stamp_ns, value))
        oldest = self._stamps[-1] - self._span_ns
        drop = max(bisect.bisect_left(self._stamps, oldest), len(self._stamps) - self._capacity)
        del self._stamps[:drop], self._samples[:drop]

    def latest(self) -> Sample[T] | None:
        """Return the sample with the largest stamp."""
        return self._samples[-1] if self._samples else None

    def at_or_before(self, stamp_ns: int) -> Sample[T] | None:
        """Return the newest sample whose stamp is not later than ``stamp_ns``."""
        index = bisect.bisect_right(self._stamps, stamp_ns)
        return self._samples[index - 1] if index else None

    def exactly(self, stamp_ns: int) -> Sample[T] | None:
        """Return the sample with this very stamp."""
        index = bisect.bisect_left(self._stamps, stamp_ns)
        has_it = index < len(self._stamps) and self._stamps[index] == stamp_ns
        return self._samples[index] if has_it else None

    def clear(self) -> None:
        """Forget everything."""
        self._stamps.clear()
        self._samples.clear()
