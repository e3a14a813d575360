# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fault table: what is broken, what the node must do, and the words it must find for it.

A case breaks one thing on a ``FaultRig`` whose arm is moving. Either the arm must stop and move
again when the fault ends (``recovery`` says what it takes), or the fault is harmless and the
motion must go on. In every case no twist may be NaN or beyond the bounds.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
import time
from typing import Any

import numpy as np

from dysl_vla_ros.errors import SimulationError
from dysl_vla_ros.nodes import messages
from dysl_vla_ros.nodes.fault_rig import PERIOD_S, SPEED_M_S, SPEED_RAD_S, FaultRig, speed
from dysl_vla_ros.nodes.scripted_policy import FAULT

CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = 1, 2, 3, 4  # lifecycle_msgs/msg/Transition
_MS = 1_000_000
_SILENCE_S = 0.5


@dataclass(frozen=True)
class FaultCase:
    """One line of the table.

    Attributes:
        name: Unique.
        group: camera, pose, clock, model, permission, lifecycle, instruction, process.
        inject: Breaks the rig.
        words: Text that diagnostics must show meanwhile; '' if the fault is harmless.
        stops: Whether the arm must stop.
        recovery: ``input`` (by itself when the fault ends), ``goal`` (a new goal is needed),
            ``activate`` (the node became inactive and must be activated) or ``restart``.
    """

    name: str
    group: str
    inject: Callable[[FaultRig], Any]
    words: str
    stops: bool = True
    recovery: str = 'input'


@dataclass(frozen=True)
class FaultResult:
    """What was seen.

    Attributes:
        stop_ms: From the injection to the last twist other than zero (0: none came any more);
            NaN for a fault that must not stop the arm.
        recovery_ms: From the end of the fault to the next motion.
        problem: Why the case failed, or ''.
    """

    stop_ms: float
    recovery_ms: float
    problem: str


# ---------------------------------------------------------------------- how to break a stream
def _alter(*streams: str, by: Callable[[Any], Any]) -> Callable[[FaultRig], None]:
    def inject(rig: FaultRig) -> None:
        rig.alter.update(dict.fromkeys(streams, by))
    return inject


def _lost(message: Any) -> None:
    return None


def _with(**fields: Any) -> Callable[[Any], Any]:
    def change(message: Any) -> Any:
        for name, value in fields.items():
            setattr(message, name, value)
        return message
    return change


def _shifted(offset_ms: float) -> Callable[[Any], Any]:
    def change(message: Any) -> Any:
        stamp_ns = messages.ns_from_time(message.header.stamp) + int(offset_ms * _MS)
        message.header.stamp = messages.time_from_ns(stamp_ns)
        return message
    return change


def _framed(frame: str) -> Callable[[Any], Any]:
    def change(message: Any) -> Any:
        message.header.frame_id = frame
        return message
    return change


def _posed(**fields: float) -> Callable[[Any], Any]:
    def change(message: Any) -> Any:
        for name, value in fields.items():
            owner, axis = name.split('_')
            setattr(getattr(message.pose, owner), axis, value)
        return message
    return change


class _Frozen:
    """The first message for ever: a driver that repeats its buffer."""

    def __init__(self, keeps_stamp: bool) -> None:
        self._first: Any = None
        self._keeps_stamp = keeps_stamp

    def __call__(self, message: Any) -> Any:
        self._first = self._first or deepcopy(message)
        copy = deepcopy(self._first)
        if not self._keeps_stamp:
            copy.header.stamp = message.header.stamp
        return copy


class _Every:
    """Every n-th message only."""

    def __init__(self, n: int) -> None:
        self._n, self._count = n, 0

    def __call__(self, message: Any) -> Any:
        self._count += 1
        return message if self._count % self._n == 0 else None


class _Swapped:
    """Pairs of messages in the wrong order."""

    def __init__(self) -> None:
        self._kept: Any = None

    def __call__(self, message: Any) -> Any:
        if self._kept is None:
            self._kept = deepcopy(message)
            return None
        pair, self._kept = [message, self._kept], None
        return pair


