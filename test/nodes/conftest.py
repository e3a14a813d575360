# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Real nodes as real processes on a DDS domain of their own."""

import contextlib
import ctypes
import fcntl
import importlib.util
import itertools
import os
from pathlib import Path
import signal
import subprocess
import sys
import tempfile
import threading

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAKES = ROOT / 'test' / 'fakes'
_COUNTER = itertools.count()
# A hang, not a measure of speed; a crowded machine may give more.
TIMEOUT_S = float(os.environ.get('DYSL_TEST_TIMEOUT_S', '60'))


def _missing():
    for name in ('rclpy', 'dysl_vla_ros.msg'):
        if importlib.util.find_spec(name) is None:
            return f'{name} is missing: run make setup, then scripts/with_ros.sh pytest'
    return ''


def pytest_collection_modifyitems(items):
    reason = _missing()
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.ros)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


class Graph:
    """A node of the test, spun in a thread, that keeps everything it receives."""

    def __init__(self, domain_id):
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        self.domain_id = domain_id
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.node = rclpy.create_node('test_graph', context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._action_clients = []
        self.condition = threading.Condition()
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def listen(self, kind, topic, qos):
        """Subscribe; returns the growing list of messages."""
        received = []

        def store(message):
            with self.condition:
                received.append(message)
                self.condition.notify_all()

        self.node.create_subscription(kind, topic, store, qos)
        return received

    def action_client(self, kind, name):
        """An action client that ends with the graph.

        ``destroy_node`` leaves action clients to the garbage collector, which may run in the
        executor's thread of a later test, after the context is gone.
        """
        from rclpy.action import ActionClient
        client = ActionClient(self.node, kind, name)
        self._action_clients.append(client)
        return client

    def wait(self, predicate, what):
        """Wait until something received makes the predicate true; fail after a minute."""
        with self.condition:
            assert self.condition.wait_for(predicate, TIMEOUT_S), f'timed out waiting for {what}'

    def wait_often(self, predicate, what):
        """Wait for what no message announces; looks fifty times a second."""
        for _ in range(int(TIMEOUT_S * 50)):
            if predicate():
                return
            with self.condition:
                self.condition.wait(0.02)
        raise AssertionError(f'timed out waiting for {what}')

    def result(self, future, what='an answer'):
        """Wait for an rclpy future."""
        def wake(_):
            with self.condition:
                self.condition.notify_all()
        future.add_done_callback(wake)
        self.wait(future.done, what)
        return future.result()

    def call(self, request, what='an answer'):
        """Send an action request on the executor's thread and wait for its answer.

        rclpy's action client registers a request after sending it: from this thread a fast
        answer would now and then be thrown away.
        """
        from rclpy.task import Future
        answer = Future()
        self._executor.create_task(lambda: request().add_done_callback(
            lambda done: answer.set_result(done.result())))
        return self.result(answer, what)

    def close(self):
        import rclpy
        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(5.0)
        for client in self._action_clients:
            client.destroy()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def _die_with_parent():
    """Linux: a killed test session leaves no node behind to answer another session's test."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Node:
    """One of our nodes as a process; its output is read as it comes."""

    def __init__(self, name, domain_id, parameters, environment):
        command = [sys.executable, '-m', f'dysl_vla_ros.nodes.{name}', '--ros-args']
        for key, value in parameters.items():
            command += ['-p', f'{key}:={value}']
        path = os.pathsep.join([str(ROOT), str(FAKES), os.environ.get('PYTHONPATH', '')])
        self.lines = []
        self._condition = threading.Condition()
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd='/',
            preexec_fn=_die_with_parent,
            env={**os.environ, 'PYTHONPATH': path, 'ROS_DOMAIN_ID': str(domain_id),
                 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'OMP_NUM_THREADS': '1',
                 'PYTHONUNBUFFERED': '1', **environment})
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._condition:
                self.lines.append(line)
                self._condition.notify_all()
        with self._condition:
            self._condition.notify_all()

    @property
    def output(self):
        return ''.join(self.lines)

    def wait_for(self, text):
        """Wait until the process has said this."""
        with self._condition:
            assert self._condition.wait_for(
                lambda: text in self.output or self.process.poll() is not None, TIMEOUT_S)
        assert text in self.output, f'{text!r} not said; output:\n{self.output}'

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait(10)

    def stop(self, number=signal.SIGINT):
        """Ask to stop; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(30)
        self._reader.join(5)
        return code


@contextlib.contextmanager
def domain():
    """A ROS domain (1..101) that no other test session on this machine uses."""
    first = os.getpid() + 7 * next(_COUNTER)
    for offset in range(101):
        domain_id = 1 + (first + offset) % 101
        with open(Path(tempfile.gettempdir()) / f'dysl_ros_domain_{domain_id}', 'w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield domain_id
            return
    raise RuntimeError('all ROS domains from 1 to 101 are in use')


@pytest.fixture(scope='module')
def module_domain():
    """A domain for all tests of a module."""
    with domain() as domain_id:
        yield domain_id


@pytest.fixture
def graph():
    with domain() as domain_id:
        graph = Graph(domain_id)
        yield graph
        graph.close()


@pytest.fixture
def launch(graph):
    """launch(name, environment, **parameters) -> Node; everything is ended with the test."""
    nodes = []

    def launch(name, environment=None, **parameters):
        defaults = {'policy_node': {'policy_factory': 'fake_policy:create'},
                    'sim_bridge_node': {'env_factory': 'fake_world:create'}}.get(name, {})
        node = Node(name, graph.domain_id, {**defaults, **parameters}, environment or {})
        nodes.append(node)
        return node

    yield launch
    for node in nodes:
        if node.process.poll() is None:
            node.kill()
