# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Several streams, one observation: the newest sample per stream, judged by stamps only.

Two ways to ask: ``at(tick)`` for a fixed-rate loop (design/interfaces.md section 8) and
``complete()`` for lockstep, where every stream carries the same stamp. Both depend on stamps
alone, so a replay of the same messages gives the same observations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from dysl_vla_ros.observation.ring import Sample, StampRing

T = TypeVar('T')


class StreamState(Enum):
    """Why a stream can or cannot be used at a tick."""

    FRESH = 'fresh'
    HELD = 'held'                # usable, but the same sample as in the step before
    MISSING = 'missing'          # nothing received yet
    FUTURE = 'only future data'  # every stored stamp is later than the tick
    STALE = 'stale'              # the newest usable sample is older than the maximum age


@dataclass
class StreamCounters:
    """What arrived on one stream since the start.

    Attributes:
        received: All samples.
        late: Out of order: stamped before a sample that was there already (kept, in its place).
        repeated: With the stamp of a stored sample (replaced it).
        jumps: Clock set back: everything stored was dropped.
    """

    received: int = 0
    late: int = 0
    repeated: int = 0
    jumps: int = 0


@dataclass(frozen=True)
class Assembly(Generic[T]):
    """The answer at one tick.

    Attributes:
        samples: Per stream the sample chosen; complete only when ``is_usable``.
        states: Per stream its state.
        spread_ns: Largest difference between two chosen stamps.
        is_usable: Every stream is fresh or held, at least one is fresh, and the spread is within
            its limit.
        stamp_ns: Newest stamp among the chosen samples: the time of the observation.
        reason: Empty when usable, else which stream failed and why.
    """

    samples: dict[str, Sample[T]]
    states: dict[str, StreamState]
    spread_ns: int
    is_usable: bool
    stamp_ns: int
    reason: str


class ObservationAssembler:
    """Rings of all required streams. Not thread-safe; the owner holds the lock."""

    def __init__(self, streams: tuple[str, ...], max_age_ns: int, max_spread_ns: int,
                 jump_ns: int = 1_000_000_000,
                 max_ages_ns: Mapping[str, int] | None = None,
                 max_ahead_ns: int | None = None) -> None:
        """Watch ``streams``.

        Args:
            streams: Names of the required streams, at least one.
            max_age_ns: A sample older than this at the tick is stale.
            max_spread_ns: Largest accepted difference of stamps within one observation.
            jump_ns: A stamp this much older than the stream's newest one means that the clock
                was set back (simulator restart, bag loop): everything stored is dropped.
            max_ages_ns: Streams with another age limit than ``max_age_ns``.
            max_ahead_ns: A stream whose newest stamp is farther ahead of the tick is not used:
                its clock is wrong, so its older samples look fresh and are not. None does not
                look, as when a recording is pushed ahead of the ticks.
        """
        if not streams:
            raise ValueError('expected at least one stream')
        if max_age_ns <= 0 or max_spread_ns < 0:
            raise ValueError(f'expected max_age_ns > 0 and max_spread_ns >= 0, got {max_age_ns} '
                             f'and {max_spread_ns}')
        self.streams = streams
        self._max_ages_ns = {**dict.fromkeys(streams, max_age_ns), **(max_ages_ns or {})}
        self._max_spread_ns = max_spread_ns
        self._jump_ns = jump_ns
        self._max_ahead_ns = max_ahead_ns
        self._rings: dict[str, StampRing[Any]] = {name: StampRing(jump_ns) for name in streams}
        self.counters = {name: StreamCounters() for name in streams}

    def push(self, stream: str, stamp_ns: int, value: Any) -> bool:
        """Store a sample; return True when a clock set back emptied all streams first."""
        newest = self._rings[stream].latest()
        has_jumped = newest is not None and stamp_ns < newest.stamp_ns - self._jump_ns
        counters = self.counters[stream]
        counters.received += 1
        if has_jumped:
            counters.jumps += 1
            self.clear()
        elif newest is not None and stamp_ns <= newest.stamp_ns:
            counters.late += stamp_ns < newest.stamp_ns
            counters.repeated += stamp_ns == newest.stamp_ns
        self._rings[stream].push(stamp_ns, value)
        return has_jumped

    def newest(self, stream: str) -> Sample[Any] | None:
        """Return the sample with the largest stamp, whenever it arrived."""
        return self._rings[stream].latest()

    def clear(self) -> None:
        """Forget all samples."""
        for ring in self._rings.values():
            ring.clear()

    def complete(self) -> Assembly[Any] | None:
        """Return the newest set in which every stream has the same stamp, or None."""
        newest = [ring.latest() for ring in self._rings.values()]
        if any(sample is None for sample in newest):
            return None
        stamp = min(sample.stamp_ns for sample in newest if sample is not None)
        chosen = {name: ring.exactly(stamp) for name, ring in self._rings.items()}
        samples = {name: sample for name, sample in chosen.items() if sample is not None}
        if len(samples) < len(self.streams):
            return None
        states = dict.fromkeys(self.streams, StreamState.FRESH)
        return Assembly(samples, states, 0, True, stamp, '')

    def at(self, tick_ns: int, previous: Mapping[str, int] | None = None) -> Assembly[Any]:
        """Choose per stream the newest sample not later than ``tick_ns``.

        Args:
            tick_ns: The moment asked about.
            previous: Stamps used by the step before. A stream that has nothing newer is HELD;
                if no stream has, there is nothing new to act on and the set is not usable.
        """
        samples, states, problems = {}, {}, []
        for name, ring in self._rings.items():
            sample, limit_ns = ring.at_or_before(tick_ns), self._max_ages_ns[name]
            newest = ring.latest()
            is_ahead = (self._max_ahead_ns is not None and newest is not None
                        and newest.stamp_ns - tick_ns > self._max_ahead_ns)
            if sample is None or is_ahead:
                state = StreamState.MISSING if newest is None else StreamState.FUTURE
                problems.append(f'{name}: {state.value}' if newest is None else
                                f'{name}: {state.value}, stamped '
                                f'{(newest.stamp_ns - tick_ns) / 1e6:.0f} ms ahead of the clock')
            elif tick_ns - sample.stamp_ns > limit_ns:
                state = StreamState.STALE
                problems.append(f'{name}: {(tick_ns - sample.stamp_ns) / 1e6:.0f} ms old, limit '
                                f'{limit_ns / 1e6:.0f} ms')
            else:
                is_held = previous is not None and sample.stamp_ns <= previous.get(name, -1)
                state = StreamState.HELD if is_held else StreamState.FRESH
                samples[name] = sample
            states[name] = state
        if states and all(state is StreamState.HELD for state in states.values()):
            problems.append('nothing new since the last step')
        stamps = [sample.stamp_ns for sample in samples.values()]
        spread = max(stamps) - min(stamps) if stamps else 0
        if spread > self._max_spread_ns:
            problems.append(f'stamps differ by {spread / 1e6:.0f} ms, limit '
                            f'{self._max_spread_ns / 1e6:.0f} ms; oldest: '
                            f'{min(samples, key=lambda name: samples[name].stamp_ns)}')
        return Assembly(samples, states, spread, not problems, max(stamps, default=0),
                        '; '.join(problems))
