# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The policy node with a stop watch: when each image arrived, the policy ran, the action left.

    python -m dysl_vla_ros.nodes.overhead_probe FILE --ros-args -p trigger:=timer

Same class, same process as ``policy_node``; only calls that go through rclpy's public functions
or the policy's own are timed, by wrapping them. At the end FILE gets the times as JSON for
``evaluation/overhead.py``. An image arrives when DDS has it in this process (rclpy's message
info: ``received_timestamp``), so taking it out and deserialising it count as overhead.
"""

from collections.abc import Callable
from dataclasses import replace
import json
from pathlib import Path
import sys
import threading
import time
from typing import Any

from sensor_msgs.msg import CompressedImage, Image

from dysl_vla_ros.msg import EndEffectorAction, InferenceStats
from dysl_vla_ros.nodes import messages
from dysl_vla_ros.nodes.policies import load_policy
from dysl_vla_ros.nodes.policy_node import PolicyNode
from dysl_vla_ros.nodes.process import run_node
from dysl_vla_ros.observation.observation import Observation
from dysl_vla_ros.skipping.step import Step

FACTORY = 'dysl_vla_ros.nodes.overhead_probe:create'
_times: dict[str, list[Any]] = {'arrivals': [], 'ticks': [], 'acts': [], 'actions': [],
                                'stats': []}


class TimedPolicy:
    """Hands everything on to the policy and notes when ``act`` began and ended."""

    def __init__(self, policy: Any) -> None:
        """Wrap a policy."""
        self._policy = policy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)

    def act(self, observation: Observation) -> Step:
        """Predict; the processor time is this thread's, so it holds for ``torch_threads`` 1."""
        begin_ns, cpu_ns = time.time_ns(), time.thread_time_ns()
        step = self._policy.act(observation)
        _times['acts'].append((observation.stamp_ns, begin_ns, time.time_ns(),
                               time.thread_time_ns() - cpu_ns, step.timing.preprocess_ms))
        return step


def create(parameters: Any) -> TimedPolicy:
    """Load what the other parameters name and wrap it (``policy_factory``)."""
    return TimedPolicy(load_policy(replace(parameters, policy_factory='')))


class ProbedPolicyNode(PolicyNode):
    """``PolicyNode`` whose inputs, ticks and outputs note the time."""

    def create_subscription(self, msg_type: Any, topic: str, callback: Callable, *args: Any,
                            **options: Any) -> Any:
        """Note when an image arrived in this process and when its callback began."""
        if msg_type not in (Image, CompressedImage):
            return super().create_subscription(msg_type, topic, callback, *args, **options)
        has_info = getattr(callback, 'takes_info', False)

        def timed(message: Any, info: dict[str, int]) -> None:
            _times['arrivals'].append((topic, messages.ns_from_time(message.header.stamp),
                                       info['received_timestamp'], time.time_ns()))
            if has_info:
                callback(message, info)
            else:
                callback(message)
        return super().create_subscription(msg_type, topic, timed, *args, **options)

    def create_timer(self, timer_period_sec: float, callback: Callable, *args: Any,
                     **options: Any) -> Any:
        """Note when a tick on the node's clock was due."""
        if args or options or self.parameters.trigger != 'timer':
            return super().create_timer(timer_period_sec, callback, *args, **options)
        period_ns = int(timer_period_sec * 1e9)

        def timed() -> None:
            now_ns = time.time_ns()
            _times['ticks'].append((now_ns + timer.time_until_next_call() - period_ns, now_ns))
            callback()
        timer = super().create_timer(timer_period_sec, timed)
        return timer

    def create_lifecycle_publisher(self, msg_type: Any, topic: str, *args: Any,
                                   **options: Any) -> Any:
        """Note when an action is handed to DDS and what its statistics name as inputs."""
        publisher = super().create_lifecycle_publisher(msg_type, topic, *args, **options)
        if msg_type not in (EndEffectorAction, InferenceStats):
            return publisher
        publish = publisher.publish

        def timed(message: Any) -> None:
            stamp_ns, now_ns = messages.ns_from_time(message.header.stamp), time.time_ns()
            if isinstance(message, InferenceStats):
                _times['stats'].append((stamp_ns, dict(zip(
                    message.input_names, map(messages.ns_from_time, message.input_stamps),
                    strict=True))))
            else:
                _times['actions'].append((stamp_ns, now_ns, time.process_time_ns()))
            publish(message)
        publisher.publish = timed
        return publisher


def main(args: list[str] | None = None) -> int:
    """Entry point: the file, then ROS arguments."""
    words = list(sys.argv[1:] if args is None else args)

    def create_node(stop: threading.Event) -> ProbedPolicyNode:
        return ProbedPolicyNode(stop)
    code = run_node(create_node, words[1:])
    Path(words[0]).write_text(json.dumps(_times), encoding='utf-8')
    return code


if __name__ == '__main__':
    # The factory is found by its module's name: the lists must be that module's, too.
    from dysl_vla_ros.nodes import overhead_probe
    sys.exit(overhead_probe.main())
