# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Lifecycle node that turns camera images and an instruction into end-effector actions.

    ros2 launch dysl_vla_ros policy.launch.py
    ros2 run dysl_vla_ros policy_node --ros-args --params-file config/policy.yaml

Read it in this order: parameters and entities (__init__, on_configure), observe, infer,
publish, stop. Callbacks only store; the policy runs on its own thread (``worker.py``). Streams
are in ``inputs.py``; bounds, permission to move and adapters to arm stacks in ``arm.py``.
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
from dysl_vla_ros.control.limits import limit_action
from dysl_vla_ros.errors import DySLVLAError, InstructionError
from dysl_vla_ros.msg import EndEffectorAction, InferenceStats, PolicyDescription, TaskStatus
from dysl_vla_ros.nodes import messages, qos
from dysl_vla_ros.nodes.arm import Arm
from dysl_vla_ros.nodes.diagnostics import Diagnostics, Level, Report
from dysl_vla_ros.nodes.goals import NAMES, OUTCOME, InstructionServer
from dysl_vla_ros.nodes.inputs import IMAGES, JOINTS, POSE, Inputs
from dysl_vla_ros.nodes.markers import MotionMarkers
from dysl_vla_ros.nodes.parameters import PolicyParameters, declare
from dysl_vla_ros.nodes.policies import (
    create_governor,
    load_policy,
    needs_robot_obs,
    set_skip_threshold,
    uses_scene_state,
    versions,
)
from dysl_vla_ros.nodes.process import run_node
from dysl_vla_ros.nodes.session import Counters, Job, Session, instruction_problem, shortened
from dysl_vla_ros.nodes.worker import PolicyWorker
from dysl_vla_ros.observation.assembler import Assembly, ObservationAssembler, StreamState
from dysl_vla_ros.observation.messages import SCENE_STATE

_WATCH_S = 0.1
_MAX_AHEAD_NS = 100_000_000  # skew between two hosts' clocks that is tolerated


