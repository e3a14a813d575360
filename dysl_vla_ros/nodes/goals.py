# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ``ExecuteInstruction`` action server: who owns the instruction, and how a goal ends.

A goal is not executed by a blocking callback. The accepted handle is kept, and executed when
its outcome is known: so one executor thread is enough, and no thread waits.
"""

from collections.abc import Callable
import threading

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node

from dysl_vla_ros.action import ExecuteInstruction
from dysl_vla_ros.msg import InferenceStats

OUTCOME = ExecuteInstruction.Result
NAMES = {getattr(OUTCOME, name): name for name in (
    'SUCCEEDED', 'FAILED', 'STEP_LIMIT', 'CANCELED', 'PREEMPTED', 'ERROR', 'TIME_LIMIT')}


class InstructionServer:
    """Serves ``~/execute_instruction``; at most one goal runs, a newer one preempts it."""

    def __init__(self, node: Node, refuse: Callable[[str], str],
                 begin: Callable[[str, int, float], None],
                 stopped: Callable[[int, str], None],
                 refused: Callable[[str], None] = lambda reason: None) -> None:
        """Serve goals.

        Args:
            node: Owner.
            refuse: Instruction -> reason to refuse it, or ''.
            begin: Called with (instruction, step limit, limit in seconds) when a goal is accepted.
            refused: Called with the reason when the goal itself is wrong.
            stopped: Called with (outcome, reason) when the client ends the goal.
        """
        self._node, self._refuse, self._begin, self._stopped = node, refuse, begin, stopped
        self._refused = refused
        self._lock = threading.Lock()
        self._handle: ServerGoalHandle | None = None  # guarded by _lock
        self._server = ActionServer(
            node, ExecuteInstruction, '~/execute_instruction', execute_callback=self._unreachable,
            goal_callback=self._on_goal, handle_accepted_callback=self._on_accepted,
            cancel_callback=self._on_cancel)

    @property
    def is_active(self) -> bool:
        """Whether a goal runs."""
        return self._handle is not None

    def feedback(self, steps: int, stats: InferenceStats) -> None:
        """Tell the running goal's client about a step."""
        handle = self._handle
        if handle is not None:
            handle.publish_feedback(ExecuteInstruction.Feedback(step=steps, stats=stats))

    def finish(self, outcome: int, reason: str, steps: int) -> bool:
        """End the running goal; returns False when there is none. Any thread may call it."""
        with self._lock:
            handle, self._handle = self._handle, None
        if handle is None:
            return False
        result = ExecuteInstruction.Result(outcome=outcome, reason=reason, steps=steps)

        def conclude(goal: ServerGoalHandle) -> ExecuteInstruction.Result:
            if goal.is_cancel_requested:
                goal.canceled()
            elif outcome == OUTCOME.SUCCEEDED:
                goal.succeed()
            else:
                goal.abort()
            return result

        handle.execute(conclude)
        return True

    def destroy(self) -> None:
        """Remove the server."""
        self._server.destroy()

    # ------------------------------------------------------------------ callbacks (executor)
    def _on_goal(self, request: ExecuteInstruction.Goal) -> GoalResponse:
        reason = self._refuse(request.instruction)
        if not reason and not 0 <= request.max_seconds < float('inf'):
            reason = f'max_seconds is {request.max_seconds}, expected 0 or more'
            self._refused(reason)
        if reason:
            self._node.get_logger().warning(
                f'goal {request.instruction[:200]!r} refused: {reason}')
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _on_accepted(self, handle: ServerGoalHandle) -> None:
        if self.is_active:
            self._stopped(OUTCOME.PREEMPTED, 'a newer goal took over')
        # The handle first: the reset may fail at once, on the worker's thread, and must find it.
        # rclpy has already told the client; no observation sent since then can be handled before
        # this callback ends, because one thread runs all callbacks.
        with self._lock:
            self._handle = handle
        request = handle.request
        self._begin(request.instruction, request.max_steps, request.max_seconds)

    def _on_cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        if self._handle is None or handle.goal_id != self._handle.goal_id:
            return CancelResponse.REJECT
        self._stopped(OUTCOME.CANCELED, 'cancelled by the client')
        return CancelResponse.ACCEPT

    def _unreachable(self, handle: ServerGoalHandle) -> ExecuteInstruction.Result:
        raise AssertionError('goals are concluded by finish()')
