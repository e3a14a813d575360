# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The deadman input: a hand that must hold a button while the arm moves."""

from collections.abc import Callable
import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import Joy
from std_msgs.msg import Bool

from dysl_vla_ros.nodes import qos
from dysl_vla_ros.nodes.parameters import SafetyParameters


class Deadman:
    """Held, or not; a silent topic counts as released."""

    def __init__(self, node: Node, parameters: SafetyParameters,
                 released: Callable[[str], None]) -> None:
        """Subscribe to ``deadman`` (Bool) or ``joy`` (Joy).

        ``released`` is called with the reason at once, also when the topic falls silent.
        """
        self._node, self._parameters, self._released = node, parameters, released
        self._heard_s = float('-inf')
        self._is_pressed = False
        if parameters.deadman == 'bool':
            self._subscription = node.create_subscription(
                Bool, 'deadman', lambda m: self._update(bool(m.data)), qos.SENSOR)
        else:
            self._subscription = node.create_subscription(Joy, 'joy', self._on_joy, qos.SENSOR)
        # Restarted by every message: no tick is waited for. The steady clock: a simulated one
        # may stand still.
        self._timer = node.create_timer(parameters.deadman_timeout_s, self._on_silence,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def problem(self) -> str:
        """Why the arm must not move, or ''."""
        silence_s = time.monotonic() - self._heard_s
        if not self._is_pressed:
            return 'deadman released' if silence_s < float('inf') else 'deadman never heard'
        limit_s = self._parameters.deadman_timeout_s
        if silence_s > limit_s:
            return f'deadman silent, limit {limit_s} s'
        return ''

    def _on_silence(self) -> None:
        # A late message may have come in before this callback had its turn.
        if self._is_pressed and (problem := self.problem):
            self._released(problem)

    def _on_joy(self, message: Joy) -> None:
        index = self._parameters.deadman_button
        self._update(index < len(message.buttons) and message.buttons[index] == 1)

    def _update(self, is_pressed: bool) -> None:
        was_pressed, self._is_pressed = self._is_pressed, is_pressed
        self._heard_s = time.monotonic()
        self._timer.reset()
        if was_pressed and not is_pressed:
            self._released('deadman released')

    def destroy(self) -> None:
        """Remove the subscription and the timer."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._subscription)
