# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Does somebody else command the arm? Two senders on one command topic move it by turns."""

from collections.abc import Callable
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.node import Node

from dysl_vla_ros.nodes import qos


class RivalWatch:
    """Listens on our own command topic and counts who is connected to it.

    A sender cannot reach the arm before the middleware has connected it, and that very event
    tells us. rclpy gives no sender with a message, so each one only makes us count again (for
    middlewares without the event).
    """

    def __init__(self, node: Node, kind: type, topic: str, found: Callable[[], None]) -> None:
        """Watch ``topic``; ``found`` is called on the executor's thread, perhaps repeatedly."""
        self._node, self._found = node, found
        arguments: tuple[Any, ...] = (kind, topic, lambda raw: self._look(), qos.SENSOR)
        try:
            self._subscription = node.create_subscription(
                *arguments, raw=True,
                event_callbacks=SubscriptionEventCallbacks(matched=lambda info: self._look()))
        except (TypeError, UnsupportedEventTypeError):  # Humble, or the middleware cannot
            self._subscription = node.create_subscription(*arguments, raw=True)
        self.topic = self._subscription.topic_name

    @property
    def problem(self) -> str:
        """Name the topic if someone else sends on it, or ''. Costs microseconds."""
        if self._subscription.get_publisher_count() > 1:
            return f'{self.topic} has another publisher'
        return ''

    @property
    def announced(self) -> str:
        """The same from the graph, which also knows senders that are not connected to us yet."""
        if self._node.count_publishers(self.topic) > 1:
            return f'{self.topic} has another publisher'
        return self.problem

    def _look(self) -> None:
        if self.problem:
            self._found()

    def destroy(self) -> None:
        """Remove the subscription."""
        self._node.destroy_subscription(self._subscription)