def _image(encoding: str, channels: int, depth: int = 1, width: int = 64,
           height: int = 48) -> Callable[[Any], Any]:
    """Another lawful or unlawful image; the counter in the bytes keeps it from being frozen."""
    def change(message: Any) -> Any:
        step = width * channels * depth
        count = time.monotonic_ns().to_bytes(8, 'little')
        message.encoding, message.width, message.height = encoding, width, height
        message.step, message.data = step, (count + bytes(max(0, step * height - 8)))
        return message
    return change


def _depth_nan(message: Any) -> Any:
    message.encoding, message.step = '32FC1', 4 * message.width
    message.data = np.full(message.width * message.height, np.nan, np.float32).tobytes()
    return message


def _jump(seconds: float) -> Callable[[FaultRig], None]:
    def inject(rig: FaultRig) -> None:
        rig.now_ns += int(seconds * 1e9)
    return inject


def _clock(step_s: float | None) -> Callable[[FaultRig], None]:
    def inject(rig: FaultRig) -> None:
        rig.clock_step_s = step_s
    return inject


def _duplicate(stream: str) -> Callable[[FaultRig], Any]:
    def inject(rig: FaultRig) -> Any:
        original = rig._publishers[stream]
        return rig.node.create_publisher(original.msg_type, original.topic_name,
                                         original.qos_profile)
    return inject


def _rival(rig: FaultRig) -> Any:
    from geometry_msgs.msg import TwistStamped

    from dysl_vla_ros.nodes import qos
    return rig.node.create_publisher(TwistStamped, 'policy_node/command_twist', qos.COMMAND)


def _impossible(transition: int) -> Callable[[FaultRig], None]:
    """A transition that the state does not allow; rclpy answers such a request with silence."""
    def inject(rig: FaultRig) -> None:
        count = rig.output.count('a callback failed')
        rig.send_transition(transition)
        rig.wait(lambda: rig.output.count('a callback failed') > count, 'the refusal')
    return inject


def _negative_clock(rig: FaultRig) -> None:
    from builtin_interfaces.msg import Time
    from rosgraph_msgs.msg import Clock
    rig._publishers['clock'].publish(Clock(clock=Time(sec=-5)))


def _told(instruction: str) -> Callable[[FaultRig], None]:
    return lambda rig: rig.goal(FAULT + instruction)


def _press(value: bool | None) -> Callable[[FaultRig], None]:
    def inject(rig: FaultRig) -> None:
        rig.is_pressed = value
    return inject


def _topic(text: str) -> Callable[[FaultRig], None]:
    def inject(rig: FaultRig) -> None:
        from std_msgs.msg import String
        rig.instruction.publish(String(data=text))
    return inject


def _refused(text: str, **limits: float) -> Callable[[FaultRig], None]:
    """A goal that must be rejected."""
    def inject(rig: FaultRig) -> None:
        if rig.goal(text, **limits).accepted:
            raise SimulationError(f'the goal {text[:40]!r} {limits} was accepted')
    return inject


def _cancel(rig: FaultRig) -> None:
    handle = rig.goal()
    rig._result(handle.cancel_goal_async)


