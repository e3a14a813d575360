# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The deadman input: a hand that must hold a button while the arm moves."""

from collections.abc import Callable
import time

from rclpy.node import Node
from sensor_msgs.msg import Joy
from std_msgs.msg import Bool

from dysl_vla_ros.nodes import qos
from dysl_vla_ros.nodes.parameters import SafetyParameters


class Deadman:
    """Held, or not; a silent topic counts as released."""

    def __init__(self, node: Node, parameters: SafetyParameters,
                 released: Callable[[], None]) -> None:
        """Subscribe to ``deadman`` (Bool) or ``joy`` (Joy); ``released`` is called at once."""
        self._node, self._parameters, self._released = node, parameters, released
        self._heard_s = float('-inf')
        self._is_pressed = False
        if parameters.deadman == 'bool':
            self._subscription = node.create_subscription(
                Bool, 'deadman', lambda m: self._update(bool(m.data)), qos.SENSOR)
        else:
            self._subscription = node.create_subscription(Joy, 'joy', self._on_joy, qos.SENSOR)

    @property
    def problem(self) -> str:
        """Why the arm must not move, or ''."""
        silence_s = time.monotonic() - self._heard_s
        if not self._is_pressed:
            return 'deadman released' if silence_s < float('inf') else 'deadman never heard'
        if silence_s > self._parameters.deadman_timeout_s:
            return f'deadman silent for {silence_s:.1f} s'
        return ''

    def _on_joy(self, message: Joy) -> None:
        index = self._parameters.deadman_button
        self._update(index < len(message.buttons) and message.buttons[index] == 1)

    def _update(self, is_pressed: bool) -> None:
        was_pressed, self._is_pressed = self._is_pressed, is_pressed
        self._heard_s = time.monotonic()
        if was_pressed and not is_pressed:
            self._released()

    def destroy(self) -> None:
        """Remove the subscription."""
        self._node.destroy_subscription(self._subscription)
