# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A tap on the policy node's wires: every command with its time of arrival, and what it breaks.

Times are those that the middleware noted on reception (nanoseconds of the system clock), not
those of a Python callback that may have waited for its turn.
"""

import bisect
from collections.abc import Callable
from dataclasses import dataclass
import threading
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Float64

from dysl_vla_ros.errors import SimulationError
from dysl_vla_ros.msg import EndEffectorAction
from dysl_vla_ros.nodes import messages

RIVAL_FRAME = 'rival'  # marks the twists that we send ourselves
_LEAD_NS = 30_000_000    # a twist is sent so much before its action (on a busy machine)
_PAUSE_NS = 100_000_000  # longer than a twist lives
_PROFILE = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)


@dataclass(frozen=True)
class CommandLimits:
    """What no command may exceed: metres and radians per second, milliseconds."""

    speed_m_s: float
    speed_rad_s: float
    age_ms: float


@dataclass
class WorstCommand:
    """The largest values that went over the wire, and the first that broke a limit."""

    speed_m_s: float = 0.0
    speed_rad_s: float = 0.0
    age_ms: float = 0.0
    problem: str = ''

    def note(self, is_broken: bool, problem: str) -> None:
        """Keep the first problem."""
        if is_broken and not self.problem:
            self.problem = problem


class WireTap:
    """Listens to commands and diagnostics. Everything is guarded by ``condition``."""

    def __init__(self, node: Node, limits: CommandLimits) -> None:
        """Subscribe with ``node``, whose executor somebody spins."""
        self._limits = limits
        self.condition = threading.Condition()
        self.motions_ns: list[int] = []           # arrivals of twists other than zero
        self.actions_ns: list[int] = []           # arrivals of ~/action
        self.rival_ns = 0                         # arrival of the first twist of ours
        self.worst = WorstCommand()
        self.reports: dict[str, tuple[bytes, str, dict[str, str]]] = {}
        self.lines: list[str] = []                # what the node's process has printed
        self.sent_ns: dict[int, int] = {}         # stamp -> when we last sent a picture with it
        self.on_twist: Callable[[np.ndarray], None] = lambda linear: None
        self._sent: list[tuple[int, int]] = []    # (when sent, stamp) of ~/action, (.., -1): twist
        node.create_subscription(TwistStamped, 'policy_node/command_twist', self._on_twist,
                                 _PROFILE)
        node.create_subscription(EndEffectorAction, 'policy_node/action', self._on_action,
                                 _PROFILE)
        node.create_subscription(Float64, 'policy_node/command_gripper', self._on_gripper,
                                 _PROFILE)
        node.create_subscription(DiagnosticArray, '/diagnostics', self._on_report, _PROFILE)

    def begin(self) -> None:
        """Forget what was seen: a case begins."""
        with self.condition:
            self.motions_ns, self.actions_ns, self.rival_ns = [], [], 0
            self.worst = WorstCommand()
            self.reports.clear()
            self._sent = []

    def judge_ages(self) -> WorstCommand:
        """How old the observations behind the twists were, up to the newest ~/action."""
        with self.condition:
            actions = sorted((ns, stamp) for ns, stamp in self._sent if stamp >= 0)
            last_ns = 0
            for sent_ns in sorted(ns for ns, stamp in self._sent if stamp < 0):
                # A twist goes out before its ~/action. After a pause that no repetition bridges,
                # it can only be the first of a new one, however late a busy machine sends that.
                lead_ns = _LEAD_NS if sent_ns - last_ns < _PAUSE_NS else _PAUSE_NS
                last_ns = sent_ns
                after = bisect.bisect(actions, (sent_ns, 0))
                if after == len(actions):
                    break
                index = after if actions[after][0] - sent_ns <= lead_ns else after - 1
                observed_ns = self.sent_ns.get(actions[index][1]) if index >= 0 else None
                if observed_ns is not None:
                    age_ms = (sent_ns - observed_ns) / 1e6
                    self.worst.age_ms = max(self.worst.age_ms, age_ms)
                    self.worst.note(age_ms > self._limits.age_ms,
                                    f'a twist went out {age_ms:.0f} ms after its observation, '
                                    f'limit {self._limits.age_ms:.0f}')
            return self.worst

    # ------------------------------------------------------------------ looking
    def wait(self, predicate: Callable[[], Any], what: str, timeout_s: float = 40.0) -> None:
        """Wait for something received.

        Raises:
            SimulationError: After ``timeout_s``; quotes the node's last lines.
        """
        with self.condition:
            if not self.condition.wait_for(predicate, timeout_s):
                raise SimulationError(f'timed out waiting for {what}; reports: '
                                      f'{ {k: v[1] for k, v in self.reports.items()} }; the node '
                                      'said:\n' + ''.join(self.lines[-8:]))

    def said(self, text: str) -> str:
        """The message or value of a current report that contains the text, or ''."""
        messages_first = [message for _, message, _ in self.reports.values()] + [
            f'{k}: {v}' for _, _, values in self.reports.values() for k, v in values.items()]
        return next((said for said in messages_first if text in said), '')

    @property
    def output(self) -> str:
        """What the node has printed."""
        return ''.join(self.lines)

    # ------------------------------------------------------------------ callbacks (executor)
    def _on_twist(self, message: TwistStamped, info: dict[str, int]) -> None:
        linear, angular = (np.array([v.x, v.y, v.z]) for v in (message.twist.linear,
                                                               message.twist.angular))
        arrival_ns = info['received_timestamp']
        with self.condition:
            if message.header.frame_id == RIVAL_FRAME:
                self.rival_ns = self.rival_ns or arrival_ns
            else:
                self._judge(linear, angular)
                if linear.any() or angular.any():
                    self.motions_ns.append(arrival_ns)
                    self._sent.append((info['source_timestamp'], -1))
                self.on_twist(linear)
            self.condition.notify_all()

    def _judge(self, linear: np.ndarray, angular: np.ndarray) -> None:
        worst, limits = self.worst, self._limits
        values = [*linear.tolist(), *angular.tolist()]
        worst.note(not np.isfinite(values).all(), f'a twist of {values} went out')
        speed, turn = float(np.linalg.norm(linear)), float(np.linalg.norm(angular))
        worst.speed_m_s, worst.speed_rad_s = max(worst.speed_m_s, speed), max(
            worst.speed_rad_s, turn)
        worst.note(speed > limits.speed_m_s, f'{speed:.3f} m/s, limit {limits.speed_m_s}')
        worst.note(turn > limits.speed_rad_s, f'{turn:.3f} rad/s, limit {limits.speed_rad_s}')

    def _on_action(self, message: EndEffectorAction, info: dict[str, int]) -> None:
        values = np.array([*message.translation, *message.rotation])
        with self.condition:
            self.actions_ns.append(info['received_timestamp'])
            self._sent.append((info['source_timestamp'],
                               messages.ns_from_time(message.header.stamp)))
            self.worst.note(not (np.isfinite(values).all() and np.abs(values).max() <= 1.0
                                 and message.gripper in (-1, 1)),
                            f'an action of {values.tolist()}, {message.gripper} went out')
            self.condition.notify_all()

    def _on_gripper(self, message: Float64) -> None:
        with self.condition:
            self.worst.note(not np.isfinite(message.data), f'a gripper position of {message.data}')

    def _on_report(self, array: DiagnosticArray) -> None:
        with self.condition:
            for status in array.status:
                self.reports[status.name] = (bytes(status.level), status.message,
                                             {v.key: v.value for v in status.values})
            self.condition.notify_all()
