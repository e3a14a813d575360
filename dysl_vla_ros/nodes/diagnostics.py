# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""/diagnostics at 1 Hz in diagnostic_updater's shape (that package has no wheel)."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from dysl_vla_ros.nodes.qos import DIAGNOSTICS


class Level(Enum):
    """Severity; the values are the single bytes that rclpy wants."""

    OK = DiagnosticStatus.OK
    WARN = DiagnosticStatus.WARN
    ERROR = DiagnosticStatus.ERROR


@dataclass(frozen=True)
class Report:
    """What one task has to say."""

    level: Level
    message: str
    values: dict[str, object] = field(default_factory=dict)


class Diagnostics:
    """Publishes one array per second, from a timer on the steady clock.

    The steady clock, because simulated time stands still exactly when there is something to say.
    """

    def __init__(self, node: Node, tasks: dict[str, Callable[[], Report]]) -> None:
        """Report every task (name -> function, called in the executor's thread)."""
        self._node, self._tasks = node, tasks
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', DIAGNOSTICS)
        self._timer = node.create_timer(
            1.0, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def publish(self) -> None:
        """Collect and send all reports now."""
        array = DiagnosticArray()
        array.header.stamp = self._node.get_clock().now().to_msg()
        for name, task in self._tasks.items():
            report = task()
            array.status.append(DiagnosticStatus(
                level=report.level.value, name=f'{self._node.get_name()}: {name}',
                message=report.message, hardware_id='none',
                values=[KeyValue(key=k, value=str(v)) for k, v in report.values.items()]))
        self._publisher.publish(array)

    def destroy(self) -> None:
        """Remove timer and publisher."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)


class Window:
    """The last numbers of one quantity, for mean and percentiles."""

    def __init__(self, size: int = 300) -> None:
        """Keep ``size`` values."""
        self._values: deque[float] = deque(maxlen=size)

    def add(self, value: float) -> None:
        """Store one value."""
        self._values.append(value)

    def summary(self, name: str) -> dict[str, object]:
        """Return mean, median, 95th percentile and maximum, rounded, keyed by name."""
        if not self._values:
            return {}
        values = np.array(self._values)
        return {f'{name} mean': round(float(values.mean()), 3),
                f'{name} p50': round(float(np.percentile(values, 50)), 3),
                f'{name} p95': round(float(np.percentile(values, 95)), 3),
                f'{name} max': round(float(values.max()), 3)}
