# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Run one fault: break, watch the wire, mend, watch again, judge."""

from dataclasses import asdict, dataclass
from itertools import pairwise
import math
import time
from typing import Any

from std_srvs.srv import Trigger

from dysl_vla_ros.nodes.fault_cases import NO_REPORTS, FaultCase
from dysl_vla_ros.nodes.fault_injections import ACTIVATE
from dysl_vla_ros.nodes.fault_rig import SERVO_HZ, FaultRig
from dysl_vla_ros.nodes.fault_tap import WireTap

STOP_LIMIT_MS = 100.0 + 1e3 / SERVO_HZ  # zero or hold: 100 ms and one period of Servo
_STILL_NS = 300_000_000                 # so long without a motion is a stop
_STEADY_NS = 500_000_000                # so long a motion has got over its start
_SILENT_S = 1.2                         # more than the period of /diagnostics


@dataclass(frozen=True)
class FaultResult:
    """What was seen.

    Attributes:
        stop_ms: From the fault to the last twist other than zero, 0 if none came any more; NaN
            for a fault that must not stop the arm.
        recovery_ms: From the end of the fault to the next motion; NaN if none came.
        cause: What /diagnostics (or the refusal) said.
        speed_m_s, speed_rad_s, age_ms: The largest of all commands from fault to recovery.
        problem: Why the case failed, the time to stop apart, or ''.
    """

    stop_ms: float
    recovery_ms: float
    cause: str
    speed_m_s: float
    speed_rad_s: float
    age_ms: float
    problem: str

    @property
    def verdict(self) -> str:
        """'' if everything required was seen, the time to stop included."""
        if self.problem or not self.stop_ms > STOP_LIMIT_MS:
            return self.problem
        return f'{self.stop_ms:.0f} ms to the last motion, limit {STOP_LIMIT_MS:.0f}'

    def to_row(self, case: FaultCase) -> dict[str, Any]:
        """JSON-ready line of the table; NaN becomes None."""
        values = {key: None if isinstance(value, float) and math.isnan(value) else value
                  for key, value in asdict(self).items()}
        return {'group': case.group, 'fault': case.name,
                'required': 'stop' if case.stops else 'go on',
                'limit_ms': STOP_LIMIT_MS if case.stops else None, **values,
                'recovery': case.recovery, 'problem': self.verdict}


def run_case(rig: FaultRig, case: FaultCase, timeout_s: float = 40.0) -> FaultResult:
    """Break, watch, mend, watch; leaves the rig moving."""
    tap, told, cause = rig.tap, None, ''
    stop_ms, recovery_ms, problem = math.nan, math.nan, ''
    try:
        _ensure_moving(rig, timeout_s)
        tap.begin()
        rig.fault_ns = time.time_ns()
        told = case.inject(rig)
        cause = told if isinstance(told, str) else _cause(tap, case.words, timeout_s)
        if case.stops:
            _wait_still(tap, rig.fault_ns, case.is_intermittent, timeout_s)
            stop_ms, problem = judge_stop(tap.motions_ns, rig.fault_ns, case.is_intermittent)
        else:
            _wait_motion(tap, time.time_ns(), 'the motion to go on', timeout_s)
    except Exception as error:
        problem = str(error)
    try:
        mended_ns = _mend(rig, case)
        _wait_motion(tap, mended_ns, 'the motion after the fault', timeout_s)
        tap.wait(lambda: tap.actions_ns and tap.actions_ns[-1] > mended_ns,
                 'an action after the fault', timeout_s)
        recovery_ms = (next(ns for ns in tap.motions_ns if ns > mended_ns) - mended_ns) / 1e6
    except Exception as error:
        problem = problem or str(error)
    worst = tap.judge_ages()
    return FaultResult(stop_ms, recovery_ms, cause, worst.speed_m_s, worst.speed_rad_s,
                       worst.age_ms, problem or worst.problem)


def judge_stop(motions_ns: list[int], fault_ns: int, is_intermittent: bool) -> tuple[float, str]:
    """Milliseconds to the last motion before a stillness, and what is wrong with it.

    Args:
        motions_ns: When commands other than zero arrived, ascending.
        fault_ns: When the fault began.
        is_intermittent: Whether single motions may follow.
    """
    last_ns, later = fault_ns, 0
    for ns in motions_ns:
        if later or ns - last_ns > _STILL_NS:
            later += 1
        elif ns > fault_ns:
            last_ns = ns
    problem = f'{later} motions after the stop' if later and not is_intermittent else ''
    return (last_ns - fault_ns) / 1e6, problem


def _cause(tap: WireTap, words: str, timeout_s: float) -> str:
    if not words:
        return ''
    if words == NO_REPORTS:
        tap.begin()
        with tap.condition:
            if tap.condition.wait_for(lambda: tap.reports, _SILENT_S):
                raise RuntimeError('a process that is gone still reports')
        return f'no /diagnostics for {_SILENT_S} s'
    tap.wait(lambda: tap.said(words), f'{words!r} on /diagnostics', timeout_s)
    return tap.said(words)


def _wait_still(tap: WireTap, fault_ns: int, is_intermittent: bool, timeout_s: float) -> None:
    """Look at the wire for a while: at the end of it nothing may move."""
    def is_over() -> bool:
        now_ns = time.time_ns()
        if is_intermittent:
            return now_ns - fault_ns > 4 * _STILL_NS
        return now_ns - max([fault_ns, *tap.motions_ns[-1:]]) > _STILL_NS

    deadline_s = time.monotonic() + timeout_s
    while not is_over():
        if time.monotonic() > deadline_s:
            raise RuntimeError('timed out waiting for the arm to stop')
        with tap.condition:
            tap.condition.wait(0.02)


def _wait_motion(tap: WireTap, since_ns: int, what: str, timeout_s: float) -> None:
    tap.wait(lambda: tap.motions_ns and tap.motions_ns[-1] > since_ns, what, timeout_s)


def _ensure_moving(rig: FaultRig, timeout_s: float) -> None:
    """Wait until the arm has moved for a while; it starts slowly."""
    tap, now_ns = rig.tap, time.time_ns()
    if not any(ns > now_ns - _STILL_NS for ns in tap.motions_ns[-1:]):
        rig.goal()

    def is_steady() -> bool:
        recent = [ns for ns in tap.motions_ns if ns > time.time_ns() - _STEADY_NS]
        return len(recent) > 1 and recent[-1] - recent[0] > 0.8 * _STEADY_NS \
            and max(b - a for a, b in pairwise(recent)) < _STILL_NS / 2

    tap.wait(is_steady, 'the arm to move', timeout_s)


def _mend(rig: FaultRig, case: FaultCase) -> int:
    """Take the fault back; returns when the input was good again (system clock)."""
    mended_ns = time.time_ns()
    rig.mend()
    if case.recovery == 'enable':
        mended_ns = time.time_ns()
        rig.enable(True)
    elif case.recovery == 'reset':
        rig.tap.wait(lambda: rig.node.count_publishers('policy_node/command_twist') == 1,
                     'the rival to be gone')
        mended_ns = time.time_ns()
        rig.call('reset', Trigger.Request())
    elif case.recovery == 'activate':
        rig.tap.wait(lambda: rig.tap.said('inactive'), 'the node to be inactive')
        rig.transition(ACTIVATE)
    elif case.recovery == 'restart':
        if rig.process is not None and rig.process.poll() is None:
            rig.process.terminate()
        rig.restart_node()
    if case.recovery in ('activate', 'goal', 'restart'):
        rig.go_home()
        mended_ns = time.time_ns()
        rig.goal()
    return mended_ns
