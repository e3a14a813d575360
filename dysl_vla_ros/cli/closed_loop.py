# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Run a suite over ROS: policy node and simulation bridge as two operating-system processes.

This module starts, watches and stops them; it takes part in no message. Finished episodes are
seen in the results folder, so progress costs the loop nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
import importlib.util
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time
from typing import IO

from dysl_vla_ros.errors import ConfigError, SimulationError
from dysl_vla_ros.evaluation.recording import finished_episodes

_POLL_S = 0.5
_STOP_TIMEOUT_S = 20.0
_TAIL_LINES = 30
Parameters = Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class ClosedLoop:
    """One evaluation over ROS.

    Attributes:
        folder: Results folder; logs go to ``policy_node.log`` and ``sim_bridge_node.log`` in it.
        suite: Suite file.
        policy: Parameters of policy_node.
        bridge: Parameters of sim_bridge_node, beyond suite, results_dir and exit_when_done.
        record_bag: New folder for a bag of all topics, or None.
    """

    folder: Path
    suite: Path
    policy: Parameters
    bridge: Parameters
    record_bag: Path | None = None

    def run(self, progress: Callable[[list[str], str], None] | None = None) -> None:
        """Run the suite to its end.

        Args:
            progress: Called about twice a second with the ids of finished episodes and the
                bridge's latest line.

        Raises:
            ConfigError: If rclpy or the interfaces are missing.
            SimulationError: If a process ends early; quotes the end of its log.
        """
        prefix = ros_prefix()
        environment = process_environment()
        bridge_parameters = {**self.bridge, 'suite': str(self.suite.resolve()),
                             'results_dir': str(self.folder.resolve()), 'exit_when_done': True}
        nodes: list[NodeProcess] = []
        try:
            if self.record_bag is not None:
                # It must listen before the first message is sent.
                nodes.append(NodeProcess(
                    'bag_recorder_node', prefix + command(
                        'bag_recorder_node', {'bag': str(self.record_bag.resolve())}),
                    environment, self.folder / 'bag_recorder_node.log'))
                nodes[-1].wait_for('recording')
            for name, parameters in (('policy_node', self.policy),
                                     ('sim_bridge_node', bridge_parameters)):
                nodes.append(NodeProcess(name, prefix + command(name, parameters), environment,
                                   self.folder / f'{name}.log'))
            policy, bridge = nodes[-2:]
            while (code := bridge.process.poll()) is None:
                if policy.process.poll() is not None:
                    raise SimulationError(policy.ended())
                if progress is not None:
                    progress(finished_episodes(self.folder), bridge.last_line)
                time.sleep(_POLL_S)
            if code != 0:
                raise SimulationError(bridge.ended())
            if progress is not None:
                progress(finished_episodes(self.folder), bridge.last_line)
        finally:
            for node in nodes:
                node.interrupt()
            for node in nodes:
                node.wait()


def process_environment() -> dict[str, str]:
    """Environment of the nodes: a DDS domain of their own, on this machine only."""
    environment = {**os.environ, 'PYTHONUNBUFFERED': '1'}
    # Two runs on one machine must not hear each other.
    environment.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 101))
    environment.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    environment.setdefault('OMP_NUM_THREADS', '1')
    return environment


def command(node: str, parameters: Parameters) -> list[str]:
    """Command line of one node; string values are quoted for ROS' YAML parser."""
    words = [sys.executable, '-m', f'dysl_vla_ros.nodes.{node}', '--ros-args']
    for name, value in parameters.items():
        if isinstance(value, bool):
            text = str(value).lower()
        elif isinstance(value, str):
            text = "'" + value.replace("'", "''") + "'"
        else:
            text = repr(value)
        words += ['-p', f'{name}:={text}']
    return words


def ros_prefix() -> list[str]:
    """What to put before a node's command line: nothing, or the source checkout's wrapper.

    Raises:
        ConfigError: If ROS or the interfaces are not there; says how to get them.
    """
    has_rclpy = importlib.util.find_spec('rclpy') is not None
    if has_rclpy and importlib.util.find_spec('dysl_vla_ros.msg') is not None:
        return []
    root = Path(__file__).resolve().parents[2]
    wrapper = root / 'scripts' / 'with_ros.sh'
    if has_rclpy and wrapper.is_file() and (root / 'install' / 'setup.bash').is_file():
        return [str(wrapper)]
    missing = 'the interfaces (dysl_vla_ros.msg)' if has_rclpy else 'rclpy'
    raise ConfigError(f'evaluation over ROS needs {missing}, which this Python does not have; run '
                      '`make setup` in the source checkout and start through '
                      'scripts/with_ros.sh, or build with colcon and source install/setup.bash, '
                      'or evaluate without ROS by --in-process')


def require_ros(name: str) -> None:
    """For a command that itself imports rclpy and the interfaces.

    Raises:
        ConfigError: If this process cannot; says how to start it.
    """
    if ros_prefix():
        raise ConfigError(f'dysl-vla {name} needs ROS in this process; start it through '
                          'scripts/with_ros.sh or source the install space')



class NodeProcess:
    """One process with its log file and its last line."""

    def __init__(self, name: str, words: list[str], environment: dict[str, str],
                 log: Path) -> None:
        self.name, self.log, self.last_line = name, log, ''
        self.process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True,
                                        start_new_session=True)
        assert self.process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,),
                                        daemon=True)
        self._reader.start()

    def _read(self, stream: IO[str]) -> None:
        with self.log.open('w', encoding='utf-8') as file:
            for line in stream:
                file.write(line)
                file.flush()
                if line.strip():
                    self.last_line = line.strip()

    def wait_for(self, text: str) -> None:
        """Wait until the process has said this.

        Raises:
            SimulationError: If it ends before; quotes the end of its log.
        """
        while not self.log.is_file() or text not in self.log.read_text(encoding='utf-8'):
            if self.process.poll() is not None:
                raise SimulationError(self.ended())
            time.sleep(_POLL_S / 10)

    def ended(self) -> str:
        """Message about an unexpected end."""
        code = self.process.wait()
        self._reader.join(5.0)
        tail = self.log.read_text(encoding='utf-8').splitlines()[-_TAIL_LINES:]
        return (f'{self.name} ended with code {code} before the suite was done; end of '
                f'{self.log}:\n' + '\n'.join(tail))

    def interrupt(self) -> None:
        """Ask the process to stop."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)

    def wait(self) -> None:
        """Wait for the end; kill after a while, so that nothing outlives us."""
        try:
            self.process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(5.0)
