# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Lifecycle node that turns camera images and an instruction into end-effector actions.

    ros2 launch dysl_vla_ros policy.launch.py
    ros2 run dysl_vla_ros policy_node --ros-args --params-file config/policy.yaml

This file is the lifecycle, the instruction and the reports. What happens in every control step is
in ``control_cycle.py``; bounds, permission to move and adapters to arm stacks are in ``arm.py``.
"""

import re
import sys
import threading
import time
import traceback

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_msgs.msg import String
from std_srvs.srv import SetBool

from dysl_vla_ros.configuration import to_mapping
from dysl_vla_ros.errors import DySLVLAError, InstructionError
from dysl_vla_ros.msg import PolicyDescription, TaskStatus
from dysl_vla_ros.nodes import memory, messages, qos
from dysl_vla_ros.nodes.control_cycle import ControlCycle
from dysl_vla_ros.nodes.diagnostics import Diagnostics, Level, Report
from dysl_vla_ros.nodes.goals import NAMES, OUTCOME, InstructionServer
from dysl_vla_ros.nodes.parameters import PolicyParameters, declare
from dysl_vla_ros.nodes.policies import create_governor, load_policy, versions
from dysl_vla_ros.nodes.process import run_node
from dysl_vla_ros.nodes.session import Counters, Hooks, Session, instruction_problem, shortened

_WATCH_S = 0.05  # a goal's time limit and a new cause are noticed within this


class PolicyNode(LifecycleNode):
    """Observations in, actions out; nothing is sent without an instruction."""

    # ------------------------------------------------------------------ parameters, entities
    def __init__(self, stop: threading.Event) -> None:
        """Declare the parameters; everything else waits for configure."""
        super().__init__('policy_node')
        self.exit_code = 0
        self._stop_event = stop
        self.parameters = declare(self, PolicyParameters)
        self._lock = threading.RLock()       # guards everything below that is not an entity
        self._cycle: ControlCycle | None = None
        self._policy = self._governor = None
        self._reported_cause = ''
        self._failure = ''
        self._phase = 'unconfigured'
        self._counters = Counters()
        self._entities: list = []            # (destroy function, entity)
        self._diagnostics = Diagnostics(self, {
            'lifecycle': self._report_lifecycle, 'input': self._report_input,
            'inference': self._report_inference, 'arm': self._report_arm})

    def start(self) -> None:
        """Configure and activate by itself if asked to."""
        if not self.parameters.autostart:
            self.get_logger().info('waiting for a lifecycle transition (autostart is false)')
            return
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                self.exit_code = 1
                self._stop_event.set()
                return

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up the policy, create the entities, describe both."""
        try:
            self._policy = load_policy(self.parameters, self._progress)
            self._governor = create_governor(self._policy, self.parameters.governor)
            self._progress('creating topics')
            self._create_entities()
            self._publish_description()
        except Exception as error:
            self.get_logger().error(f'cannot configure: {error}')
            self.get_logger().debug(traceback.format_exc())
            self._destroy_entities()
            self._progress(f'unconfigured: {error}')
            return TransitionCallbackReturn.FAILURE
        self.get_logger().info(f'configured: {self._title()}, trigger {self.parameters.trigger}')
        self._progress('inactive')
        return super().on_configure(state)

    def _progress(self, phase: str) -> None:
        """Say on /diagnostics at once what a transition is doing; it may take long."""
        self._phase = phase
        self._diagnostics.publish()

    def _title(self) -> str:
        p = self.parameters
        return p.policy_factory or f'{p.checkpoint} ({p.strategy}, {p.device})'

    def _create_entities(self) -> None:
        def keep(entity, destroy):
            self._entities.append((destroy, entity))
            return entity

        def own(entity):
            return keep(entity, lambda e: e.destroy())

        hooks = Hooks(lambda name, reason: self._end(getattr(OUTCOME, name), reason),
                      lambda session, stats: self._goals.feedback(session.steps, stats),
                      self._on_failure, self._reset, self._give_up)
        self._cycle = own(ControlCycle(self, self.parameters, self._lock, self._policy,
                                       self._governor, self._counters, hooks))
        # After the cycle: who has received the description has found the action topic before.
        self._description = keep(self.create_publisher(
            PolicyDescription, '~/policy_description', qos.LATCHED), self.destroy_publisher)
        keep(self.create_subscription(String, 'instruction', self._on_instruction, qos.LATCHED),
             self.destroy_subscription)
        keep(self.create_subscription(TaskStatus, 'task_status', self._on_status, qos.LATCHED),
             self.destroy_subscription)
        keep(self.create_service(SetBool, '~/full_depth', self._on_full_depth),
             self.destroy_service)
        self._goals = own(InstructionServer(
            self, self._refuse, self._begin, self._end,
            lambda reason: setattr(self._counters, 'refusal', reason)))
        keep(self.create_timer(_WATCH_S, self._watch,
                               clock=Clock(clock_type=ClockType.STEADY_TIME)), self.destroy_timer)

    def _publish_description(self) -> None:
        message = messages.description_message(
            {**self._policy.describe(), 'versions': versions()}, to_mapping(self.parameters),
            self._cycle.streams)
        message.header.stamp = self.get_clock().now().to_msg()
        self._description.publish(message)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the inference thread; refuse while someone else commands the arm."""
        rival = self._cycle.arm.rivals()
        if rival:
            self.get_logger().error(f'cannot activate: {rival}')
            return TransitionCallbackReturn.FAILURE
        result = super().on_activate(state)
        with self._lock:
            self._failure = ''
            self._cycle.activate()
        self.get_logger().info('active; waiting for an instruction')
        self._progress('active')
        return result

    # ------------------------------------------------------------------ instruction
    def _refuse(self, instruction: str) -> str:
        if not self._cycle.is_active:
            return f'the node is not active{": " + self._failure if self._failure else ""}'
        self._counters.refusal = instruction_problem(instruction)
        return self._counters.refusal

    def _begin(self, instruction: str, max_steps: int = 0, max_seconds: float = 0.0) -> None:
        with self._lock:
            if not self._cycle.is_active:
                self._goals.finish(OUTCOME.ERROR, 'the node was deactivated', 0)
                return
            deadline_s = time.monotonic() + max_seconds if max_seconds else float('inf')
            self.get_logger().info(f'instruction: {instruction!r}')
            self._cycle.begin(Session(instruction, max_steps, deadline_s))

    def _end(self, outcome: int, reason: str) -> None:
        """End the session and its goal, if it has one."""
        with self._lock:
            session = self._cycle.end(f'end of the instruction: {NAMES[outcome]}')
            if session is not None:
                self._counters.ended = f'{NAMES[outcome]}: {reason}'
        if session is not None and self._goals.finish(outcome, reason, session.steps):
            self.get_logger().info(f'{NAMES[outcome]} after {session.steps} steps: '
                                   f'{session.instruction!r} ({reason})')

    def _reset(self, instruction: str) -> None:
        """Reset the policy (worker thread); a sentence it refuses ends the session only."""
        try:
            self._policy.reset(instruction)
        except InstructionError as error:
            self._give_up(instruction, error)
        except DySLVLAError as error:
            self._counters.refusal = str(error)
            self.get_logger().error(f'instruction {instruction!r} refused by the policy: {error}')
            self._end(OUTCOME.ERROR, str(error))

    def _give_up(self, instruction: str, error: InstructionError) -> None:
        """The policy knows that it cannot do this (worker thread); the node stays active."""
        self.get_logger().error(f'instruction {instruction!r} given up: {error}')
        self._end(OUTCOME.FAILED, f'{type(error).__name__}: {error}')

    def _on_instruction(self, message: String) -> None:
        session = self._cycle.session
        if self._goals.is_active:
            if session is None or message.data != session.instruction:
                self._counters.refusal = 'a topic cannot take over: a goal owns the policy'
                self.get_logger().warning(
                    f'instruction {shortened(message.data)!r} ignored: a goal owns the policy; '
                    'cancel it or send a new goal')
        elif reason := self._refuse(message.data):
            self._end(OUTCOME.CANCELED, reason)
            self.get_logger().info(
                f'instruction {shortened(message.data)!r} not started: {reason}')
        else:
            self._begin(message.data)

    def _on_status(self, status: TaskStatus) -> None:
        """End the goal when the judge has decided about it."""
        outcomes = {TaskStatus.SUCCEEDED: OUTCOME.SUCCEEDED, TaskStatus.FAILED: OUTCOME.FAILED}
        session = self._cycle.session
        if status.state not in outcomes or session is None or session.first_stamp_ns is None:
            return
        # A judgement made before this goal's first step belongs to the goal before it.
        if messages.ns_from_time(status.header.stamp) > session.first_stamp_ns \
                and self._goals.is_active:
            self._end(outcomes[status.state], status.detail or f'task {status.task!r}')

    def _watch(self) -> None:
        """On the steady clock: what must be noticed when nothing comes, and said at once."""
        self._cycle.watch()
        cause = re.sub(r'[0-9.]+', '#', ' '.join((
            self._cycle.hold_reason, self._counters.refusal, self._counters.ended,
            self._counters.clock, self._counters.skipped_callback, self._failure,
            self._cycle.arm.blocked)))
        if cause != self._reported_cause:
            self._reported_cause = cause
            self._diagnostics.publish()

    def _on_full_depth(self, request: SetBool.Request, response: SetBool.Response,
                       ) -> SetBool.Response:
        response.success = self._governor is not None
        if self._governor is not None:
            self._governor.is_full_depth_requested = request.data
        response.message = '' if response.success else 'the governor is off (governor.budget_ms)'
        return response

    # ------------------------------------------------------------------ report
    def _report_lifecycle(self) -> Report:
        level = Level.ERROR if ': ' in self._phase else Level.OK
        return Report(level, self._phase, {'policy': self._title()})

    def _report_input(self) -> Report:
        cycle = self._cycle
        if cycle is None:
            return Report(Level.OK, 'not configured')
        with self._lock:
            self._counters.note_clock(self.get_clock().now().nanoseconds)
            silence_s = cycle.silence_s()
            is_lost = cycle.session is not None and silence_s > self.parameters.input_timeout_s
            if is_lost and not cycle.is_input_lost:
                cycle.is_input_lost = True
                self.get_logger().error(
                    f'no observation for {silence_s:.1f} s; sending nothing until they return')
            return self._counters.input_report(cycle.session, cycle.streams, silence_s, is_lost,
                                               cycle.trouble(), cycle.health())

    def _report_inference(self) -> Report:
        with self._lock:
            is_active = self._cycle is not None and self._cycle.is_active
            return self._counters.inference_report(self._failure, is_active, self._governor)

    def _report_arm(self) -> Report:
        return self._cycle.arm.report() if self._cycle is not None \
            else Report(Level.OK, 'not configured')

    def callback_failed(self, error: Exception) -> None:
        """A request of others has raised in rclpy and is skipped (``process.py``)."""
        self._counters.skipped_callback = shortened(str(error))

    # ------------------------------------------------------------------ stop
    def _on_failure(self, error: Exception) -> None:
        """The policy raised (worker thread): say it, send nothing, become inactive."""
        with self._lock:
            self._failure = f'{type(error).__name__}: {error}'
            self._cycle.arm.stop(f'policy failed: {self._failure}')
        self.get_logger().error(
            f'the policy failed and the node becomes inactive: {self._failure}\n'
            + ''.join(traceback.format_exception(error)))
        self.executor.create_task(self.trigger_deactivate)

    def _stop(self, reason: str) -> None:
        """The one stop sequence: no new work, no message in flight, then the goal's result."""
        if self._cycle is not None and self._cycle.deactivate(reason):
            self._end(OUTCOME.ERROR, reason)
            self._phase = 'inactive'

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop the inference thread, then the publishers."""
        self._stop(self._failure or 'the node was deactivated')
        self.get_logger().info('inactive; nothing is sent')
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Remove all entities and the policy."""
        self._destroy_entities()
        self._phase = 'unconfigured'
        return super().on_cleanup(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Come back to unconfigured after an exception in a transition."""
        self._stop('an error in a transition')
        self._destroy_entities()
        self._phase = 'unconfigured'
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop from any state."""
        self._stop('the node is shutting down')
        self._destroy_entities()
        return super().on_shutdown(state)

    def _destroy_entities(self) -> None:
        for destroy, entity in reversed(self._entities):
            destroy(entity)
        self._entities.clear()
        self._policy = self._governor = self._cycle = None
        memory.give_back()

    def close(self) -> None:
        """End of the process: stop, and say so."""
        self._stop('the node is shutting down')
        self.get_logger().info(f'stopped after {self._counters.steps} steps')


def main(args: list[str] | None = None) -> int:
    """Entry point of ``policy_node``."""
    return run_node(PolicyNode, args)


if __name__ == '__main__':
    sys.exit(main())