S, G, P = 'image_static', 'image_gripper', 'ee_pose'
CASES: tuple[FaultCase, ...] = (
    FaultCase('static camera lost', 'camera', _alter(S, by=_lost), 'image_static'),
    FaultCase('gripper camera lost', 'camera', _alter(G, by=_lost), 'image_gripper'),
    FaultCase('both cameras lost', 'camera', _alter(S, G, by=_lost), 'image_'),
    FaultCase('everything lost', 'camera', _alter(S, G, P, by=_lost), 'image_'),
    FaultCase('static camera frozen, new stamps', 'camera',
              lambda rig: rig.alter.update({S: _Frozen(False)}), 'frozen'),
    FaultCase('gripper camera frozen, new stamps', 'camera',
              lambda rig: rig.alter.update({G: _Frozen(False)}), 'frozen'),
    FaultCase('static driver repeats one message', 'camera',
              lambda rig: rig.alter.update({S: _Frozen(True)}), 'image_static'),
    FaultCase('gripper driver repeats one message', 'camera',
              lambda rig: rig.alter.update({G: _Frozen(True)}), 'image_gripper'),
    FaultCase('unknown encoding', 'camera', _alter(S, by=_with(encoding='nv21')), "'nv21'"),
    FaultCase('empty encoding', 'camera', _alter(G, by=_with(encoding='')), "encoding ''"),
    FaultCase('depth image full of NaN', 'camera', _alter(S, by=_depth_nan), '32FC1'),
    FaultCase('image of no pixels', 'camera', _alter(S, by=_with(height=0)), 'is empty'),
    FaultCase('data cut short', 'camera',
              lambda rig: rig.alter.update({S: lambda m: _with(data=bytes(m.data)[:100])(m)}),
              '100 bytes'),
    FaultCase('no data at all', 'camera', _alter(G, by=_with(data=b'')), '0 bytes'),
    FaultCase('row step too short', 'camera', _alter(S, by=_with(step=5)), 'step 5'),
    FaultCase('row step beyond the data', 'camera', _alter(S, by=_with(step=4096)), 'need'),
    FaultCase('YUV of odd width', 'camera', _alter(S, by=_image('yuv422', 2, width=63)), 'even'),
    FaultCase('static camera at 1 Hz', 'camera',
              lambda rig: rig.alter.update({S: _Every(30)}), 'image_static'),
    FaultCase('gripper camera 150 ms behind', 'camera', _alter(G, by=_shifted(-150)), 'differ by'),
    FaultCase('both cameras 500 ms behind', 'camera', _alter(S, G, by=_shifted(-500)), 'ms old'),
    FaultCase('static camera stamps 10 s ahead', 'camera', _alter(S, by=_shifted(10_000)),
              'ahead of the clock'),
    FaultCase('gripper camera stamps 700 ms ahead', 'camera', _alter(G, by=_shifted(700)),
              'ms'),
    FaultCase('stamps of zero', 'camera', _alter(S, by=_shifted(-1e9)), 'image_static'),
    FaultCase('another camera on the topic', 'camera', _alter(S, by=_framed('camera_b')),
              "frame_id 'camera_b'"),
    FaultCase('two publishers of the static camera', 'camera', _duplicate(S), '2 publishers',
              stops=False),
    FaultCase('two publishers of the gripper camera', 'camera', _duplicate(G), '2 publishers',
              stops=False),
    FaultCase('static camera out of order', 'camera',
              lambda rig: rig.alter.update({S: _Swapped()}), 'image_static late', stops=False),
    FaultCase('every other frame lost', 'camera',
              lambda rig: rig.alter.update({S: _Every(2), G: _Every(2), P: _Every(2)}), '',
              stops=False),
    FaultCase('another size', 'camera', _alter(S, by=_image('rgb8', 3, width=320, height=240)),
              '', stops=False),
    FaultCase('another lawful encoding', 'camera', _alter(S, by=_image('bgra8', 4)), '',
              stops=False),
    FaultCase('16 bit', 'camera', _alter(G, by=_image('mono16', 1, 2)), '', stops=False),
    FaultCase('Bayer mosaic', 'camera', _alter(G, by=_image('bayer_rggb8', 1)), '', stops=False),
    FaultCase('pose lost', 'pose', _alter(P, by=_lost), 'ee_pose'),
    FaultCase('pose of NaN', 'pose', _alter(P, by=_posed(position_x=float('nan'))), 'not a pose'),
    FaultCase('pose at infinity', 'pose', _alter(P, by=_posed(position_z=float('inf'))),
              'not a pose'),
    FaultCase('quaternion of zeros', 'pose',
              _alter(P, by=_posed(orientation_x=0.0, orientation_y=0.0, orientation_z=0.0,
                                  orientation_w=0.0)), 'not a pose'),
    FaultCase('pose in another frame', 'pose', _alter(P, by=_framed('tool0')), "'tool0'"),
    FaultCase('pose 300 ms behind', 'pose', _alter(P, by=_shifted(-300)), 'ee_pose'),
    FaultCase('pose 5 s ahead', 'pose', _alter(P, by=_shifted(5000)), 'ahead of the clock'),
    FaultCase('pose at 2 Hz', 'pose', lambda rig: rig.alter.update({P: _Every(15)}), 'ee_pose'),
    FaultCase('pose frozen with its stamp', 'pose',
              lambda rig: rig.alter.update({P: _Frozen(True)}), 'ee_pose'),
    FaultCase('pose out of order', 'pose', lambda rig: rig.alter.update({P: _Swapped()}),
              'ee_pose late', stops=False),
    FaultCase('clock stands still', 'clock', _clock(0.0), 'clock'),
    FaultCase('clock vanishes', 'clock', _clock(None), 'clock'),
    FaultCase('clock at a tenth of real time', 'clock', _clock(PERIOD_S / 10), '', stops=False),
    FaultCase('clock jumps back 10 s', 'clock', _jump(-10.0), 'jumps', stops=False),
    FaultCase('clock jumps back an hour', 'clock', _jump(-3600.0), 'jumps', stops=False),
    FaultCase('clock jumps ahead 10 s', 'clock', _jump(10.0), '', stops=False),
    FaultCase('clock jumps ahead a day', 'clock', _jump(86_400.0), '', stops=False),
    FaultCase('model raises', 'model', _told('exception'), 'scripted exception',
              recovery='activate'),
    FaultCase('model out of memory', 'model', _told('memory'), 'out of memory',
              recovery='activate'),
    FaultCase('model returns NaN', 'model', _told('nan'), 'not finite', recovery='activate'),
    FaultCase('model returns infinity', 'model', _told('inf'), 'not finite', recovery='activate'),
    FaultCase('model returns six values', 'model', _told('shape'), 'expected shape',
              recovery='activate'),
    FaultCase('model takes 600 ms', 'model', _told('slow'), 'slow', recovery='goal'),
    FaultCase('model returns a million', 'model', _told('huge'), 'limited', stops=False,
              recovery='goal'),
    FaultCase('model runs into the corner', 'model', _told('wall'), 'limited by', stops=False,
              recovery='goal'),
    FaultCase('gripper chatters', 'model', _told('chatter'), 'limited by gripper', stops=False,
              recovery='goal'),
    FaultCase('policy does not know the words', 'model', _told('unknown'), '',
              recovery='goal'),
    FaultCase('deadman released', 'permission', _press(False), 'deadman released'),
    FaultCase('deadman silent', 'permission', _press(None), 'deadman silent'),
    FaultCase('outputs disabled', 'permission', lambda rig: rig.enable(False), 'dry run'),
    FaultCase('goal cancelled', 'permission', _cancel, '', recovery='goal'),
    FaultCase('node deactivated', 'lifecycle', lambda rig: rig.transition(DEACTIVATE), 'inactive',
              recovery='activate'),
    FaultCase('activated twice', 'lifecycle', _impossible(ACTIVATE), '', stops=False),
    FaultCase('configured while active', 'lifecycle', _impossible(CONFIGURE), '', stops=False),
    FaultCase('cleaned up while active', 'lifecycle', _impossible(CLEANUP), '', stops=False),
    FaultCase('negative clock', 'clock', _negative_clock, '', stops=False),
    FaultCase('empty goal', 'instruction', _refused(''), 'empty', stops=False),
    FaultCase('goal of blanks', 'instruction', _refused('  \t '), 'empty', stops=False),
    FaultCase('goal of 100 kB', 'instruction', _refused('open ' * 20_000), 'characters',
              stops=False),
    FaultCase('goal with control characters', 'instruction', _refused('open\x1b[2J drawer'),
              'control', stops=False),
    FaultCase('goal with a negative time limit', 'instruction',
              _refused('open', max_seconds=-1.0), 'max_seconds', stops=False),
    FaultCase('goal with a time limit of NaN', 'instruction',
              _refused('open', max_seconds=float('nan')), 'max_seconds', stops=False),
    FaultCase('goal that is not ASCII', 'instruction', lambda rig: rig.goal('öffne 抽屉 🙂'), '',
              stops=False),
    FaultCase('goal preempts goal', 'instruction', lambda rig: rig.goal('another'), '',
              stops=False),
    FaultCase('time limit reached', 'instruction',
              lambda rig: rig.goal('draw', max_seconds=0.3), '', recovery='goal'),
    FaultCase('topic while a goal runs', 'instruction', _topic('intruder'), '', stops=False),
    FaultCase('empty topic while a goal runs', 'instruction', _topic(''), '', stops=False),
    FaultCase('100 kB topic while a goal runs', 'instruction', _topic('x' * 100_000), '',
              stops=False),
    FaultCase('policy node killed', 'process', lambda rig: rig.process.kill(), '',
              recovery='restart'),
    FaultCase('policy node ended by SIGTERM', 'process', lambda rig: rig.process.terminate(), '',
              recovery='restart'),
    FaultCase('another publisher commands the arm', 'permission', _rival, 'another publisher'),
)


