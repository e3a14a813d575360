# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Holds a budget: the knob of a strategy as far open as the mean share of layers allows.

The mean share grows monotonically with every knob, so bisection finds the largest value that
still fits (design/method.md 15.3).
"""

from collections.abc import Callable
from dataclasses import dataclass
import math
from typing import Literal


@dataclass(frozen=True)
class Knob:
    """One number that decides how much is skipped.

    Attributes:
        low, high: Range of the number.
        scale: How the range is divided: evenly, by factors, or by log odds.
        more_is_dearer: Whether a larger number runs more layers.
    """

    low: float
    high: float
    scale: Literal['linear', 'log', 'logit'] = 'linear'
    more_is_dearer: bool = True

    def at(self, position: float) -> float:
        """Number at a position: 0 runs the fewest layers, 1 the most."""
        if not self.more_is_dearer:
            position = 1.0 - position
        if self.scale == 'linear':
            return self.low + position * (self.high - self.low)
        if self.scale == 'log':
            return float(math.exp(math.log(self.low)
                                  + position * math.log(self.high / self.low)))
        a, b = (math.log(p / (1 - p)) for p in (self.low, self.high))
        return 1.0 / (1.0 + math.exp(-(a + position * (b - a))))


def hold_budgets(measure: Callable[[float], float], knob: Knob, budgets: tuple[float, ...],
                 bisections: int) -> list[tuple[float, float]]:
    """(number, achieved share) per budget, each the dearest found that does not exceed it.

    Args:
        measure: Number to mean share of layers; monotone, each number is measured once.
        knob: Its range.
        budgets: Wanted shares, increasing.
        bisections: Halvings of the range per budget.

    Returns:
        Where even the cheapest end exceeds the budget, that end: compare the achieved share.
    """
    known: dict[float, float] = {}

    def share(position: float) -> float:
        if position not in known:
            known[position] = measure(knob.at(position))
        return known[position]

    results = []
    for budget in budgets:
        share(0.0)
        for _ in range(bisections):
            low = max((p for p, s in known.items() if s <= budget), default=0.0)
            high = min((p for p, s in known.items() if s > budget), default=1.0)
            if high <= low:
                break
            share((low + high) / 2)
        best = max((p for p, s in known.items() if s <= budget), default=0.0)
        results.append((knob.at(best), known[best]))
    return results
