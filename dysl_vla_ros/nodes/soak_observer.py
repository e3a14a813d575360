# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Watches a policy node and a bridge from outside: counts, diagnostics, lifecycle requests."""

from collections import Counter, defaultdict
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile

from dysl_vla_ros.msg import EndEffectorAction, InferenceStats
from dysl_vla_ros.nodes import messages

_DEEP = QoSProfile(depth=1000)  # reliable; the observer may be slow, but must miss nothing
TRANSITIONS = {'configure': Transition.TRANSITION_CONFIGURE,
               'cleanup': Transition.TRANSITION_CLEANUP,
               'activate': Transition.TRANSITION_ACTIVATE,
               'deactivate': Transition.TRANSITION_DEACTIVATE}


class SoakObserver:
    """A node in a context and thread of its own; read its fields under ``condition``."""

    def __init__(self, domain_id: int) -> None:
        """Listen."""
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.node = rclpy.create_node('soak_observer', context=self.context)
        self.condition = threading.Condition()
        self.action_stamps: list[int] = []
        self.stats: dict[int, bool] = {}                 # stamp: whether it gives reasons
        self.diagnostics: dict[str, dict[str, str]] = {}  # by node, all its tasks together
        self.received_s: dict[str, float] = {}            # steady clock
        self.said: dict[str, Counter[str]] = defaultdict(Counter)  # by task: reports by message
        self.node.create_subscription(EndEffectorAction, 'policy_node/action', self._on_action,
                                      _DEEP)
        self.node.create_subscription(InferenceStats, 'policy_node/inference_stats',
                                      self._on_stats, _DEEP)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, _DEEP)
        self._change = self.node.create_client(ChangeState, 'policy_node/change_state')
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def request(self, transition: str, timeout_s: float) -> tuple[bool | None, float]:
        """Ask for a transition; returns (success or None without an answer, seconds)."""
        begin_s = time.monotonic()
        answer: list[bool] = []

        def done(future: Any) -> None:
            with self.condition:
                answer.append(future.result().success)
                self.condition.notify_all()

        request = ChangeState.Request()
        request.transition.id = TRANSITIONS[transition]
        # On the executor's thread: rclpy registers a request after sending it.
        self._executor.create_task(
            lambda: self._change.call_async(request).add_done_callback(done))
        with self.condition:
            self.condition.wait_for(lambda: bool(answer), timeout_s)
        return (answer[0] if answer else None), time.monotonic() - begin_s

    def wait_for_report(self, node: str, since_s: float, timeout_s: float = 5.0) -> bool:
        """Wait for diagnostics of a node that came after this moment of the steady clock."""
        with self.condition:
            return self.condition.wait_for(
                lambda: self.received_s.get(node, 0.0) > since_s, timeout_s)

    def _on_action(self, message: EndEffectorAction) -> None:
        with self.condition:
            self.action_stamps.append(messages.ns_from_time(message.header.stamp))

    def _on_stats(self, message: InferenceStats) -> None:
        with self.condition:
            self.stats[messages.ns_from_time(message.header.stamp)] = bool(message.limit_reasons)

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        with self.condition:
            values: dict[str, dict[str, str]] = {}
            for status in array.status:
                node = status.name.split(':')[0]
                values.setdefault(node, {}).update({v.key: v.value for v in status.values})
                self.said[status.name][status.message] += 1
            self.diagnostics |= values
            self.received_s |= dict.fromkeys(values, time.monotonic())
            self.condition.notify_all()

    def close(self) -> None:
        """End."""
        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(5.0)
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