# ---------------------------------------------------------------------- running one
def run_case(rig: FaultRig, case: FaultCase, timeout_s: float = 40.0) -> FaultResult:
    """Break, watch, mend, watch; leaves the rig moving."""
    made, stop_ms, recovery_ms, problem = None, float('nan'), float('nan'), ''
    try:
        _ensure_moving(rig, timeout_s)
        with rig.condition:
            rig.twists.clear()
            rig.reports.clear()
        begin_s = time.monotonic()
        made = case.inject(rig)
        if case.words:
            rig.wait(lambda: rig.says(case.words), f'{case.words!r} on /diagnostics', timeout_s)
        if case.stops:
            rig.wait(lambda: _is_still(rig, begin_s), 'the arm to stop', timeout_s)
            moving = [at for at, m in rig.twists if speed(m) > 0]
            stop_ms = 1e3 * (max(moving) - begin_s) if moving else 0.0
        else:
            resumed_s = time.monotonic()
            rig.wait(lambda: rig.moves(resumed_s), 'the motion to go on', timeout_s)
        end_s = time.monotonic()
        _mend(rig, case, made)
        made = None
        rig.wait(lambda: rig.moves(end_s), 'the motion after the fault', timeout_s)
        recovery_ms = 1e3 * (time.monotonic() - end_s)
    except Exception as error:
        problem = str(error)
        _mend(rig, case, made)
    return FaultResult(stop_ms, recovery_ms, problem or beyond_bounds(rig))


