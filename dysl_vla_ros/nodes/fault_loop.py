# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Processes that die in a closed loop: policy, simulation bridge and recorder beside each other.

The play table runs live, the scripted policy moves its arm by ``~/action``. Each case kills or
moves one process, watches the action topic and the words of the others, and starts it again.
"""

from collections.abc import Callable
from dataclasses import dataclass
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor

from dysl_vla_ros.nodes.fault_run import FaultResult, judge_stop
from dysl_vla_ros.nodes.fault_tap import CommandLimits, WireTap

_WORDS = {
    'policy_node': {'policy_factory': 'dysl_vla_ros.nodes.scripted_policy:create',
                    'trigger': 'timer', 'use_sim_time': 'true', 'input_timeout_s': '0.5'},
    'sim_bridge_node': {'mode': 'live', 'suite': 'furniture-singles', 'policy_timeout_s': '1.0'},
    'bag_recorder_node': {}}
_WATCH_S = 1.0
# In this loop nothing but the policy's own bounds limits an action, and the actions have no age
# on the wire: only whether they come is looked at.
_NO_LIMITS = CommandLimits(float('inf'), float('inf'), float('inf'))


@dataclass(frozen=True)
class LoopCase:
    """One line of the table; see ``FaultCase``."""

    name: str
    victim: str
    number: int
    words: str
    stops: bool
    other_domain: bool = False
    group: str = 'process'
    recovery: str = 'restart'


LOOP_CASES: tuple[LoopCase, ...] = (
    LoopCase('policy killed in the closed loop', 'policy_node', signal.SIGKILL, 'policy lost',
             True),
    LoopCase('policy restarted in the closed loop', 'policy_node', signal.SIGTERM, 'policy lost',
             True),
    LoopCase('policy moves to another DDS domain', 'policy_node', signal.SIGKILL, 'policy lost',
             True, other_domain=True),
    LoopCase('simulation bridge killed', 'sim_bridge_node', signal.SIGKILL,
             'observations stopped', True),
    LoopCase('simulation bridge restarted', 'sim_bridge_node', signal.SIGTERM, 'CANCELED',
             True),
    LoopCase('recorder killed', 'bag_recorder_node', signal.SIGKILL, '', False),
)


class LoopRig:
    """Three of our nodes as processes, and a tap on the policy's actions."""

    def __init__(self, domain_id: int, folder: Path) -> None:
        """Start everything and wait for actions."""
        self._domain_id, self._folder = domain_id, folder
        self._count = 0
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self._node = rclpy.create_node('fault_loop', context=self.context)
        self.tap = WireTap(self._node, _NO_LIMITS)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()
        self._processes: dict[str, subprocess.Popen[str]] = {}
        for name in _WORDS:
            self.start(name)

    def start(self, name: str, domain_id: int | None = None) -> None:
        """Start a node; its output goes to a log in the folder."""
        self._count += 1
        words = dict(_WORDS[name])
        if name == 'bag_recorder_node':
            words['bag'] = str(self._folder / f'bag_{self._count}')
        command = [sys.executable, '-m', f'dysl_vla_ros.nodes.{name}', '--ros-args']
        for key, value in words.items():
            command += ['-p', f'{key}:={value}']
        with (self._folder / f'{name}_{self._count}.log').open('w', encoding='utf-8') as log:
            self._processes[name] = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, text=True,
                env={**os.environ, 'ROS_DOMAIN_ID': str(domain_id or self._domain_id),
                     'OMP_NUM_THREADS': '1', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'})

    def end(self, name: str, number: int) -> None:
        """Send a signal and wait for the end."""
        self._processes[name].send_signal(number)
        self._processes[name].wait(30)

    def acts(self, since_ns: int) -> Callable[[], bool]:
        """Whether an action arrived after this moment."""
        return lambda: bool(self.tap.actions_ns) and self.tap.actions_ns[-1] > since_ns

    def _said(self, words: str) -> str:
        """The message of a report, or the end of the last instruction, with these words."""
        return next((said for _, message, values in self.tap.reports.values()
                     for said in (message, values.get('last instruction ended', ''))
                     if words in said), '')

    def run(self, case: LoopCase) -> FaultResult:
        """Kill, watch, start again, watch; leaves the loop running."""
        stop_ms, recovery_ms, cause, problem = float('nan'), float('nan'), '', ''
        try:
            self.tap.wait(self.acts(time.time_ns()), 'actions', 90.0)
            self.tap.begin()
            fault_ns = time.time_ns()
            self._processes[case.victim].send_signal(case.number)
            watched_s = time.monotonic() + _WATCH_S
            if case.words:
                self.tap.wait(lambda: self._said(case.words), f'{case.words!r}', 30.0)
                cause = self._said(case.words)
            time.sleep(max(0.0, watched_s - time.monotonic()))
            if case.stops:
                stop_ms, problem = judge_stop(self.tap.actions_ns, fault_ns, False)
            else:
                self.tap.wait(self.acts(time.time_ns()), 'actions to go on', 30.0)
            self.end(case.victim, signal.SIGKILL)
            if case.other_domain:
                self.start(case.victim, self._domain_id % 101 + 1)
                time.sleep(_WATCH_S)
                self.end(case.victim, signal.SIGKILL)
            mended_ns = time.time_ns()
            self.start(case.victim)
            if case.stops:
                self.tap.wait(self.acts(mended_ns), 'actions after the fault', 90.0)
            recovery_ms = (time.time_ns() - mended_ns) / 1e6
        except Exception as error:
            problem = str(error)
            if self._processes[case.victim].poll() is not None:
                self.start(case.victim)
        return FaultResult(stop_ms, recovery_ms, cause, 0.0, 0.0, 0.0,
                           problem or self.tap.worst.problem)

    def close(self) -> None:
        """End everything."""
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self._processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(5.0)
        self._node.destroy_node()
        rclpy.shutdown(context=self.context)


def row(result: FaultResult, case: LoopCase) -> dict[str, Any]:
    """JSON-ready line of the table."""
    from dysl_vla_ros.nodes.fault_cases import FaultCase
    return result.to_row(FaultCase(case.name, case.group, lambda rig: None, case.words, case.stops,
                                   case.recovery))
