# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The thread on which the policy lives: nobody else touches the policy while it runs."""

from collections.abc import Callable
import threading
import time
from typing import Any

_YIELD_S = 5e-5


class PolicyWorker:
    """Latest-wins mailbox: at most one reset and one observation wait.

    A reset is always done before the observation that was submitted after it, and throws away
    an observation submitted before it. An exception ends the thread after one call of ``failed``.
    """

    def __init__(self, reset: Callable[[str], None], step: Callable[[Any], None],
                 failed: Callable[[Exception], None],
                 dropped: Callable[[], None] = lambda: None) -> None:
        """Start the thread; the first three functions are called on it.

        ``dropped`` is called for every observation thrown away, by whoever caused it.
        """
        self._reset, self._step, self._failed = reset, step, failed
        self._dropped = dropped
        self._condition = threading.Condition()
        self._instruction: str | None = None  # guarded by _condition
        self._job: Any = None                 # guarded by _condition
        self._is_running = True               # guarded by _condition
        self._is_busy = False                 # guarded by _condition
        self._thread = threading.Thread(target=self._run, name='inference', daemon=True)
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether an observation is being processed or waits."""
        with self._condition:
            return self._is_busy or self._job is not None

    def submit_reset(self, instruction: str) -> None:
        """Ask for a reset; an observation that still waits is dropped."""
        with self._condition:
            self._drop()
            self._instruction = instruction
            self._condition.notify()

    def submit(self, job: Any) -> None:
        """Ask for one step; replaces an observation that still waits."""
        with self._condition:
            self._drop()
            self._job = job
            self._condition.notify()
        # Lets go of the interpreter, else the thread that wakes up waits until the caller blocks:
        # rclpy's executor first prepares its next wait, 0.4 ms.
        time.sleep(_YIELD_S)

    def stop(self, timeout_s: float = 30.0) -> bool:
        """Drop what waits, finish what runs, join; return whether the thread has ended."""
        with self._condition:
            self._drop()
            self._is_running, self._instruction = False, None
            self._condition.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _drop(self) -> None:
        if self._job is not None:
            self._job = None
            self._dropped()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: not self._is_running or self._job is not None
                                         or self._instruction is not None)
                if not self._is_running:
                    return
                instruction, self._instruction = self._instruction, None
                job = None
                if instruction is None:
                    job, self._job = self._job, None
                self._is_busy = job is not None
            try:
                if instruction is not None:
                    self._reset(instruction)
                else:
                    self._step(job)
            except Exception as error:  # the edge of the node: logged and turned into a transition
                self._failed(error)
                return
            finally:
                with self._condition:
                    self._is_busy = False