def _ensure_moving(rig: FaultRig, timeout_s: float) -> None:
    now_s = time.monotonic()
    if not any(at > now_s - 0.3 and speed(m) > 0 for at, m in rig.twists[-60:]):
        rig.goal()
    rig.wait(lambda: rig.moves(now_s), 'the arm to move', timeout_s)


def _is_still(rig: FaultRig, since_s: float) -> bool:
    """Zeros at the end, or silence: either way nothing moves any more."""
    recent = [(at, speed(m)) for at, m in rig.twists if at > since_s]
    zeros = len(recent) >= 5 and max(value for _, value in recent[-5:]) == 0.0
    last_s = max([at for at, value in recent if value > 0], default=since_s)
    return zeros or time.monotonic() - last_s > _SILENCE_S


def _mend(rig: FaultRig, case: FaultCase, made: Any) -> None:
    rig.alter.clear()
    rig.is_pressed, rig.clock_step_s = True, PERIOD_S
    if made is not None and hasattr(made, 'topic_name'):
        rig.node.destroy_publisher(made)
    if case.name == 'outputs disabled':
        rig.enable(True)
    elif case.name == 'another publisher commands the arm':
        from std_srvs.srv import Trigger
        rig.wait(lambda: rig.node.count_publishers('policy_node/command_twist') == 1,
                 'the rival to be gone')
        rig.call('reset', Trigger.Request())
    if case.recovery == 'activate':
        rig.wait(lambda: rig.says('inactive'), 'the node to be inactive')
        rig.transition(ACTIVATE)
    if case.recovery == 'restart':
        rig.restart_node()
    if case.recovery in ('activate', 'goal', 'restart'):
        rig.goal()


def beyond_bounds(rig: FaultRig) -> str:
    """Name the first twist that is NaN or beyond the bounds, or ''."""
    for _, message in rig.twists:
        for vector, limit in ((message.twist.linear, SPEED_M_S),
                              (message.twist.angular, SPEED_RAD_S)):
            values = np.array([vector.x, vector.y, vector.z])
            if not np.isfinite(values).all() or np.linalg.norm(values) > limit:
                return f'a twist of {values.tolist()} went out, limit {limit}'
    return ''
