# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The thread that owns the simulated world and runs episodes, in lockstep or live.

Plain sequential code: reset, ask the policy for a goal, then observe - act - judge until the
subtask is decided. If the policy is lost, the episode starts again from its reset as soon as
the policy takes a goal, and the episode's ``interrupted`` counter grows; a half-done episode is
never scored.
"""

from collections.abc import Callable
import threading
import time
from typing import Any

import numpy as np
from rclpy.impl.rcutils_logger import RcutilsLogger

from dysl_vla_ros.control.action_spec import CONTROL_RATE_HZ
from dysl_vla_ros.evaluation.episode import EpisodeRunner, EpisodeSpec, StepOutcome
from dysl_vla_ros.msg import EndEffectorAction, TaskStatus
from dysl_vla_ros.nodes import messages
from dysl_vla_ros.nodes.arm_inputs import ArmInputs
from dysl_vla_ros.nodes.episode_state import Counters, GivenUp, Interrupted, Pace, PolicyLost
from dysl_vla_ros.nodes.parameters import BridgeParameters
from dysl_vla_ros.nodes.policy_client import PolicyClient
from dysl_vla_ros.nodes.world_publisher import SimulatedTime, WorldPublisher

_STATS_TIMEOUT_S = 1.0
_STATUS_EVERY = 30
_REPORT_EVERY_S = 5.0


class EpisodeDriver:
    """Runs episodes on its own thread; every other object calls ``request`` and ``stop`` only."""

    def __init__(self, parameters: BridgeParameters, world: Callable[[], tuple[Any, Any]],
                 client: PolicyClient, arm: ArmInputs | None, publisher: WorldPublisher,
                 logger: RcutilsLogger, suite: list[EpisodeSpec], recorder: Any,
                 done: Callable[[bool], None]) -> None:
        """Prepare; ``start`` begins.

        Args:
            parameters: The bridge's.
            world: Creates (environment, oracle) on the thread that will use them.
            client: The policy.
            arm: Twist or pose inputs that move the arm instead of the policy's action, or None.
            publisher: Topics.
            logger: The node's.
            suite: Episodes to run first, in order.
            recorder: Gets begin(spec), step(...), end(results); or None.
            done: Called once with True after the suite, or with False if the thread failed.
        """
        self._p, self._create_world, self._client, self._arm = parameters, world, client, arm
        self._topics, self._log, self._done = publisher, logger, done
        self._suite, self._recorder = suite, recorder
        self.counters = Counters()
        self.results: list[dict[str, Any]] = []
        self._env: Any = None
        self._is_world_used = False
        self._time = SimulatedTime()
        self._is_running_suite = bool(suite)
        self._requests: list[tuple[EpisodeSpec, threading.Event]] = []  # guarded by the GIL
        self._is_stopping = False
        self._status: dict[str, Any] = {}
        self._gripper = 1.0
        self._applied_stamp_ns = 0
        self._pace = Pace(1.0 / CONTROL_RATE_HZ, self.counters)
        self._reported_s = 0.0
        self._thread = threading.Thread(target=self._run, name='episodes', daemon=True)

    @property
    def now_ns(self) -> int:
        """Simulated time."""
        return self._time.now_ns

    @property
    def is_running_suite(self) -> bool:
        """Whether episodes of the suite are left: a stray request must not touch their scores."""
        return self._is_running_suite

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float = 20.0) -> None:
        """Stop at the next step and join; nothing is published afterwards."""
        self._is_stopping = True
        self._client.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def request(self, spec: EpisodeSpec, timeout_s: float = 30.0) -> bool:
        """Ask for an episode now; returns whether its start state was reached in time."""
        started = threading.Event()
        self._requests.append((spec, started))
        self._client.notify()
        return started.wait(timeout_s)

    # ------------------------------------------------------------------ the thread
    def _run(self) -> None:
        succeeded = False
        try:
            self._renew_world()
            self._log.info(f'world ready, mode {self._p.mode}, {len(self._suite)} episode(s)')
            for spec in self._suite:
                self.results.append(self._run_episode(spec))
            self._is_running_suite = False
            if self._suite:
                self._announce(TaskStatus.FINISHED, f'{len(self._suite)} episodes')
                succeeded = True
                self._done(True)
            self._serve_requests()
        except Interrupted:
            pass
        except Exception as error:
            import traceback
            self._log.error(f'the simulation stopped: {error}\n{traceback.format_exc()}')
            self.counters.state = f'failed: {error}'
            if not succeeded:
                self._done(False)
        finally:
            self._is_running_suite = False
            if self._recorder is not None:
                self._recorder.discard()  # an interrupted attempt leaves nothing
            if self._env is not None:
                self._env.close()

    def _renew_world(self) -> None:
        """Build a fresh world.

        A reset alone leaves traces in the physics engine, and an episode must not depend on the
        ones before it (``evaluation/inprocess.py`` does the same).
        """
        if self._env is not None:
            self._env.close()
        self._env, oracle = self._create_world()
        self._runner = EpisodeRunner(self._env, oracle)
        self._is_world_used = False

    def _serve_requests(self) -> None:
        """Idle until an episode is asked for by hand."""
        self.counters.state = 'idle'
        while True:
            try:
                if not self._requests:
                    self._idle(0.1)
                    continue
            except Interrupted:
                if self._is_stopping:
                    raise
            spec, started = self._requests.pop(0)
            try:
                self._run_episode(spec, started)
            except Interrupted:
                if self._is_stopping:
                    raise

    def _run_episode(self, spec: EpisodeSpec,
                     started: threading.Event | None = None) -> dict[str, Any]:
        interrupted = 0
        while True:
            try:
                return self._attempt(spec, interrupted, started)
            except PolicyLost as error:
                interrupted += 1
                self.counters.lost += 1
                self.counters.is_policy_lost = True
                self._status['interrupted'] = interrupted
                self._log.error(f'policy lost: {error}; no step is made, episode '
                                f'{spec.episode_id} restarts when the policy returns')
                self._announce(TaskStatus.POLICY_LOST, str(error))

    def _attempt(self, spec: EpisodeSpec, interrupted: int,
                 started: threading.Event | None) -> dict[str, Any]:
        """One try of an episode, from its reset."""
        if self._is_world_used:
            self._renew_world()
        self._is_world_used = True
        self._observation = self._runner.start(spec)
        robot_obs = np.asarray(self._observation['robot_obs'])
        self._gripper = 1.0 if robot_obs[-1] >= 0 else -1.0
        if self._arm is not None:
            self._arm.start(robot_obs, self._gripper)
        self._time.advance()
        if self._recorder is not None:
            self._recorder.begin(spec)
        if started is not None:
            started.set()
        succeeded = 0
        for index, subtask in enumerate(spec.subtasks):
            self._status = {
                'episode_id': spec.episode_id, 'task': subtask.task,
                'instruction': subtask.instruction, 'subtask_index': index,
                'subtask_count': len(spec.subtasks), 'max_steps': spec.max_steps,
                'succeeded': succeeded, 'interrupted': interrupted, 'step': 0}
            outcome = self._run_subtask(index, subtask, spec.max_steps)
            has_succeeded = outcome is not StepOutcome.EPISODE_FAILED
            succeeded += has_succeeded
            self._log.info(f'{spec.episode_id} {index + 1}/{len(spec.subtasks)} {subtask.task}: '
                           f'{"success" if has_succeeded else "failure"} after '
                           f'{self._status["step"]} steps')
            if not has_succeeded:
                break
        self.counters.episodes += 1
        result = self._runner.summary(interrupted)
        if self._recorder is not None:
            self._recorder.end(result)
        return result

    def _run_subtask(self, index: int, subtask: Any, max_steps: int) -> StepOutcome:
        goal = self._client.start_goal(subtask.instruction, 0, self._idle, self._report_waiting)
        if self.counters.is_policy_lost:
            self.counters.is_policy_lost = False
            self._log.info('the policy is back')
        self._topics.instruction(subtask.instruction)
        self.counters.state = f'running {subtask.task}'
        self._announce(TaskStatus.RUNNING)
        self._answered_s = time.monotonic()
        outcome, detail = StepOutcome.CONTINUE, ''
        try:
            while outcome is StepOutcome.CONTINUE:
                message = self._exchange() if self._p.mode == 'lockstep' else self._tick()
                command, action = self._command(message)
                seen, self._gripper = self._observation, float(action[6])
                outcome = self._runner.apply(command)
                self._observation = self._runner.observation
                self._time.advance()
                self._status['step'] += 1
                self.counters.steps += 1
                self._record(index, seen, action, message)
                if self._status['step'] % _STATUS_EVERY == 0:
                    self._announce(TaskStatus.RUNNING)
        except GivenUp as error:
            outcome, detail = self._runner.give_up(str(error)), str(error)
            self._log.warning(f'{subtask.task}: {error}')
        except Interrupted:
            self._client.cancel(goal)
            raise
        has_failed = outcome is StepOutcome.EPISODE_FAILED
        self._announce(TaskStatus.FAILED if has_failed else TaskStatus.SUCCEEDED, detail)
        if self._p.mode == 'lockstep':
            self._client.result(self._idle)  # the goal has ended before the next one
        return outcome

    # ------------------------------------------------------------------ lockstep
    def _exchange(self) -> EndEffectorAction:
        """Publish the observation until its action arrives; the world stands still meanwhile."""
        stamp_ns = self._time.now_ns
        begin = time.monotonic()
        while True:
            self._topics.clock(stamp_ns)
            self._show(stamp_ns)
            self._client.sleep(lambda: self._is_interrupted() or bool(self._client.given_up())
                               or self._client.action(stamp_ns) is not None, self._p.republish_s)
            self._raise_if_interrupted()
            self._raise_if_given_up()
            message = self._client.action(stamp_ns)
            if message is not None and self._arm is not None:
                # The action says that the step is done; its command may be a moment behind.
                self._client.sleep(lambda: self._is_interrupted() or self._arm.has(stamp_ns),
                                   self._p.republish_s)
                self._raise_if_interrupted()
            if message is not None and (self._arm is None or self._arm.has(stamp_ns)):
                if message.step != self._status['step']:
                    raise PolicyLost(f'it answered as step {message.step} where step '
                                     f'{self._status["step"]} was due; it has been restarted')
                return message
            waited_s = time.monotonic() - begin
            if waited_s > self._p.policy_timeout_s:
                raise PolicyLost(f'no action for {waited_s:.1f} s')
            self.counters.republished += 1

    # ------------------------------------------------------------------ live
    def _tick(self) -> EndEffectorAction | None:
        """Publish the observation at 30 Hz and return a fresh action, once each, or None."""
        self._show_live()
        self._sleep_until_next_tick()
        self._raise_if_given_up()
        message = self._client.newest_action()
        now_s = time.monotonic()
        if message is not None:
            stamp_ns = messages.ns_from_time(message.header.stamp)
            if stamp_ns > self._applied_stamp_ns:
                self._applied_stamp_ns = stamp_ns
                self._answered_s = now_s
                if self._time.now_ns - stamp_ns <= self._p.max_action_age_s * 1e9:
                    self._client.judge()
                    return message
                self._client.judge('too old')
                self.counters.stale += 1
        if now_s - self._answered_s > self._p.policy_timeout_s:
            raise PolicyLost(f'no action for {now_s - self._answered_s:.1f} s')
        self.counters.held += 1
        return None

    def _show_live(self) -> None:
        # Images before the clock: a policy that ticks with /clock then finds them there.
        self._show(self._time.now_ns)
        self._topics.clock(self._time.now_ns)

    def _show(self, stamp_ns: int) -> None:
        scene = None
        if self._p.publish_scene_state:
            from dysl_vla_ros.sim.expert import scene_state
            scene = scene_state(self._env, self._observation)
        self._topics.observation(self._observation, stamp_ns, scene)

    def _command(self, message: EndEffectorAction | None) -> tuple[Any, np.ndarray]:
        """What the environment executes, and the same as a relative action (7,)."""
        if self._arm is not None:
            return self._arm.advance(self._time.now_ns, self._p.mode == 'lockstep')
        action = self._hold() if message is None else messages.action_from_message(message)
        return action, action

    def _hold(self) -> np.ndarray:
        """The zero action: stay, and keep the gripper as it is."""
        return np.array([0.0, 0, 0, 0, 0, 0, self._gripper])

    def _sleep_until_next_tick(self) -> None:
        wait_s = self._pace.next_wait(time.monotonic())
        self._client.sleep(self._is_interrupted, wait_s)
        self._raise_if_interrupted()

    # ------------------------------------------------------------------ waiting, reporting
    def _idle(self, seconds: float) -> None:
        """Let time pass without an action: live goes on holding, lockstep stands still."""
        self._raise_if_interrupted()
        if self._p.mode == 'live' and getattr(self, '_observation', None) is not None:
            self._show_live()
            self._sleep_until_next_tick()
            hold = self._arm.hold() if self._arm is not None else self._hold()
            self._observation = self._env.step(hold)[0]
            self._time.advance()
            return
        self._topics.clock(self._time.now_ns)
        self._client.sleep(self._is_interrupted, seconds)
        self._raise_if_interrupted()

    def _is_interrupted(self) -> bool:
        return self._is_stopping or bool(self._requests)

    def _raise_if_interrupted(self) -> None:
        if self._is_interrupted():
            raise Interrupted

    def _raise_if_given_up(self) -> None:
        if reason := self._client.given_up():
            raise GivenUp(reason)

    def _report_waiting(self, reason: str) -> None:
        self.counters.state = f'waiting: {reason}'
        now_s = time.monotonic()
        if now_s - self._reported_s > _REPORT_EVERY_S:
            self._reported_s = now_s
            self._log.warning(f'waiting for the policy: {reason}')
            self._announce(TaskStatus.POLICY_LOST, reason)

    def _announce(self, state: int, detail: str = '') -> None:
        self._topics.status(self._time.now_ns, state=state, detail=detail, **self._status)

    def _record(self, index: int, observation: dict, action: np.ndarray,
                message: EndEffectorAction | None) -> None:
        if self._recorder is None:
            return
        stats = None
        if message is not None:
            cause_ns = messages.ns_from_time(message.header.stamp)
            if self._p.mode == 'lockstep':
                self._client.sleep(lambda: self._is_stopping or
                                   self._client.stats(cause_ns) is not None, _STATS_TIMEOUT_S)
            stats = self._client.stats(cause_ns)
            self.counters.missing_stats += stats is None
        self._recorder.step(index, observation, action,
                            messages.stats_to_dict(stats) if stats is not None else None)
