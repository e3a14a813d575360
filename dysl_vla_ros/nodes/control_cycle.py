# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One control step after another: observe, decide whether to act, infer.

Callbacks only store and judge; the policy runs on its own thread (``worker.py``). Streams are in
``inputs.py``, what leaves in ``step_output.py`` and ``arm.py``; lifecycle and instructions are the
node's (``policy_node.py``).
"""

import time
from typing import Any

from rclpy.lifecycle import LifecycleNode

from dysl_vla_ros.control.governor import ComputeGovernor
from dysl_vla_ros.errors import DySLVLAError, InstructionError
from dysl_vla_ros.nodes import messages
from dysl_vla_ros.nodes.arm import Arm
from dysl_vla_ros.nodes.inputs import IMAGES, JOINTS, POSE, Inputs
from dysl_vla_ros.nodes.parameters import PolicyParameters
from dysl_vla_ros.nodes.policies import needs_robot_obs, set_skip_threshold, uses_scene_state
from dysl_vla_ros.nodes.session import Counters, Hooks, Job, Session
from dysl_vla_ros.nodes.step_output import StepOutput
from dysl_vla_ros.nodes.worker import PolicyWorker
from dysl_vla_ros.observation.assembler import Assembly, ObservationAssembler, StreamState
from dysl_vla_ros.observation.freeze import FreezeWatch
from dysl_vla_ros.observation.messages import SCENE_STATE

_MAX_AHEAD_NS = 100_000_000  # skew between two hosts' clocks that is tolerated
_JUMP_NS = 1_000_000_000     # a step of the clock that is worth a word


class ControlCycle:
    """Everything between the cameras and the arm, for one configuration."""

    def __init__(self, node: LifecycleNode, parameters: PolicyParameters, lock: Any, policy: Any,
                 governor: ComputeGovernor | None, counters: Counters, hooks: Hooks) -> None:
        """Create the entities.

        Raises:
            ConfigError: If bounds are missing, or a package that an arm output needs.
        """
        self._node, self._p, self._lock = node, parameters, lock
        self._policy, self._governor = policy, governor
        self._counters, self._hooks = counters, hooks
        self.session: Session | None = None
        self._worker: PolicyWorker | None = None  # exists while active
        self._acted_stamp_ns: int | None = None   # newest stamp handed to the worker
        self._acted_stamps: dict[str, int] = {}   # and the stamps of all its inputs
        self._acted_s = 0.0                       # when, steady clock
        self._tick_ns = self._watched_ns = 0
        self._ignored_stamp_ns: int | None = None
        self._last_arrival_s: float | None = None
        self.is_input_lost = False
        self.hold_reason = ''
        self.arm = Arm(node, parameters, lock)
        self._output = StepOutput(node, parameters, self.arm, governor, counters)
        uses_state = needs_robot_obs(policy)
        self.streams = (*IMAGES, *((JOINTS,) if uses_state else ()),
                        *((SCENE_STATE,) if uses_scene_state(policy) else ()),
                        *((POSE,) if uses_state or self.arm.needs_pose else ()))
        pose_age_ns = int(parameters.inputs.max_pose_age_s * 1e9)
        self._assembler = ObservationAssembler(
            self.streams, int(parameters.max_observation_age_s * 1e9),
            int(parameters.max_stamp_spread_s * 1e9),
            max_ages_ns={name: pose_age_ns for name in self.streams if name not in IMAGES},
            max_ahead_ns=_MAX_AHEAD_NS)
        self._freeze = FreezeWatch(parameters.inputs.freeze)
        # A frozen camera is told from a still scene by the tool's motion, needed for it or not.
        watched = (POSE,) if parameters.inputs.max_identical_moving else ()
        self._inputs = Inputs(node, parameters, tuple(dict.fromkeys((*self.streams, *watched))),
                              self._on_sample, counters.tallies)
        self._timer = node.create_timer(1.0 / parameters.rate_hz, self._on_tick) \
            if parameters.trigger == 'timer' else None

    @property
    def is_active(self) -> bool:
        """Whether the inference thread exists."""
        return self._worker is not None

    # ------------------------------------------------------------------ start, stop
    def activate(self) -> None:
        """Start the inference thread."""
        with self._lock:
            self._forget_observations()
            self._worker = PolicyWorker(self._hooks.reset, self._infer, self._hooks.failed,
                                        self._counters.add_replaced)

    def deactivate(self, reason: str) -> bool:
        """Stop the arm at once and then the inference thread; return whether there was one."""
        with self._lock:
            worker, self._worker = self._worker, None
            if worker is not None:
                self.arm.stop(reason)  # at once: the policy may need a while to end
        if worker is None:
            return False
        worker.stop()
        return True

    def begin(self, session: Session) -> None:
        """Carry out an instruction from the next observation on."""
        assert self._worker is not None
        self.session = session
        if self._p.trigger == 'observation':
            # A repeated observation of the previous instruction may still be on its way:
            # ignored once, so that it is not taken for this one's first.
            self._ignored_stamp_ns = self._acted_stamp_ns
            self._forget_observations()
        self._last_arrival_s = self._acted_s = time.monotonic()
        self._output.begin()
        self._worker.submit_reset(session.instruction)

    def end(self, reason: str) -> Session | None:
        """Forget the session and stop the arm; return what it was."""
        session, self.session = self.session, None
        self.hold_reason = ''
        if session is not None:
            self.arm.stop(reason)
        return session

    def _forget_observations(self) -> None:
        self._assembler.clear()
        self._forget_acts()

    def _forget_acts(self) -> None:
        self._acted_stamp_ns, self._acted_stamps = None, {}
        self._output.forget()

    def destroy(self) -> None:
        """Remove all entities."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        for entity in (self._inputs, self._output, self.arm):
            entity.destroy()

    # ------------------------------------------------------------------ observe
    def _on_sample(self, stream: str, stamp_ns: int, message: Any) -> None:
        with self._lock:
            if stream in self.streams and self._assembler.push(stream, stamp_ns, message):
                self._on_time_set_back()
            if stream == POSE:
                self._see_pose(stamp_ns, message)
            elif stream in IMAGES and (frozen := self._freeze.image(
                    stream, stamp_ns, message.data)):
                self._hold(frozen)
            self._last_arrival_s = time.monotonic()
            self._counters.samples += 1
            if self.is_input_lost:
                self.is_input_lost = False
                self._node.get_logger().info('observations are back')
            if self._p.trigger == 'observation' and self._worker is not None:
                self._act_on_complete_set(stream, stamp_ns)
            if self._worker is None or self.session is None:
                self._inputs.explain('no instruction' if self._worker else 'the node is inactive')

    def _see_pose(self, stamp_ns: int, message: Any) -> None:
        try:
            pose = messages.pose_from_message(message)
        except DySLVLAError as error:
            self._inputs.problems[POSE] = str(error)
            if POSE in self.streams:
                self._hold(str(error))
        else:
            self.arm.see(pose)
            self._freeze.measured(stamp_ns, pose)

    def _on_time_set_back(self) -> None:
        """Forget what belongs to the time before: observations, and the policy's history."""
        self._node.get_logger().warning('time was set back; stored observations are dropped')
        self._freeze.clear()
        self._forget_acts()
        self.arm.stop('time was set back')
        if self.session is not None and self._worker is not None and self._p.trigger == 'timer':
            self._worker.submit_reset(self.session.instruction)

    def _act_on_complete_set(self, stream: str, stamp_ns: int) -> None:
        assembly = self._assembler.complete()
        if assembly is None or self.session is None:
            return
        if assembly.stamp_ns == self._ignored_stamp_ns:
            self._ignored_stamp_ns = None
            self._assembler.clear()
        elif assembly.stamp_ns != self._acted_stamp_ns:
            self._submit(assembly)
        elif stream == self.streams[0] and stamp_ns == assembly.stamp_ns:
            # The observation was sent again: our answer got lost. Same stamp, same action.
            self._counters.resent += self._output.repeat()

    def _on_tick(self) -> None:
        now_ns = self._node.get_clock().now().nanoseconds
        with self._lock:
            if self._worker is None or self.session is None:
                return
            if now_ns < self._tick_ns:
                self._assembler.clear()
                self._on_time_set_back()
            if self._tick_ns and abs(now_ns - self._tick_ns) > _JUMP_NS:
                self._counters.note_jump(now_ns - self._tick_ns)
            self._tick_ns = now_ns
            self._look_at_deadline()
            if self.session is None:
                return
            assembly = self._assembler.at(now_ns, self._acted_stamps)
            is_idle = all(s is StreamState.HELD for s in assembly.states.values())
            if not is_idle:
                self.hold_reason = self._freeze.problem or assembly.reason
            if not assembly.is_usable or self._freeze.problem:
                self._counters.dropped += not is_idle
                self._inputs.explain((self._freeze.problem and 'a camera is frozen')
                                     or 'not aligned, too old or from the future')
            elif self._worker.is_busy:
                self._counters.missed += 1
                self._inputs.explain('the policy was busy')
            else:
                self._submit(assembly)

    def _look_at_deadline(self) -> None:
        if self.session is not None and time.monotonic() > self.session.deadline_s:
            self._hooks.over('TIME_LIMIT', 'the time of the goal is over')

    def watch(self) -> None:
        """Called often on the steady clock: what must be noticed when nothing comes."""
        with self._lock:
            self._look_at_deadline()
            if self.session is not None and self._worker is not None \
                    and self._p.trigger == 'timer' \
                    and time.monotonic() - self._acted_s > self._p.max_observation_age_s:
                self.hold_reason = self._problems() or self.hold_reason or (
                    'the policy is slow' if self._worker.is_busy else
                    'the clock stands still' if self._tick_ns == self._watched_ns else
                    'no new observation')
                self.arm.stop(self.hold_reason)
            self._watched_ns = self._tick_ns

    def _problems(self) -> str:
        return '; '.join(filter(None, (self._freeze.problem, *self._inputs.problems.values())))

    def _submit(self, assembly: Assembly[Any]) -> None:
        session = self.session
        assert session is not None
        assert self._worker is not None
        if session.first_stamp_ns is None:
            session.first_stamp_ns = assembly.stamp_ns
        self._acted_stamp_ns, self._ignored_stamp_ns = assembly.stamp_ns, None
        self._output.forget()
        self._acted_stamps = {name: sample.stamp_ns for name, sample in assembly.samples.items()}
        self._inputs.use(assembly)
        self._counters.submitted += 1
        self._worker.submit(Job(assembly, session, self._inputs.arrival_s(assembly),
                                self._output.gripper_command))

    # ------------------------------------------------------------------ infer (worker thread)
    def _infer(self, job: Job) -> None:
        """Decode, act, limit, publish."""
        if self.session is not job.session:
            self._counters.add_replaced()
            return  # the policy refused the instruction while this observation waited
        samples = job.assembly.samples
        try:
            if frozen := self._freeze.problem:
                raise DySLVLAError(frozen)
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
            self._counters.refused += 1
            if self.session is job.session:
                self._hooks.gave_up(job.session.instruction, error)
            return
        with self._lock:
            if reason := self._why_not_sent(job):
                self._output.hold_back(step, job, reason)
                return
            try:
                commanded, stats = self._output.send(step, job, measured)
            except Exception as error:
                self._output.hold_back(step, job, f'{type(error).__name__}: {error}')
                raise
            self._acted_s, self.hold_reason = time.monotonic(), ''
            self._freeze.commanded(job.assembly.stamp_ns, commanded.action)
            session = job.session
            session.steps += 1
            self._hooks.published(session, stats)
            if session.max_steps and session.steps >= session.max_steps:
                self._hooks.over('STEP_LIMIT', f'{session.max_steps} actions sent')

    def _why_not_sent(self, job: Job) -> str:
        """Why an action comes too late, or ''."""
        if self._worker is None:
            return 'the node was stopped while the policy was thinking'
        if self.session is not job.session:
            return 'the instruction ended while the policy was thinking'
        if frozen := self._freeze.problem:
            return frozen
        age_s, limit_s = self._output.age_s(job), self._p.max_observation_age_s
        if self._p.trigger == 'timer' and age_s > limit_s:
            return f'the observation is {age_s:.3f} s old, limit {limit_s} s'
        return ''

    def _refuse_observation(self, reason: str) -> None:
        """A broken image or pose: nothing is sent, the arm stops, the next one may be good."""
        with self._lock:
            self._counters.dropped += 1
            self._counters.refused += 1
            self._hold(reason)

    def _hold(self, reason: str) -> None:
        self.hold_reason = reason
        self.arm.stop(reason)
        self._node.get_logger().error(f'observation refused: {reason}',
                                      throttle_duration_sec=1.0)

    # ------------------------------------------------------------------ report
    def silence_s(self) -> float:
        """Wall time since anything arrived."""
        arrival = self._last_arrival_s
        return time.monotonic() - arrival if arrival is not None else float('inf')

    def trouble(self) -> str:
        """What is wrong with the inputs now, or ''."""
        return self.hold_reason or self._problems() or self._inputs.duplicates()

    def health(self) -> dict[str, object]:
        """Rate, age and counters of every stream, for diagnostics (1 Hz)."""
        return self._inputs.health(self._assembler, self._node.get_clock().now().nanoseconds)
