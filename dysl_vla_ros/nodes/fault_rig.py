# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A robot made of topics, to break things on: cameras, pose, clock, deadman, and a wire tap.

Runs the policy node as a process of its own with the scripted policy and Servo twists in mode
``bounded``, feeds it over real DDS at 30 Hz of simulated time, and keeps every twist it sends.
"""

from collections.abc import Callable
import os
import subprocess
import sys
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped
from lifecycle_msgs.srv import ChangeState, GetState
import numpy as np
import rclpy
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

from dysl_vla_ros.action import ExecuteInstruction
from dysl_vla_ros.errors import SimulationError
from dysl_vla_ros.nodes import messages, qos

PERIOD_S = 1 / 30
SPEED_M_S, SPEED_RAD_S = 0.25, 1.0
PARAMETERS: dict[str, Any] = {
    'policy_factory': 'dysl_vla_ros.nodes.scripted_policy:create', 'trigger': 'timer',
    'use_sim_time': True, 'action_frame': 'base', 'inputs.static_frame': 'camera_static',
    'inputs.max_identical_images': 15, 'outputs.twist': True, 'outputs.gripper': 'float64',
    'outputs.gripper_open': 0.08, 'outputs.markers': True, 'safety.mode': 'bounded',
    'safety.linear_speed_m_s': [0.2, 0.2, 0.2, SPEED_M_S],
    'safety.angular_speed_rad_s': [0.8, 0.8, 0.8, SPEED_RAD_S],
    'safety.linear_acceleration_m_s2': [2.0, 2.0, 2.0, 3.0],
    'safety.angular_acceleration_rad_s2': [4.0, 4.0, 4.0, 5.0],
    'safety.linear_jerk_m_s3': [60.0, 60.0, 60.0, 90.0],
    'safety.angular_jerk_rad_s3': [80.0, 80.0, 80.0, 100.0],
    'safety.workspace_min_m': [0.2, -0.3, 0.0], 'safety.workspace_max_m': [0.7, 0.3, 0.6],
    'safety.min_height_m': 0.02, 'safety.cone_angle_rad': 0.6, 'safety.deadman': 'bool',
    'safety.gripper_hysteresis': 0.05, 'safety.gripper_dwell_s': 0.3}


class FaultRig:
    """One policy node and everything around it; alter ``rig.alter`` to inject a fault."""

    def __init__(self, domain_id: int, environment: dict[str, str] | None = None) -> None:
        """Start feeding, start the node, enable it, and wait until it moves the arm."""
        self._domain_id, self._environment = domain_id, environment or {}
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.node = rclpy.create_node('fault_rig', context=self.context)
        self.condition = threading.Condition()
        self.twists: list[tuple[float, TwistStamped]] = []
        self.reports: dict[str, tuple[bytes, str, dict[str, str]]] = {}
        self.lines: list[str] = []
        self.alter: dict[str, Callable[[Any], Any]] = {}  # stream -> message -> message(s) or None
        self.is_pressed: bool | None = True
        self.clock_step_s: float | None = PERIOD_S         # None: no /clock at all
        self.now_ns = 1_000_000_000_000_000
        self.position = np.array([0.45, 0.0, 0.3])
        self._count = 0
        self._publishers = {
            'image_static': self._publisher(Image, 'image_static'),
            'image_gripper': self._publisher(Image, 'image_gripper'),
            'ee_pose': self._publisher(PoseStamped, 'ee_pose'),
            'deadman': self._publisher(Bool, 'deadman'),
            'clock': self.node.create_publisher(Clock, '/clock', qos.CLOCK)}
        self.instruction = self.node.create_publisher(String, 'instruction', qos.LATCHED)
        self.node.create_subscription(TwistStamped, 'policy_node/command_twist', self._on_twist,
                                      qos.STATISTICS)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_report,
                                      qos.STATISTICS)
        self._clients = {
            'execute': ActionClient(self.node, ExecuteInstruction,
                                    'policy_node/execute_instruction'),
            'enable': self.node.create_client(SetBool, 'policy_node/enable'),
            'reset': self.node.create_client(Trigger, 'policy_node/reset'),
            'change': self.node.create_client(ChangeState, 'policy_node/change_state'),
            'state': self.node.create_client(GetState, 'policy_node/get_state')}
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._is_running = True
        self._threads = [threading.Thread(target=target, daemon=True)
                         for target in (self._executor.spin, self._feed)]
        for thread in self._threads:
            thread.start()
        self.process: subprocess.Popen[str] | None = None
        self.start_node()

    # ------------------------------------------------------------------ the node
    def start_node(self) -> None:
        """Start the policy node as a process and enable it."""
        words = [sys.executable, '-m', 'dysl_vla_ros.nodes.policy_node', '--ros-args']
        for name, value in PARAMETERS.items():
            words += ['-p', f'{name}:={str(value).lower() if isinstance(value, bool) else value}']
        self.process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, 'ROS_DOMAIN_ID': str(self._domain_id), 'PYTHONUNBUFFERED': '1',
                 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', **self._environment})
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()
        self.wait(lambda: 'active; waiting' in self.output or self.process.poll() is not None,
                  'an active node')
        self.enable(True)

    def restart_node(self) -> None:
        """Wait for the end of a process that dies, and start another."""
        assert self.process is not None
        self.process.wait(30)
        with self.condition:
            self.lines.clear()
        self.start_node()

    @property
    def output(self) -> str:
        """What the node has said."""
        return ''.join(self.lines)

    def enable(self, value: bool) -> str:
        """Call ~/enable; returns its message."""
        return self.call('enable', SetBool.Request(data=value)).message

    def send_transition(self, number: int) -> None:
        """Ask for a transition without waiting for the answer."""
        request = ChangeState.Request()
        request.transition.id = number
        self._executor.create_task(lambda: self._clients['change'].call_async(request))

    def transition(self, number: int) -> bool:
        """Ask for a lifecycle transition (lifecycle_msgs/msg/Transition)."""
        request = ChangeState.Request()
        request.transition.id = number
        return self.call('change', request).success

    def call(self, name: str, request: Any) -> Any:
        """Call a service and wait for the answer."""
        client = self._clients[name]
        self.wait(client.service_is_ready, f'the service {client.srv_name}')
        return self._result(lambda: client.call_async(request))

    def goal(self, instruction: str = 'draw a circle', max_seconds: float = 0.0) -> Any:
        """Send an instruction; returns the goal handle."""
        client = self._clients['execute']
        self.wait(client.server_is_ready, 'the action server')
        goal = ExecuteInstruction.Goal(instruction=instruction, max_seconds=max_seconds)
        return self._result(lambda: client.send_goal_async(goal))

    def outcome(self, handle: Any) -> Any:
        """Wait for a goal's result."""
        return self._result(handle.get_result_async).result

    def _result(self, request: Callable[[], Any]) -> Any:
        answer: list[Any] = []

        def done(future: Any) -> None:
            with self.condition:
                answer.append(future.result())
                self.condition.notify_all()

        # On the executor's thread: rclpy registers a request after sending it.
        self._executor.create_task(lambda: request().add_done_callback(done))
        self.wait(lambda: bool(answer), 'an answer')
        return answer[0]

    # ------------------------------------------------------------------ looking
    def wait(self, predicate: Callable[[], bool], what: str, timeout_s: float = 40.0) -> None:
        """Wait for something received.

        Raises:
            SimulationError: After ``timeout_s``; quotes the node's last lines.
        """
        with self.condition:
            if not self.condition.wait_for(predicate, timeout_s):
                raise SimulationError(f'timed out waiting for {what}; reports: '
                                      f'{ {k: v[1] for k, v in self.reports.items()} }; the node '
                                      'said:\n' + ''.join(self.lines[-8:]))

    def moves(self, since_s: float) -> bool:
        """Whether a twist other than zero arrived after this moment of the steady clock."""
        return any(at > since_s and speed(m) > 0 for at, m in self.twists[-60:])

    def is_still(self, since_s: float) -> bool:
        """Whether the last twists after this moment are zeros (or none came for 0.3 s)."""
        recent = [speed(m) for at, m in self.twists[-60:] if at > since_s]
        return len(recent) >= 5 and max(recent[-5:]) == 0.0

    def says(self, text: str) -> bool:
        """Whether a current report's message or value contains the text."""
        return any(text in message or any(text in f'{k}: {v}' for k, v in values.items())
                   for _, message, values in self.reports.values())

    # ------------------------------------------------------------------ threads
    def _publisher(self, kind: Any, topic: str) -> Any:
        return self.node.create_publisher(kind, topic, qos.SENSOR)

    def _on_twist(self, message: TwistStamped) -> None:
        with self.condition:
            self.twists.append((time.monotonic(), message))
            self.condition.notify_all()

    def _on_report(self, array: DiagnosticArray) -> None:
        with self.condition:
            for status in array.status:
                self.reports[status.name] = (bytes(status.level), status.message,
                                             {v.key: v.value for v in status.values})
            self.condition.notify_all()

    def _read(self, stream: Any) -> None:
        for line in stream:
            with self.condition:
                self.lines.append(line)
                self.condition.notify_all()

    def _feed(self) -> None:
        """Cameras, pose, deadman and clock at 30 Hz of wall time."""
        next_s = time.monotonic()
        while self._is_running:
            self._count += 1
            image = np.zeros((48, 64, 3), np.uint8)
            image[:2].reshape(-1)[:8] = np.frombuffer(self._count.to_bytes(8, 'big'), np.uint8)
            for name in ('static', 'gripper'):
                self._send(f'image_{name}', messages.image_message(image, self.now_ns,
                                                                  f'camera_{name}'))
            robot_obs = np.array([*self.position, np.pi, 0, 0, *np.zeros(9)])
            self._send('ee_pose', messages.pose_message(robot_obs, self.now_ns, 'base'))
            if self.is_pressed is not None:
                self._send('deadman', Bool(data=self.is_pressed))
            if self.clock_step_s is not None:
                self._send('clock', Clock(clock=messages.time_from_ns(self.now_ns)))
                self.now_ns += int(self.clock_step_s * 1e9)
            next_s = max(next_s + PERIOD_S, time.monotonic())
            time.sleep(max(0.0, next_s - time.monotonic()))

    def _send(self, stream: str, message: Any) -> None:
        altered = self.alter[stream](message) if stream in self.alter else message
        for one in altered if isinstance(altered, list) else [altered]:
            if one is not None:
                self._publishers[stream].publish(one)

    def close(self) -> None:
        """End the node and everything here."""
        self._is_running = False
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self._threads[1].join(5.0)
        self._executor.shutdown(timeout_sec=2.0)
        self._threads[0].join(5.0)
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def speed(message: TwistStamped) -> float:
    """Largest absolute component of a twist; NaN if one is NaN."""
    linear, angular = message.twist.linear, message.twist.angular
    return float(np.abs([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z]).max())
