# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ways to break a robot: functions that change a ``FaultRig``, or the messages it sends."""

from collections.abc import Callable
from copy import deepcopy
import signal
import time
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import TwistStamped
import numpy as np
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String

from dysl_vla_ros.errors import SimulationError
from dysl_vla_ros.nodes import messages, qos
from dysl_vla_ros.nodes.fault_rig import FaultRig
from dysl_vla_ros.nodes.scripted_policy import FAULT, FAULT_LINE

CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = 1, 2, 3, 4  # lifecycle_msgs/msg/Transition
_MS = 1_000_000


def alter(*streams: str, by: Callable[[Any], Any]) -> Callable[[FaultRig], None]:
    """Every message of these streams goes through ``by``."""
    def inject(rig: FaultRig) -> None:
        rig.alter.update(dict.fromkeys(streams, by))
    return inject


def lost(message: Any) -> None:
    """No message any more."""
    return None


def with_fields(**fields: Any) -> Callable[[Any], Any]:
    """Other values in these fields."""
    def change(message: Any) -> Any:
        for name, value in fields.items():
            setattr(message, name, value)
        return message
    return change


def shifted(offset_ms: float) -> Callable[[Any], Any]:
    """A clock that is ahead or behind."""
    def change(message: Any) -> Any:
        stamp_ns = messages.ns_from_time(message.header.stamp) + int(offset_ms * _MS)
        message.header.stamp = messages.time_from_ns(stamp_ns)
        return message
    return change


def framed(frame: str) -> Callable[[Any], Any]:
    """Another frame_id."""
    def change(message: Any) -> Any:
        message.header.frame_id = frame
        return message
    return change


def posed(**fields: float) -> Callable[[Any], Any]:
    """Other components of the pose, such as ``position_x``."""
    def change(message: Any) -> Any:
        for name, value in fields.items():
            owner, axis = name.split('_')
            setattr(getattr(message.pose, owner), axis, value)
        return message
    return change


class _Repeated:
    """The first message for ever; the fault begins when it comes a second time."""

    def __init__(self, rig: FaultRig, keeps_stamp: bool) -> None:
        self._rig, self._keeps_stamp = rig, keeps_stamp
        self._first: Any = None
        self.count = 0

    def __call__(self, message: Any) -> Any:
        self.count += 1
        if self.count == 1:
            self._first = deepcopy(message)
        elif self.count == 2:
            self._rig.fault_ns = time.time_ns()
        copy = deepcopy(self._first)
        if not self._keeps_stamp:
            copy.header.stamp = message.header.stamp
        return copy


def frozen(stream: str, keeps_stamp: bool = False) -> Callable[[FaultRig], None]:
    """A driver that repeats its buffer, under new stamps or with its stamp."""
    def inject(rig: FaultRig) -> None:
        repeated = _Repeated(rig, keeps_stamp)
        rig.alter[stream] = repeated
        rig.tap.wait(lambda: repeated.count > 1, 'a repeated message')
    return inject


class Every:
    """Every n-th message only."""

    def __init__(self, n: int) -> None:
        self._n, self._count = n, 0

    def __call__(self, message: Any) -> Any:
        self._count += 1
        return message if self._count % self._n == 0 else None


class Swapped:
    """Pairs of messages in the wrong order."""

    def __init__(self) -> None:
        self._kept: Any = None

    def __call__(self, message: Any) -> Any:
        if self._kept is None:
            self._kept = deepcopy(message)
            return None
        pair, self._kept = [message, self._kept], None
        return pair


def image_of(encoding: str, channels: int, depth: int = 1, width: int = 64,
           height: int = 48) -> Callable[[Any], Any]:
    """Another lawful or unlawful image; the counter in the bytes keeps it from being frozen."""
    def change(message: Any) -> Any:
        step = width * channels * depth
        count = time.monotonic_ns().to_bytes(8, 'little')
        message.encoding, message.width, message.height = encoding, width, height
        message.step, message.data = step, (count + bytes(max(0, step * height - 8)))
        return message
    return change


def depth_nan(message: Any) -> Any:
    """A depth image without a measurement."""
    message.encoding, message.step = '32FC1', 4 * message.width
    message.data = np.full(message.width * message.height, np.nan, np.float32).tobytes()
    return message


