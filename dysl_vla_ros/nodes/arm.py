# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Between the policy's action and the arm: filter, permission to move, adapters, stop.

Everything here is called under the node's lock. ``command`` runs once per control step on the
inference thread, ``tick`` at the output rate on the executor's.
"""

from collections import Counter
from dataclasses import dataclass
import time

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, TwistStamped
import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from std_srvs.srv import SetBool, Trigger

from dysl_vla_ros.control.gripper import GripperDecision
from dysl_vla_ros.control.safety import SafetyFilter
from dysl_vla_ros.control.target import Pose
from dysl_vla_ros.nodes import messages
from dysl_vla_ros.nodes.deadman import Deadman
from dysl_vla_ros.nodes.diagnostics import Level, Report
from dysl_vla_ros.nodes.outputs import (
    Motion,
    PoseOutput,
    ServoCommandType,
    TwistOutput,
    create_gripper,
)
from dysl_vla_ros.nodes.parameters import PolicyParameters
from dysl_vla_ros.nodes.rivals import RivalWatch


@dataclass(frozen=True)
class Commanded:
    """What became of an action.

    Attributes:
        action: (7,) CALVIN units, after every limit.
        reasons: One line per change.
        pose: Commanded pose after the step, or None without a measured pose.
    """

    action: np.ndarray
    reasons: tuple[str, ...]
    pose: Pose | None


class Arm:
    """The arm's side of the policy node."""

    def __init__(self, node: LifecycleNode, parameters: PolicyParameters, lock) -> None:
        """Create adapters, services and timer.

        Raises:
            ConfigError: If bounds are missing, or a package that an adapter needs.
        """
        self._node, self._p, self._lock = node, parameters, lock
        outputs, safety = parameters.outputs, parameters.safety
        self._period_s = 1.0 / parameters.rate_hz
        self._is_stepped = parameters.trigger == 'observation'
        self._filter = (SafetyFilter(parameters.bounds(), self._period_s)
                        if safety.mode == 'bounded' else None)
        self._decision = GripperDecision(safety.gripper_hysteresis, safety.gripper_dwell_s)
        self._stamp_ns = 0
        self._target: Pose | None = None      # None: anchor to the measured pose first
        self._measured: Pose | None = None
        self._sent_gripper = 0.0
        self._limited_in_a_row = 0
        self._trip = ''
        self._stop_reason = ''
        self.is_enabled = not safety.dry_run
        self.reasons: Counter[str] = Counter()
        self.stops: Counter[str] = Counter()
        # First what may raise, so that a failed configure leaves nothing behind.
        self._servo = ServoCommandType(
            node, outputs.servo_node, ServoCommandType.TWIST if outputs.twist
            else ServoCommandType.POSE) if outputs.servo_node else None
        self._gripper = create_gripper(node, outputs)
        arguments = (node, outputs, parameters.action_frame, self._period_s, self._stamp)
        self._adapters: list[TwistOutput | PoseOutput] = []
        if outputs.twist:
            self._adapters.append(TwistOutput(*arguments))
        if outputs.pose:
            self._adapters.append(PoseOutput(*arguments, self._is_stepped))
        self._rivals = [
            RivalWatch(node, TwistStamped if isinstance(adapter, TwistOutput) else PoseStamped,
                       adapter.publisher.topic_name, self._yield_to_rival)
            for adapter in self._adapters]
        self._deadman = Deadman(node, safety, self.stop) \
            if safety.deadman != 'none' else None
        self._enable = node.create_service(SetBool, '~/enable', self._on_enable)
        self._reset = node.create_service(Trigger, '~/reset', self._on_reset)
        self._timer = None
        if self._adapters and not self._is_stepped:
            # The steady clock: a simulated clock that stops must not keep a twist alive.
            self._timer = node.create_timer(1.0 / outputs.rate_hz, self._on_tick,
                                            clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def needs_pose(self) -> bool:
        """Whether the measured pose is an input."""
        return bool(self._adapters) or self._filter is not None

    # ------------------------------------------------------------------ permission
    @property
    def blocked(self) -> str:
        """Why the outputs are silent, or ''."""
        if not self.is_enabled:
            return 'dry run: call ~/enable'
        if self._trip:
            return self._trip
        if self._deadman is not None and self._deadman.problem:
            return self._deadman.problem
        if self._servo is not None and self._servo.problem:
            return self._servo.problem
        return ''

    def rivals(self) -> str:
        """Name a command topic that someone else publishes on, or ''."""
        return next((w.announced for w in self._rivals if w.announced), '')

    def _yield_to_rival(self) -> None:
        """Two senders move the arm by turns: stop for good as soon as there is another."""
        rival = next((w.problem for w in self._rivals if w.problem), '')
        if rival and self.is_enabled and not self._trip:
            with self._lock:
                self._trip = f'{rival}; call ~/reset when it is gone'
                self.stop(self._trip)
            self._node.get_logger().error(self._trip)

    # ------------------------------------------------------------------ one control step
    def command(self, action: np.ndarray, probability: float, measured: Pose | None,
                stamp_ns: int) -> Commanded:
        """Filter an action (7,) that is inside CALVIN's bounds, and move the arm if allowed."""
        self._yield_to_rival()
        self._stamp_ns, reasons = max(stamp_ns, self._stamp_ns), []
        action = np.array(action)
        decided, reason = self._decision.update(probability, time.monotonic())
        if reason:
            reasons.append(reason)
            action[6] = decided
        blocked = self.blocked
        if measured is None or not self.needs_pose:
            self._send_gripper(action[6], blocked)
            return Commanded(action, tuple(reasons), None)
        self._measured = measured
        if self._target is None or blocked or self._stop_reason:
            # At rest, or not followed by the arm: the motion starts where the arm is.
            self._anchor(measured)
        before = self._target
        after = before.added(action)
        shift, turn = before.step_to(after)
        if self._filter is not None:
            filtered = self._filter.step(after)
            reasons += filtered.reasons
            if filtered.reasons:
                shift, turn, after = filtered.shift_m, filtered.turn_rad, filtered.pose
                action = np.clip(before.action_to(after, action[6]), -1.0, 1.0)
        self._target = after
        self._count(tuple(reasons))
        if not self.blocked:
            motion, now_s = Motion(before, after, shift, turn), time.monotonic()
            for adapter in self._adapters:
                adapter.command(motion, now_s)
            self._stop_reason = ''
        self._send_gripper(action[6], self.blocked)
        return Commanded(action, tuple(reasons), after)

    def _anchor(self, measured: Pose) -> None:
        self._target = measured
        if self._filter is not None:
            self._filter.anchor(measured)

    def _count(self, reasons: tuple[str, ...]) -> None:
        self.reasons.update({reason.split(':')[0] for reason in reasons})
        self._limited_in_a_row = self._limited_in_a_row + 1 if reasons else 0
        limit = self._p.safety.trip_after
        if limit and self._limited_in_a_row >= limit and not self._trip:
            self._trip = f'tripped: {limit} limited actions in a row ({reasons[0]}); call ~/reset'
            self._node.get_logger().error(self._trip)
            self.stop(self._trip)

    def _send_gripper(self, command: float, blocked: str) -> None:
        if self._gripper is not None and not blocked and command != self._sent_gripper:
            self._sent_gripper = command
            self._gripper.command(command > 0)

    # ------------------------------------------------------------------ between the steps
    def _on_tick(self) -> None:
        with self._lock:
            self._yield_to_rival()
            if self._servo is not None:
                self._servo.poll()
            if not self.is_enabled or self._target is None or self._stop_reason:
                return
            if blocked := self.blocked:
                self.stop(blocked)
            else:
                for adapter in self._adapters:
                    adapter.tick(time.monotonic())

    def see(self, measured: Pose) -> None:
        """Remember where the arm is, for the stop command."""
        self._measured = measured

    def stop(self, reason: str) -> None:
        """Send every adapter's stop command; the next motion starts at the measured pose.

        Repeats are harmless; a dry run has nothing to stop.
        """
        with self._lock:
            if self._target is None or self._stop_reason == reason:
                return
            self._stop_reason, self._target = reason, None
            self.stops[reason.split(':')[0]] += 1
            if self.is_enabled:
                for adapter in self._adapters:
                    adapter.stop(self._measured)

    def repeat(self) -> None:
        """Send the last command again: the world asked again because it got lost."""
        if not self.blocked and self._target is not None and not self._stop_reason:
            for adapter in self._adapters:
                adapter.repeat()

    def begin(self) -> None:
        """A new instruction begins: the gripper is free to decide, the target stays."""
        self._decision.reset()
        self._limited_in_a_row, self._sent_gripper = 0, 0.0

    def _stamp(self) -> Time:
        # In lockstep the world waits for the answer to this very stamp.
        now_ns = 0 if self._is_stepped else self._node.get_clock().now().nanoseconds
        return messages.time_from_ns(now_ns or self._stamp_ns)

    # ------------------------------------------------------------------ services, report
    def _on_enable(self, request: SetBool.Request, response: SetBool.Response,
                   ) -> SetBool.Response:
        with self._lock:
            rival = self.rivals() if request.data else ''
            if rival:
                response.message = f'refused: {rival}'
                return response
            if not request.data:
                self.stop('disabled')
            self.is_enabled, response.success = request.data, True
            self._target = None
            response.message = self.blocked or ('the arm outputs are live' if request.data
                                                else 'the arm outputs are silent')
            self._node.get_logger().info(f'~/enable {request.data}: {response.message}')
        return response

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            response.message = f'cleared: {self._trip}' if self._trip else 'nothing to clear'
            self._trip, self._limited_in_a_row, response.success = '', 0, True
            self.stop('reset')
        return response

    def report(self) -> Report:
        """Say what is allowed, sent and held back."""
        values = {
            'safety': self._p.safety.mode, 'outputs': ', '.join(
                [type(a).__name__ for a in self._adapters]
                + ([type(self._gripper).__name__] if self._gripper else [])) or 'action only',
            'lifetime gaps': sum(a.gaps for a in self._adapters),
            **{f'limited by {name}': n for name, n in sorted(self.reasons.items())},
            **{f'stopped by {name}': n for name, n in sorted(self.stops.items())}}
        if self._trip:
            return Report(Level.ERROR, self._trip, values)
        blocked = self.blocked if self._adapters or self._gripper else ''
        return Report(Level.WARN if blocked else Level.OK,
                      blocked or self._stop_reason or 'ready', values)

    def destroy(self) -> None:
        """Remove everything that was created."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        for service in (self._enable, self._reset):
            self._node.destroy_service(service)
        for entity in (*self._rivals, *self._adapters, self._gripper, self._servo, self._deadman):
            if entity is not None:
                entity.destroy()
