# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The live bridge's ticks. Without these it could run after lost time, faster than the arm."""

import pytest

from dysl_vla_ros.nodes.episode_state import Counters, Pace


def test_the_first_tick_is_now_and_no_overrun():
    counters = Counters()
    assert Pace(0.1, counters).next_wait(7.0) == 0.0
    assert counters.overruns == 0


def test_ticks_keep_their_period_whatever_the_work_between_takes():
    pace = Pace(0.1, Counters())
    waits = [pace.next_wait(t) for t in (0.0, 0.03, 0.1, 0.29)]
    assert waits == pytest.approx([0, 0.07, 0.1, 0.01])


def test_a_late_tick_starts_a_new_period_and_is_counted():
    counters = Counters()
    pace = Pace(0.1, counters)
    pace.next_wait(0.0)
    assert pace.next_wait(0.15) == 0.0  # overdue, but by less than a period: kept
    assert counters.overruns == 0
    assert pace.next_wait(0.9) == 0.0
    assert counters.overruns == 1
    assert pace.next_wait(0.9) == pytest.approx(0.1)  # not a burst of the seven lost ticks