def jump(seconds: float) -> Callable[[FaultRig], None]:
    """/clock and all stamps are set."""
    def inject(rig: FaultRig) -> None:
        rig.now_ns += int(seconds * 1e9)
    return inject


def clock_step(step_s: float | None) -> Callable[[FaultRig], None]:
    """/clock runs at another speed, or is not published (None)."""
    def inject(rig: FaultRig) -> None:
        rig.clock_step_s = step_s
    return inject


def duplicate(stream: str) -> Callable[[FaultRig], None]:
    """A second driver sends every message once more."""
    def inject(rig: FaultRig) -> None:
        original = rig.publishers[stream]
        rig.echoes[stream] = rig.node.create_publisher(
            original.msg_type, original.topic_name, original.qos_profile)
    return inject


def rival(rig: FaultRig) -> None:
    """Somebody else sends twists; the fault begins when the first one is on the wire."""
    rig.rival = rig.node.create_publisher(TwistStamped, 'policy_node/command_twist', qos.COMMAND)
    rig.tap.wait(lambda: rig.tap.rival_ns, 'the first twist of the rival')
    rig.fault_ns = rig.tap.rival_ns


def impossible(transition: int) -> Callable[[FaultRig], None]:
    """A transition that the state does not allow; rclpy answers such a request with silence."""
    def inject(rig: FaultRig) -> None:
        count = rig.tap.output.count('a callback failed')
        rig.send_transition(transition)
        rig.tap.wait(lambda: rig.tap.output.count('a callback failed') > count, 'the refusal')
    return inject


def negative_clock(rig: FaultRig) -> None:
    """A time before zero, which rclpy cannot represent."""
    rig.publishers['clock'].publish(Clock(clock=Time(sec=-5)))


def told_to(fault: str) -> Callable[[FaultRig], None]:
    """The scripted policy fails; the fault begins when it does."""
    def inject(rig: FaultRig) -> None:
        count = rig.tap.output.count(FAULT_LINE)
        rig.goal(FAULT + fault)
        rig.tap.wait(lambda: rig.tap.output.count(FAULT_LINE) > count, 'the fault of the policy')
        rig.fault_ns = int(rig.tap.output.split(FAULT_LINE)[-1].split()[0])
    return inject


def unknown_words(rig: FaultRig) -> None:
    """The policy refuses a sentence that the node has accepted."""
    rig.goal(FAULT + 'unknown')


def press(value: bool | None) -> Callable[[FaultRig], None]:
    """The deadman is released, or silent (None)."""
    def inject(rig: FaultRig) -> None:
        rig.is_pressed = value
    return inject


def topic(text: str) -> Callable[[FaultRig], None]:
    """A sentence on the instruction topic."""
    def inject(rig: FaultRig) -> None:
        rig.instruction.publish(String(data=text))
    return inject


def refused(text: str, **limits: float) -> Callable[[FaultRig], None]:
    """A goal that must be rejected."""
    def inject(rig: FaultRig) -> None:
        if rig.goal(text, **limits).accepted:
            raise SimulationError(f'the goal {text[:40]!r} {limits} was accepted')
    return inject


def cancel(rig: FaultRig) -> None:
    """The client takes its goal back."""
    handle = rig.goal()
    rig.fault_ns = time.time_ns()
    rig.result(handle.cancel_goal_async)


def out_of_time(rig: FaultRig) -> None:
    """A goal with a limit of 0.3 s."""
    begin_ns = time.time_ns()
    rig.goal('draw', max_seconds=0.3)
    rig.fault_ns = begin_ns + 300_000_000


def end_process(rig: FaultRig, number: int) -> None:
    """Send a signal to the policy node; it may need a while to end."""
    assert rig.process is not None
    rig.process.send_signal(number)
    rig.process.wait(30)


def killed(rig: FaultRig) -> None:
    """The process is gone at once."""
    end_process(rig, signal.SIGKILL)


def ended(rig: FaultRig) -> None:
    """The process is asked to end."""
    end_process(rig, signal.SIGTERM)


def restarted_elsewhere(rig: FaultRig) -> None:
    """The node dies and comes back in another DDS domain."""
    end_process(rig, signal.SIGKILL)
    rig.restart_node(rig.other_domain)
