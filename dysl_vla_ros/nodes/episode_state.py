# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the simulated episodes count, why they end early, and when a live tick is due."""

from dataclasses import dataclass


class PolicyLost(Exception):
    """No answer, or an answer from a policy that was restarted meanwhile."""


class GivenUp(Exception):
    """The policy has ended the goal: it knows that it cannot do it."""


class Interrupted(Exception):
    """The process stops, or someone asked for another episode."""


@dataclass
class Counters:
    """Numbers for /diagnostics; written by the episode's thread only."""

    steps: int = 0
    episodes: int = 0
    lost: int = 0
    republished: int = 0
    held: int = 0
    stale: int = 0
    overruns: int = 0
    missing_stats: int = 0
    state: str = 'starting'
    is_policy_lost: bool = False


class Pace:
    """Ticks of a fixed period that never catch up: after a late one the period starts anew."""

    def __init__(self, period_s: float, counters: Counters) -> None:
        """Begin with the first ``next_wait``; ticks that come late count as overruns."""
        self._period_s, self._counters = period_s, counters
        self._due_s: float | None = None

    def next_wait(self, now_s: float) -> float:
        """Seconds from ``now_s`` (monotonic) to the next tick, 0 if it is overdue."""
        if self._due_s is None:
            self._due_s = now_s
        elif self._due_s < now_s - self._period_s:
            self._counters.overruns += 1
            self._due_s = now_s
        wait_s = max(0.0, self._due_s - now_s)
        self._due_s += self._period_s
        return wait_s
