# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Hold a latency budget by the skip threshold: less time, fewer layers, never below a floor.

A pure control law: latencies in, threshold out; no clock, no policy.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

_AIM, _RELAX = 0.95, 0.85  # shares of the budget: above, skip more; below, skip less


@dataclass(frozen=True)
class GovernorSettings:
    """Settings of the law.

    Attributes:
        budget_ms: Latency (observation to action) that 95 % of the steps shall keep.
        min_threshold: Floor of the skip threshold, in (0, 1): lower skips more, and below the
            calibrated range the policy gets worse.
        window: Steps over which the 95th percentile is taken.
        full_depth_steps: Steps at full depth after a contact event (the gripper changes).
    """

    budget_ms: float
    min_threshold: float
    window: int = 30
    full_depth_steps: int = 5

    def __post_init__(self) -> None:
        """Raise ValueError for a value that means nothing."""
        if self.budget_ms <= 0 or not 0 < self.min_threshold < 1 or self.window < 2 \
                or self.full_depth_steps < 0:
            raise ValueError(f'expected budget_ms > 0, 0 < min_threshold < 1, window >= 2 and '
                             f'full_depth_steps >= 0, got {self}')


class ComputeGovernor:
    """One threshold per step from the latencies of the steps before.

    When the percentile is over 95 % of the budget, the threshold falls in proportion to the
    excess; when it is below 85 %, the threshold rises slowly back to the calibrated one. In
    between it stays, so that it does not hunt.
    """

    FULL_DEPTH = 1.0  # no controller says more than 1: every layer runs

    def __init__(self, settings: GovernorSettings, calibrated: float) -> None:
        """Start at the calibrated threshold, which is never exceeded except at full depth."""
        if calibrated < settings.min_threshold:
            raise ValueError(f'the floor {settings.min_threshold} is above the calibrated '
                             f'threshold {calibrated}')
        self._settings = settings
        self._calibrated = self._threshold = calibrated
        self._latencies: deque[float] = deque(maxlen=settings.window)
        self._full_depth_left = 0
        self.is_full_depth_requested = False

    @property
    def threshold(self) -> float:
        """Skip threshold of the next step."""
        if self.is_full_depth_requested or self._full_depth_left:
            return self.FULL_DEPTH
        return self._threshold

    @property
    def p95_ms(self) -> float:
        """95th percentile of the window, 0 while it is empty."""
        return float(np.percentile(self._latencies, 95)) if self._latencies else 0.0

    @property
    def is_over_budget(self) -> bool:
        """Whether the budget is missed although the floor is reached."""
        return (self._threshold <= self._settings.min_threshold
                and len(self._latencies) == self._settings.window
                and self.p95_ms > self._settings.budget_ms)

    def contact_event(self) -> None:
        """Run the next steps at full depth: something is being grasped or released."""
        self._full_depth_left = self._settings.full_depth_steps

    def update(self, latency_ms: float) -> float:
        """Take the latency of a finished step; returns the threshold of the next one."""
        if self.is_full_depth_requested:
            return self.threshold
        if self._full_depth_left:  # slow on purpose: says nothing about the load
            self._full_depth_left -= 1
            return self.threshold
        self._latencies.append(latency_ms)
        ratio = self.p95_ms / self._settings.budget_ms
        if len(self._latencies) >= self._settings.window // 3:
            if ratio > _AIM and self._threshold > self._settings.min_threshold:
                self._move(-min(0.125, max(0.00625, 0.25 * (ratio - _AIM))))
                self._latencies.clear()  # they belong to the old threshold
            elif ratio < _RELAX:
                self._move(0.00625)
        return self.threshold

    def _move(self, share: float) -> None:
        """Move by a share of the calibrated threshold: strategies have small and large ones."""
        self._threshold = float(np.clip(self._threshold + share * self._calibrated,
                                        self._settings.min_threshold, self._calibrated))
