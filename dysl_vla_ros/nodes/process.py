# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Run one node as a process: spin, stop on SIGINT or SIGTERM, leave with an honest exit code."""

from collections import deque
from collections.abc import Callable
import signal
import sys
import threading
import time
import traceback
from typing import Any, Protocol

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from dysl_vla_ros.errors import DySLVLAError


class ClosableNode(Protocol):
    """A node that can stop everything it started."""

    exit_code: int

    def get_logger(self) -> Any:
        """Logger of the node (rclpy)."""

    def start(self) -> None:
        """Begin work; called once, after the executor runs."""

    def close(self) -> None:
        """Stop and join every thread, send nothing afterwards; called once."""

    def destroy_node(self) -> None:
        """Free the node (rclpy)."""


_MANY = 10
_recent: deque[float] = deque(maxlen=_MANY)  # when callbacks failed, steady clock


def _survive(node: ClosableNode, error: Exception) -> None:
    """Log an exception of a callback and go on: a request must not end an arm's process.

    rclpy lets it end the executor; among the causes are requests of others that we never see,
    such as a lifecycle transition that is not possible now, or a negative /clock.
    """
    text = ''.join(traceback.format_exception(error))
    node.get_logger().error(f'a callback failed and is skipped: {error}\n{text}')
    getattr(node, 'callback_failed', lambda error: None)(error)
    _recent.append(time.monotonic())
    if len(_recent) == _MANY and _recent[-1] - _recent[0] < 1.0:
        raise error


def run_node(create: Callable[[threading.Event], ClosableNode],
             args: list[str] | None = None) -> int:
    """Create a node, run it until a signal or until it sets the event, and return its code.

    rclpy's own signal handlers are not used: they shut the context down at once, and then no
    last status could be sent. The executor spins in a thread of its own, because Python runs
    signal handlers in the main thread only, and a spinning main thread sits in C code.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    node, code = None, 0
    executor = SingleThreadedExecutor()
    failures: list[BaseException] = []

    def spin() -> None:
        try:
            while not stop.is_set() and rclpy.ok():
                try:
                    executor.spin()
                except ExternalShutdownException:
                    return
                except Exception as error:
                    _survive(node, error)
        except BaseException as error:
            failures.append(error)
            raise
        finally:
            stop.set()

    spinner = threading.Thread(target=spin, name='executor')
    try:
        node = create(stop)
        executor.add_node(node)
        spinner.start()
        node.start()
        stop.wait()
    except DySLVLAError as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        code = 1
    finally:
        if node is not None:
            node.close()
        executor.shutdown(timeout_sec=2.0)
        if spinner.ident is not None:
            spinner.join(timeout=5.0)
        if node is not None:
            code = code or node.exit_code
            node.destroy_node()
        rclpy.try_shutdown()
    return 1 if failures else code
