# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What became of every message of a topic: counts that add up, for diagnostics and the soak."""

from collections import Counter
from collections.abc import Mapping

_INACTIVE = 'no subscription'
_LOST = 'lost or overtaken on the way'


class Tally:
    """One topic's messages by fate. Not thread-safe; the owner holds a lock.

    published = received + ``not_received``; received = used + ``unused`` + the one still open.
    Losses, and messages that a newer one replaced in the queue before they were read, are seen in
    the publisher's sequence numbers, which rclpy gives from Jazzy on and not
    for every middleware; without them nothing counts as lost. Two publishers on one topic mix
    theirs up; diagnostics names that by itself.
    """

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.received = self.used = 0
        self.not_received: Counter[str] = Counter()
        self.unused: Counter[str] = Counter()
        self._last = 0
        self._gap = _INACTIVE
        self._open = ''  # why the newest message is not used so far; empty: it is, or none came

    def receive(self, info: Mapping[str, int], reason: str) -> None:
        """Count a message that arrived.

        Args:
            info: rclpy's message info.
            reason: Why it will not be used if nothing else happens to it.
        """
        number = info.get('publication_sequence_number') or 0
        if number:
            # A number that is not larger comes from a new publisher, which begins at 1.
            is_new = number <= self._last
            missing = number - 1 - (0 if is_new else self._last)
            if missing:
                self.not_received[_INACTIVE if is_new else self._gap] += missing
            self._last, self._gap = number, _LOST
        self.received += 1
        self.close()
        self._open = reason

    def explain(self, reason: str) -> None:
        """Say why the newest message has not been used, if it has not."""
        if self._open:
            self._open = reason

    def use(self) -> None:
        """The newest message is used; again changes nothing."""
        if self._open:
            self.used += 1
            self._open = ''

    def close(self) -> None:
        """The newest message will not be used any more."""
        if self._open:
            self.unused[self._open] += 1
            self._open = ''

    def pause(self) -> None:
        """The subscription ends: what is sent before the next message was sent to nobody."""
        self._gap = _INACTIVE

    def values(self, name: str) -> dict[str, int]:
        """Counts by text, for diagnostics."""
        return {f'{name} received': self.received, f'{name} used': self.used,
                f'{name} open': int(bool(self._open)),
                **{f'{name} unused, {reason}': n for reason, n in sorted(self.unused.items())},
                **{f'{name} not received, {reason}': n
                   for reason, n in sorted(self.not_received.items())}}
