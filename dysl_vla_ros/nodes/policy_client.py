# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The bridge's side of the policy: goals out, actions and statistics in.

Callbacks store; every method that waits is called from the episode's thread and waits in short
pieces through a function of the caller, so that a stop is never more than a moment away.
"""

from collections.abc import Callable, Mapping
import threading
import time

from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.node import Node
from rclpy.task import Future

from dysl_vla_ros.action import ExecuteInstruction
from dysl_vla_ros.msg import EndEffectorAction, InferenceStats
from dysl_vla_ros.nodes import messages, qos
from dysl_vla_ros.nodes.tally import Tally
from dysl_vla_ros.observation.messages import was_sent

_ANSWER_TIMEOUT_S = 2.0
_CANCEL_TIMEOUT_S = 0.5
_PIECE_S = 0.02
_KEPT = 32


class PolicyClient:
    """One policy node, named by its ExecuteInstruction action."""

    def __init__(self, node: Node, action_name: str) -> None:
        """Create the entities; ``action_name`` is ``<node>/execute_instruction``."""
        base = action_name.rsplit('/', 1)[0]
        self._node = node
        self._condition = threading.Condition()
        self._actions: dict[int, EndEffectorAction] = {}  # by stamp, newest last; guarded
        self._stats: dict[int, InferenceStats] = {}       # by stamp, newest last; guarded
        self._result: Future | None = None                # of the goal that runs
        self.tally = Tally()  # guarded; unused actions by reason in live mode
        self._client = ActionClient(node, ExecuteInstruction, action_name)
        node.create_subscription(EndEffectorAction, f'{base}/action', self._on_action, qos.COMMAND)
        node.create_subscription(InferenceStats, f'{base}/inference_stats', self._on_stats,
                                 qos.STATISTICS)

    # ------------------------------------------------------------------ goals
    def start_goal(self, instruction: str, max_steps: int, idle: Callable[[float], None],
                   report: Callable[[str], None]) -> ClientGoalHandle:
        """Send a goal until the policy accepts it.

        Args:
            instruction: The sentence.
            max_steps: Step limit of the goal.
            idle: Waits for about the given seconds; may raise to give up.
            report: Told, again and again, why there is no goal yet.
        """
        while True:
            if not self._client.server_is_ready():
                report('the policy node is not there')
                idle(_PIECE_S)
                continue
            goal = ExecuteInstruction.Goal(instruction=instruction, max_steps=max_steps)
            future = self._send(lambda goal=goal: self._client.send_goal_async(goal))
            if not self.wait(future, _ANSWER_TIMEOUT_S, idle):
                report('the policy node does not answer')
            elif future.result() is not None and future.result().accepted:
                with self._condition:
                    self.tally.explain('between two instructions')
                    self._actions.clear()
                    self._stats.clear()
                self._result = self._send(future.result().get_result_async)
                self._result.add_done_callback(lambda _: self.notify())
                return future.result()
            else:
                report('the policy node refuses the goal; is it active?')
                idle(0.5)

    def cancel(self, goal: ClientGoalHandle) -> None:
        """Ask to cancel; waits a moment, or a process that ends now would not have asked."""
        answer = self._send(goal.cancel_goal_async)
        answer.add_done_callback(lambda _: self.notify())
        self.sleep(answer.done, _CANCEL_TIMEOUT_S)

    def given_up(self) -> str:
        """Why the policy has ended the running goal as failed by itself, or ''."""
        future = self._result
        if future is None or not future.done():
            return ''
        result = future.result().result
        return result.reason if result.outcome == ExecuteInstruction.Result.FAILED else ''

    def result(self, idle: Callable[[float], None]) -> ExecuteInstruction.Result | None:
        """Wait for the goal's result, or None when none comes."""
        future = self._result
        if future is None or not self.wait(future, _ANSWER_TIMEOUT_S, idle):
            return None
        return future.result().result

    def _send(self, request: Callable[[], Future]) -> Future:
        """Send a request on the executor's thread.

        rclpy's action client registers a request after sending it; from another thread, a fast
        answer can arrive in between and is thrown away as unexpected.
        """
        answer = Future()

        def send() -> None:
            request().add_done_callback(lambda done: answer.set_result(done.result()))

        self._node.executor.create_task(send)
        return answer

    def wait(self, future: Future, timeout_s: float, idle: Callable[[float], None]) -> bool:
        """Wait for an rclpy future in pieces."""
        future.add_done_callback(lambda _: self.notify())
        deadline = time.monotonic() + timeout_s
        while not future.done() and time.monotonic() < deadline:
            idle(_PIECE_S)
        return future.done()

    # ------------------------------------------------------------------ actions
    def action(self, stamp_ns: int) -> EndEffectorAction | None:
        """Return the action for this observation if it has arrived."""
        with self._condition:
            return self._actions.get(stamp_ns)

    def newest_action(self) -> EndEffectorAction | None:
        """Return the action with the newest observation stamp."""
        with self._condition:
            return self._actions[max(self._actions)] if self._actions else None

    def judge(self, reason: str = '') -> None:
        """The newest action moves the arm, or does not for this reason."""
        with self._condition:
            if reason:
                self.tally.explain(reason)
            else:
                self.tally.use()

    def stats(self, stamp_ns: int) -> InferenceStats | None:
        """Return the statistics for this observation if they have arrived."""
        with self._condition:
            return self._stats.get(stamp_ns)

    def sleep(self, predicate: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until something arrives and ``predicate`` holds, at most ``timeout_s``."""
        with self._condition:
            return self._condition.wait_for(predicate, timeout_s)

    def notify(self) -> None:
        """Wake a sleeper, so that it looks at its predicate again."""
        with self._condition:
            self._condition.notify_all()

    # ------------------------------------------------------------------ callbacks (executor)
    def _on_action(self, message: EndEffectorAction, info: Mapping[str, int]) -> None:
        with self._condition:
            self.tally.receive(info, 'a newer one came first')
        self._store(self._actions, message)

    def _on_stats(self, message: InferenceStats) -> None:
        if was_sent(message):  # else it explains why this observation has no action
            self._store(self._stats, message)

    def _store(self, kept: dict, message) -> None:
        with self._condition:
            kept[messages.ns_from_time(message.header.stamp)] = message
            while len(kept) > _KEPT:
                del kept[next(iter(kept))]
            self._condition.notify_all()