class PolicyNode(LifecycleNode):
    """Observations in, actions out; nothing is sent without an instruction."""

    # ------------------------------------------------------------------ parameters, entities
    def __init__(self, stop: threading.Event) -> None:
        """Declare the parameters; everything else waits for configure."""
        super().__init__('policy_node')
        self.exit_code = 0
        self._stop_event = stop
        self.parameters = declare(self, PolicyParameters)
        self._lock = threading.RLock()           # guards everything below that is not an entity
        self._session: Session | None = None
        self._worker = None                      # exists while active
        self._acted_stamp_ns: int | None = None  # newest stamp handed to the worker
        self._acted_stamps: dict[str, int] = {}  # and the stamps of all its inputs
        self._acted_s = 0.0                      # when, steady clock
        self._tick_ns = self._watched_ns = 0
        self._ignored_stamp_ns: int | None = None
        self._cached: tuple[EndEffectorAction, InferenceStats] | None = None
        self._gripper_command = 1.0
        self._last_arrival_s: float | None = None
        self._is_input_lost = False
        self._hold_reason = self._reported_cause = ''
        self._failure = ''
        self._phase = 'unconfigured'
        self._counters = Counters()
        self._entities: list = []                # (destroy function, entity)
        self._arm: Arm | None = None
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
        p = self.parameters

        def keep(entity, destroy):
            self._entities.append((destroy, entity))
            return entity

        def own(entity):
            return keep(entity, lambda e: e.destroy())

        self._actions = keep(self.create_lifecycle_publisher(
            EndEffectorAction, '~/action', qos.COMMAND_OFFER), self.destroy_lifecycle_publisher)
        self._stats = keep(self.create_lifecycle_publisher(
            InferenceStats, '~/inference_stats', qos.STATISTICS), self.destroy_lifecycle_publisher)
        self._description = keep(self.create_publisher(
            PolicyDescription, '~/policy_description', qos.LATCHED), self.destroy_publisher)
        self._arm = own(Arm(self, p, self._lock))
        self._markers = own(MotionMarkers(self, p)) if p.outputs.markers else None
        uses_state = needs_robot_obs(self._policy)
        self._streams = (*IMAGES, *((JOINTS,) if uses_state else ()),
                         *((SCENE_STATE,) if uses_scene_state(self._policy) else ()),
                         *((POSE,) if uses_state or self._arm.needs_pose else ()))
        pose_age_ns = int(p.inputs.max_pose_age_s * 1e9)
        self._assembler = ObservationAssembler(
            self._streams, int(p.max_observation_age_s * 1e9), int(p.max_stamp_spread_s * 1e9),
            max_ages_ns={name: pose_age_ns for name in self._streams if name not in IMAGES},
            max_ahead_ns=_MAX_AHEAD_NS)
        self._inputs = own(Inputs(self, p, self._streams, self._on_sample,
                                  self._counters.tallies))
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
        if p.trigger == 'timer':
            keep(self.create_timer(1.0 / p.rate_hz, self._on_tick), self.destroy_timer)

    def _publish_description(self) -> None:
        message = messages.description_message(
            {**self._policy.describe(), 'versions': versions()}, to_mapping(self.parameters),
            self._streams)
        message.header.stamp = self.get_clock().now().to_msg()
        self._description.publish(message)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the inference thread; refuse while someone else commands the arm."""
        rival = self._arm.rivals()
        if rival:
            self.get_logger().error(f'cannot activate: {rival}')
            return TransitionCallbackReturn.FAILURE
        result = super().on_activate(state)
        with self._lock:
            self._failure = ''
            self._forget_observations()
            self._worker = PolicyWorker(self._reset, self._infer, self._on_failure,
                                        self._counters.add_replaced)
        self.get_logger().info('active; waiting for an instruction')
        self._progress('active')
        return result

    # ------------------------------------------------------------------ instruction
    def _refuse(self, instruction: str) -> str:
        if self._worker is None:
            return f'the node is not active{": " + self._failure if self._failure else ""}'
        self._counters.refusal = instruction_problem(instruction)
        return self._counters.refusal

    def _begin(self, instruction: str, max_steps: int = 0, max_seconds: float = 0.0) -> None:
        with self._lock:
            if self._worker is None:
                self._goals.finish(OUTCOME.ERROR, 'the node was deactivated', 0)
                return
            now_s = time.monotonic()
            self._session = Session(instruction, max_steps,
                                    now_s + max_seconds if max_seconds else float('inf'))
            if self.parameters.trigger == 'observation':
                # A repeated observation of the previous instruction may still be on its way:
                # ignored once, so that it is not taken for this one's first.
                self._ignored_stamp_ns = self._acted_stamp_ns
                self._forget_observations()
            self._gripper_command = 1.0
            self._last_arrival_s = self._acted_s = now_s
            self._arm.begin()
            if self._markers is not None:
                self._markers.clear()
            self.get_logger().info(f'instruction: {instruction!r}')
            self._worker.submit_reset(instruction)

    def _end(self, outcome: int, reason: str) -> None:
        """End the session and its goal, if it has one."""
        with self._lock:
            session, self._session = self._session, None
            self._hold_reason = ''
            if session is not None:
                self._arm.stop(f'end of the instruction: {NAMES[outcome]}')
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
            self.get_logger().error(f'instruction {instruction!r} refused by the policy: {error}')
            self._end(OUTCOME.ERROR, str(error))

    def _give_up(self, instruction: str, error: InstructionError) -> None:
        """The policy knows that it cannot do this (worker thread); the node stays active."""
        self.get_logger().error(f'instruction {instruction!r} given up: {error}')
        self._end(OUTCOME.FAILED, f'{type(error).__name__}: {error}')

    def _on_instruction(self, message: String) -> None:
        session = self._session
        if self._goals.is_active:
            if session is None or message.data != session.instruction:
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
        session = self._session
        if status.state not in outcomes or session is None or session.first_stamp_ns is None:
            return
        # A judgement made before this goal's first step belongs to the goal before it.
        if messages.ns_from_time(status.header.stamp) > session.first_stamp_ns \
                and self._goals.is_active:
            self._end(outcomes[status.state], status.detail or f'task {status.task!r}')

    # ------------------------------------------------------------------ observe
    def _on_sample(self, stream: str, stamp_ns: int, message) -> None:
        with self._lock:
            if self._assembler.push(stream, stamp_ns, message):
                self._on_time_set_back()
            if stream == POSE:
                self._see_pose(message)
            self._last_arrival_s = time.monotonic()
            self._counters.samples += 1
            if self._is_input_lost:
                self._is_input_lost = False
                self.get_logger().info('observations are back')
            if self.parameters.trigger == 'observation' and self._worker is not None:
                self._act_on_complete_set(stream, stamp_ns)
            if self._worker is None or self._session is None:
                self._inputs.explain('no instruction' if self._worker else 'the node is inactive')

    def _see_pose(self, message) -> None:
        try:
            self._arm.see(messages.pose_from_message(message))
        except DySLVLAError as error:
            self._inputs.problems[POSE] = str(error)

    def _on_time_set_back(self) -> None:
        """Forget what belongs to the time before: observations, and the policy's history."""
        self.get_logger().warning('time was set back; stored observations are dropped')
        self._acted_stamp_ns = self._cached = None
        self._acted_stamps = {}
        self._arm.stop('time was set back')
        if self._session is not None and self._worker is not None \
                and self.parameters.trigger == 'timer':
            self._worker.submit_reset(self._session.instruction)

    def _act_on_complete_set(self, stream: str, stamp_ns: int) -> None:
        assembly = self._assembler.complete()
        if assembly is None or self._session is None:
            return
        if assembly.stamp_ns == self._ignored_stamp_ns:
            self._ignored_stamp_ns = None
            self._assembler.clear()
        elif assembly.stamp_ns != self._acted_stamp_ns:
            self._submit(assembly)
        elif stream == self._streams[0] and stamp_ns == assembly.stamp_ns \
                and self._cached is not None:
            # The observation was sent again: our answer got lost. Same stamp, same action.
            self._counters.resent += 1
            self._arm.repeat()
            self._stats.publish(self._cached[1])
            self._actions.publish(self._cached[0])

    def _on_tick(self) -> None:
        now_ns = self.get_clock().now().nanoseconds
        with self._lock:
            if self._worker is None or self._session is None:
                return
            if now_ns < self._tick_ns:
                self._assembler.clear()
                self._on_time_set_back()
            self._tick_ns = now_ns
            assembly = self._assembler.at(now_ns, self._acted_stamps)
            is_idle = all(s is StreamState.HELD for s in assembly.states.values())
            if not is_idle:
                self._hold_reason = assembly.reason
            if not assembly.is_usable:
                self._counters.dropped += not is_idle
                self._inputs.explain('not aligned, too old or from the future')
            elif self._worker.is_busy:
                self._counters.missed += 1
                self._inputs.explain('the policy was busy')
            else:
                self._submit(assembly)

    def _watch(self) -> None:
        """Ten times a second on the steady clock: what must be noticed when nothing comes."""
        with self._lock:
            session, now_s = self._session, time.monotonic()
            if session is not None and now_s > session.deadline_s:
                self._end(OUTCOME.TIME_LIMIT, 'the time of the goal is over')
            elif session is not None and self._worker is not None \
                    and self.parameters.trigger == 'timer' \
                    and now_s - self._acted_s > self.parameters.max_observation_age_s:
                problems = '; '.join(self._inputs.problems.values())
                self._hold_reason = problems or self._hold_reason or (
                    'the policy is slow' if self._worker.is_busy else
                    'the clock stands still' if self._tick_ns == self._watched_ns else
                    'no new observation')
                self._arm.stop(self._hold_reason)
            self._watched_ns = self._tick_ns
        # A new cause is on /diagnostics at once, not after a second.
        cause = re.sub(r'[0-9.]+', '#', ' '.join((self._hold_reason, self._counters.refusal,
                                                  self._failure, self._arm.blocked)))
        if cause != self._reported_cause:
            self._reported_cause = cause
            self._diagnostics.publish()

    def _submit(self, assembly: Assembly) -> None:
        session = self._session
        if session.first_stamp_ns is None:
            session.first_stamp_ns = assembly.stamp_ns
        self._acted_stamp_ns, self._ignored_stamp_ns, self._cached = assembly.stamp_ns, None, None
        self._acted_stamps = {name: sample.stamp_ns for name, sample in assembly.samples.items()}
        self._inputs.use(assembly)
        self._counters.submitted += 1
        self._worker.submit(Job(assembly, session, self._inputs.arrival_s(assembly),
                                self._gripper_command))

    def _forget_observations(self) -> None:
        self._assembler.clear()
        self._acted_stamp_ns = self._cached = None
        self._acted_stamps = {}

    # ------------------------------------------------------------------ infer (worker thread)
    def _infer(self, job: Job) -> None:
        """Decode, act, limit, publish. An exception on the way publishes nothing."""
        if self._session is not job.session:
            return  # the policy refused the instruction while this observation waited
        samples = job.assembly.samples
        try:
            measured = messages.pose_from_message(samples[POSE].value) if POSE in samples else None
            observation = self._inputs.observation(samples, job.gripper_command,
                                                   job.assembly.stamp_ns)
        except DySLVLAError as error:
            self._refuse_observation(str(error))
            return
        if self._governor is not None:
            set_skip_threshold(self._policy, self._governor.threshold)
        try:
            step = self._policy.act(observation)
        except InstructionError as error:
            if self._session is job.session:
                self._give_up(job.session.instruction, error)
            return
        limited = limit_action(step.action)
        with self._lock:
            session, now_ns = self._session, self.get_clock().now().nanoseconds
            if session is not job.session or self._worker is None:
                self._counters.unsent += 1
                return  # preempted, cancelled or stopped while the policy was thinking
            age_s = max(0, now_ns - job.assembly.stamp_ns) / 1e9
            limit_s = self.parameters.max_observation_age_s
            if self.parameters.trigger == 'timer' and age_s > limit_s:
                self._counters.dropped += 1
                self._counters.unsent += 1
                self.get_logger().warning(
                    f'action dropped: its observation is {age_s:.3f} s old, limit {limit_s} s',
                    throttle_duration_sec=1.0)
                return
            commanded = self._arm.command(limited.action, step.gripper_probability, measured,
                                          job.assembly.stamp_ns)
            action = messages.action_message(commanded.action, job.assembly.stamp_ns,
                                             self.parameters.action_frame, step.index)
            self._actions.publish(action)  # before all that only tells about it
            latency_ms = 1e3 * (time.monotonic() - job.arrival_s)
            stats = messages.stats_message(
                step, job.assembly.stamp_ns, {n: s.stamp_ns for n, s in samples.items()},
                (*limited.reasons, *commanded.reasons), 1e3 * age_s, latency_ms)
            self._publish(session, action, stats)
            if self._governor is not None:
                self._govern(action, latency_ms)
            if self._markers is not None and commanded.pose is not None:
                self._markers.add(commanded.pose, float(step.trace.executed.mean()), now_ns)
            self._gripper_command = float(action.gripper)
            if session.max_steps and session.steps >= session.max_steps:
                self._end(OUTCOME.STEP_LIMIT, f'{session.max_steps} actions sent')

    def _refuse_observation(self, reason: str) -> None:
        """A broken image or pose: nothing is sent, the arm stops, the next one may be good."""
        with self._lock:
            self._counters.dropped += 1
            self._counters.refused += 1
            self._hold_reason = reason
            self._arm.stop(reason)
        self.get_logger().error(f'observation refused: {reason}', throttle_duration_sec=1.0)

    def _govern(self, action: EndEffectorAction, latency_ms: float) -> None:
        if action.gripper != self._gripper_command:
            self._governor.contact_event()
        self._governor.update(latency_ms)

    def _on_full_depth(self, request: SetBool.Request, response: SetBool.Response,
                       ) -> SetBool.Response:
        response.success = self._governor is not None
        if self._governor is not None:
            self._governor.is_full_depth_requested = request.data
        response.message = '' if response.success else 'the governor is off (governor.budget_ms)'
        return response

    # ------------------------------------------------------------------ publish (worker thread)
    def _publish(self, session: Session, action: EndEffectorAction,
                 stats: InferenceStats) -> None:
        self._stats.publish(stats)
        self._cached = action, stats
        self._acted_s, self._hold_reason = time.monotonic(), ''
        session.steps += 1
        self._counters.add(stats)
        self._goals.feedback(session.steps, stats)

    # ------------------------------------------------------------------ report
    def _report_lifecycle(self) -> Report:
        level = Level.ERROR if ': ' in self._phase else Level.OK
        return Report(level, self._phase, {'policy': self._title()})

    def _report_input(self) -> Report:
        if self._arm is None:
            return Report(Level.OK, 'not configured')
        with self._lock:
            session, arrival = self._session, self._last_arrival_s
            silence_s = time.monotonic() - arrival if arrival is not None else float('inf')
            is_lost = session is not None and silence_s > self.parameters.input_timeout_s
            if is_lost and not self._is_input_lost:
                self._is_input_lost = True
                self.get_logger().error(
                    f'no observation for {silence_s:.1f} s; sending nothing until they return')
            health = self._inputs.health(self._assembler, self.get_clock().now().nanoseconds)
            duplicates = self._inputs.duplicates()
            return self._counters.input_report(
                session, self._streams, silence_s, is_lost,
                self._hold_reason or '; '.join(self._inputs.problems.values()) or duplicates,
                health)

    def _report_inference(self) -> Report:
        with self._lock:
            return self._counters.inference_report(
                self._failure, self._worker is not None,
                self._governor if self._arm is not None else None)

    def _report_arm(self) -> Report:
        return self._arm.report() if self._arm is not None else Report(Level.OK, 'not configured')

    # ------------------------------------------------------------------ stop
    def _on_failure(self, error: Exception) -> None:
        """The policy raised (worker thread): say it, send nothing, become inactive."""
        with self._lock:
            self._failure = f'{type(error).__name__}: {error}'
            self._arm.stop(f'policy failed: {self._failure}')
        self.get_logger().error(
            f'the policy failed and the node becomes inactive: {self._failure}\n'
            + ''.join(traceback.format_exception(error)))
        self.executor.create_task(self.trigger_deactivate)

    def _stop(self, reason: str) -> None:
        """The one stop sequence: no new work, no message in flight, then the goal's result."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            with self._lock:
                self._arm.stop(reason)  # at once: the policy may need a while to end
            worker.stop()
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
        self._policy = self._governor = self._arm = None

    def close(self) -> None:
        """End of the process: stop, and say so."""
        self._stop('the node is shutting down')
        self.get_logger().info(f'stopped after {self._counters.steps} steps')


def main(args: list[str] | None = None) -> int:
    """Entry point of ``policy_node``."""
    return run_node(PolicyNode, args)


if __name__ == '__main__':
    sys.exit(main())
