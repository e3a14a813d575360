# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A robot made of topics, to break things on: cameras, an arm, clock, deadman, and a wire tap.

Runs the policy node as a process of its own with the scripted policy and Servo twists in mode
``bounded``, and feeds it over real DDS at 30 Hz of simulated time. The arm follows the twists.
"""

from collections.abc import Callable
import os
import subprocess
import sys
import threading
import time
from typing import Any

from geometry_msgs.msg import PoseStamped, TwistStamped
from lifecycle_msgs.srv import ChangeState
import numpy as np
from rcl_interfaces.srv import SetParameters
import rclpy
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

from dysl_vla_ros.action import ExecuteInstruction
from dysl_vla_ros.nodes import messages, qos
from dysl_vla_ros.nodes.fault_tap import RIVAL_FRAME, CommandLimits, WireTap

PERIOD_S = 1 / 30
SPEED_M_S, SPEED_RAD_S = 0.25, 1.0
SERVO_HZ = 50.0
_TRIES, _ANSWER_S = 5, 5.0  # a killed node is announced for a while and cannot answer
_NOISE_S = 2.0  # at rest, the node learns from 30 images that the cameras have noise
_REST_S = 0.3  # an arm that has rested so long is put back
HOME_M = np.array([0.45, 0.0, 0.3])
# The oldest observation that may be acted on, for one control period and one of Servo's.
LIMITS = CommandLimits(SPEED_M_S, SPEED_RAD_S, 1e3 * (0.2 + PERIOD_S + 1 / SERVO_HZ))
PARAMETERS: dict[str, Any] = {
    'policy_factory': 'dysl_vla_ros.nodes.scripted_policy:create', 'trigger': 'timer',
    'use_sim_time': True, 'action_frame': 'base', 'inputs.static_frame': 'camera_static',
    'inputs.max_identical_images': 15, 'inputs.max_identical_moving': 3,
    'max_observation_age_s': 0.2, 'outputs.twist': True,
    'outputs.rate_hz': SERVO_HZ, 'outputs.gripper': 'float64', 'outputs.gripper_open': 0.08,
    'outputs.markers': True, 'safety.mode': 'bounded',
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
        self.tap = WireTap(self.node, LIMITS)
        self.tap.on_twist = self._follow
        self.fault_ns = 0                                  # when the fault of a case began
        self.alter: dict[str, Callable[[Any], Any]] = {}  # stream -> message -> message(s) or None
        self.is_pressed: bool | None = True
        self.clock_step_s: float | None = PERIOD_S         # None: no /clock at all
        self.now_ns = 1_000_000_000_000_000
        self.position = HOME_M.copy()
        self.rival: Any = None                             # publisher of twists of our own
        self._moved_s = time.monotonic()
        self._count = 0
        self.other_domain = domain_id % 101 + 1
        self.echoes: dict[str, Any] = {}                   # stream -> a second publisher of it
        self.publishers = _streams(self.node)
        self._elsewhere: tuple[Any, Any, dict[str, Any]] | None = None
        self.instruction = self.node.create_publisher(String, 'instruction', qos.LATCHED)
        self._clients = {
            'execute': ActionClient(self.node, ExecuteInstruction,
                                    'policy_node/execute_instruction'),
            'enable': self.node.create_client(SetBool, 'policy_node/enable'),
            'reset': self.node.create_client(Trigger, 'policy_node/reset'),
            'change': self.node.create_client(ChangeState, 'policy_node/change_state'),
            'parameters': self.node.create_client(SetParameters, 'policy_node/set_parameters')}
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._is_running = True
        self._threads = [threading.Thread(target=target, daemon=True)
                         for target in (self._executor.spin, self._feed)]
        for thread in self._threads:
            thread.start()
        self.process: subprocess.Popen[str] | None = None
        self.start_node()
        time.sleep(_NOISE_S)

    # ------------------------------------------------------------------ the node
    def start_node(self, domain_id: int | None = None) -> None:
        """Start the policy node as a process and enable it, unless it is in another domain."""
        words = [sys.executable, '-m', 'dysl_vla_ros.nodes.policy_node', '--ros-args']
        for name, value in PARAMETERS.items():
            words += ['-p', f'{name}:={str(value).lower() if isinstance(value, bool) else value}']
        self.process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, 'ROS_DOMAIN_ID': str(domain_id or self._domain_id),
                 'PYTHONUNBUFFERED': '1',
                 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', **self._environment})
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()
        self.tap.wait(lambda: 'active; waiting' in self.tap.output
                      or self.process.poll() is not None, 'an active node')
        if domain_id is None:
            self.enable(True)

    def restart_node(self, domain_id: int | None = None) -> None:
        """Wait for the end of a process that dies, and start another."""
        assert self.process is not None
        self.process.wait(30)
        with self.tap.condition:
            self.tap.lines.clear()
        self.start_node(domain_id)

    def enable(self, value: bool) -> str:
        """Call ~/enable; returns its message."""
        return self.call('enable', SetBool.Request(data=value)).message

    def leave_domain(self) -> None:
        """Everything that is sent goes into another DDS domain from now on."""
        context = rclpy.Context()
        rclpy.init(context=context, domain_id=self.other_domain)
        node = rclpy.create_node('fault_rig_elsewhere', context=context)
        publishers = _streams(node)
        time.sleep(_REST_S)  # a new participant keeps the machine busy for a moment
        self.fault_ns = time.time_ns()
        self._elsewhere = context, node, publishers

    def mend(self) -> None:
        """Take every alteration back; the node and its goal are left alone."""
        self.alter.clear()
        self.is_pressed, self.clock_step_s = True, PERIOD_S
        elsewhere, self._elsewhere = self._elsewhere, None
        spare = [*self.echoes.values(), *filter(None, [self.rival])]
        self.echoes, self.rival = {}, None
        time.sleep(2 * PERIOD_S)  # until the feeding thread has let go of them
        for publisher in spare:
            self.node.destroy_publisher(publisher)
        if elsewhere is not None:
            elsewhere[1].destroy_node()
            rclpy.shutdown(context=elsewhere[0])

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
        self.tap.wait(client.service_is_ready, f'the service {client.srv_name}')
        return self.result(lambda: client.call_async(request))

    def goal(self, instruction: str = 'draw a circle', max_seconds: float = 0.0) -> Any:
        """Send an instruction; returns the goal handle."""
        client = self._clients['execute']
        self.tap.wait(client.server_is_ready, 'the action server')
        goal = ExecuteInstruction.Goal(instruction=instruction, max_seconds=max_seconds)
        return self.result(lambda: client.send_goal_async(goal))

    def outcome(self, handle: Any) -> Any:
        """Wait for a goal's result."""
        return self.result(handle.get_result_async).result

    def result(self, request: Callable[[], Any]) -> Any:
        """Send a request and wait for its answer; sent again if a dead node may have got it."""
        answer: list[Any] = []

        def done(future: Any) -> None:
            with self.tap.condition:
                answer.append(future.result())
                self.tap.condition.notify_all()

        for _ in range(_TRIES):
            # On the executor's thread: rclpy registers a request after sending it.
            self._executor.create_task(lambda: request().add_done_callback(done))
            with self.tap.condition:
                if self.tap.condition.wait_for(lambda: bool(answer), _ANSWER_S):
                    return answer[0]
        self.tap.wait(lambda: bool(answer), 'an answer', _ANSWER_S)
        return answer[0]

    # ------------------------------------------------------------------ threads
    def _follow(self, linear: np.ndarray) -> None:
        """The arm: goes where the twist says, for as long as Servo repeats it."""
        if np.isfinite(linear).all() and linear.any():
            self.position = self.position + linear / SERVO_HZ
            self._moved_s = time.monotonic()

    def go_home(self) -> None:
        """Put the arm back into the middle of its workspace."""
        self.position = HOME_M.copy()
        time.sleep(3 * PERIOD_S)  # until a pose from there has been sent

    def _read(self, stream: Any) -> None:
        for line in stream:
            with self.tap.condition:
                self.tap.lines.append(line)
                self.tap.condition.notify_all()

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
            if time.monotonic() - self._moved_s > _REST_S:
                self.position = HOME_M.copy()
            with self.tap.condition:
                self.tap.sent_ns[self.now_ns] = time.time_ns()
            robot_obs = np.array([*self.position, np.pi, 0, 0, *np.zeros(9)])
            self._send('ee_pose', messages.pose_message(robot_obs, self.now_ns, 'base'))
            is_pressed = self.is_pressed
            if is_pressed is not None:
                self._send('deadman', Bool(data=is_pressed))
            rival = self.rival
            if rival is not None:
                twist = TwistStamped()
                twist.header.frame_id = RIVAL_FRAME
                rival.publish(twist)
            step_s = self.clock_step_s
            if step_s is not None:
                self._send('clock', Clock(clock=messages.time_from_ns(self.now_ns)))
                self.now_ns += int(step_s * 1e9)
            next_s = max(next_s + PERIOD_S, time.monotonic())
            time.sleep(max(0.0, next_s - time.monotonic()))

    def _send(self, stream: str, message: Any) -> None:
        publishers = self._elsewhere[2] if self._elsewhere is not None else self.publishers
        altered = self.alter[stream](message) if stream in self.alter else message
        for one in altered if isinstance(altered, list) else [altered]:
            if one is not None:
                publishers[stream].publish(one)
                if stream in self.echoes:
                    self.echoes[stream].publish(one)

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
        # destroy_node leaves it to the garbage collector, whose thread may be a later rig's.
        self._clients['execute'].destroy()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def _streams(node: Any) -> dict[str, Any]:
    """Publishers of everything the policy node listens to."""
    kinds = {'image_static': Image, 'image_gripper': Image, 'ee_pose': PoseStamped,
             'deadman': Bool}
    return {**{name: node.create_publisher(kind, name, qos.SENSOR)
               for name, kind in kinds.items()},
            'clock': node.create_publisher(Clock, '/clock', qos.CLOCK)}
