# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Adapters from commanded motion to what arm stacks take: twist, pose, gripper.

Each adapter has ``command`` (one control step), ``tick`` (at the output rate in between) and
``stop`` (the stop command of its kind). None decides whether to send: ``arm.py`` does. All are
called under the node's lock. Source: design/interfaces.md sections 3 to 6.
"""

from collections.abc import Callable
from dataclasses import dataclass

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, TwistStamped
import numpy as np
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Float64

from dysl_vla_ros.control.servo import ServoUnits
from dysl_vla_ros.control.target import Pose
from dysl_vla_ros.nodes import messages, optional, qos
from dysl_vla_ros.nodes.parameters import OutputParameters

_ROUNDING = 1e-6  # of differences of the steady clock, in control periods
STOP_REPEATS = 5  # a stop command must survive a lost message


@dataclass(frozen=True)
class Motion:
    """One control step of the arm: from pose to pose, and the same as shift and turn."""

    before: Pose
    after: Pose
    shift_m: np.ndarray
    turn_rad: np.ndarray


class TwistOutput:
    """TwistStamped for MoveIt Servo: a rate that holds for one control step, then zeros."""

    def __init__(self, node: LifecycleNode, parameters: OutputParameters, frame: str,
                 period_s: float, stamp: Callable[[], Time]) -> None:
        """Create the publisher ``~/command_twist``."""
        self.publisher = node.create_lifecycle_publisher(
            TwistStamped, '~/command_twist', qos.COMMAND)
        self._node, self._frame, self._stamp = node, frame, stamp
        self._period_s = period_s
        self._lifetime_s = parameters.lifetime_periods * period_s
        self._units = ServoUnits(parameters.twist_units, parameters.twist_linear_scale,
                                 parameters.twist_angular_scale)
        self._values = (np.zeros(3), np.zeros(3))
        self._expires_s = 0.0
        self._has_moved = False
        self.gaps = 0

    def command(self, motion: Motion, now_s: float) -> None:
        """Start the motion of one control step."""
        self._values = self._units.encode(motion.shift_m / self._period_s,
                                          motion.turn_rad / self._period_s)
        self._expires_s, self._has_moved = now_s + self._lifetime_s, True
        self._publish(*self._values)

    def tick(self, now_s: float) -> None:
        """Repeat the twist until it expires, then zeros: a rate repeated goes too far."""
        if now_s >= self._expires_s:
            self.gaps += self._has_moved
            self._has_moved, self._values = False, (np.zeros(3), np.zeros(3))
        self._publish(*self._values)

    def repeat(self) -> None:
        """Send the last message again (lockstep)."""
        self._publish(*self._values)

    def stop(self, measured: Pose | None) -> None:
        """Zero twists."""
        self._values, self._has_moved = (np.zeros(3), np.zeros(3)), False
        for _ in range(STOP_REPEATS):
            self._publish(*self._values)

    def _publish(self, linear: np.ndarray, angular: np.ndarray) -> None:
        message = TwistStamped()
        message.header.stamp, message.header.frame_id = self._stamp(), self._frame
        for vector, values in ((message.twist.linear, linear), (message.twist.angular, angular)):
            vector.x, vector.y, vector.z = map(float, values)
        self.publisher.publish(message)

    def destroy(self) -> None:
        """Remove the publisher."""
        self._node.destroy_lifecycle_publisher(self.publisher)


class PoseOutput:
    """PoseStamped targets for Cartesian controllers, interpolated between two actions."""

    def __init__(self, node: LifecycleNode, parameters: OutputParameters, frame: str,
                 period_s: float, stamp: Callable[[], Time], is_stepped: bool) -> None:
        """Create the publisher ``~/command_pose``; ``is_stepped`` sends whole steps (lockstep)."""
        self.publisher = node.create_lifecycle_publisher(
            PoseStamped, '~/command_pose', qos.COMMAND)
        self._node, self._frame, self._stamp = node, frame, stamp
        self._lead_s = 1.0 / parameters.rate_hz
        self._period_s, self._is_stepped = period_s, is_stepped
        self._motion: Motion | None = None
        self._begin_s = 0.0
        self._last: Pose | None = None
        self.gaps = 0

    def command(self, motion: Motion, now_s: float) -> None:
        """Start the way to the next target."""
        self._motion, self._begin_s = motion, now_s
        self.tick(now_s)

    def tick(self, now_s: float) -> None:
        """Publish the point of the way that is due at the next tick."""
        if self._motion is None:
            return
        fraction = 1.0 if self._is_stepped else min(
            1.0, (now_s - self._begin_s + self._lead_s) / self._period_s + _ROUNDING)
        self._publish(self._motion.before.interpolated(self._motion.after, fraction))
        if fraction == 1.0:
            # Cartesian controllers hold the last target by themselves.
            self._motion = None

    def repeat(self) -> None:
        """Send the last message again (lockstep)."""
        if self._last is not None:
            self._publish(self._last)

    def stop(self, measured: Pose | None) -> None:
        """Target the measured pose: these controllers go on towards the last target for ever."""
        self._motion = None
        if measured is not None:
            for _ in range(STOP_REPEATS):
                self._publish(measured)

    def _publish(self, pose: Pose) -> None:
        message = PoseStamped()
        message.header.stamp, message.header.frame_id = self._stamp(), self._frame
        messages.fill_pose(message.pose, pose.position_m, pose.quaternion)
        self._last = pose
        self.publisher.publish(message)

    def destroy(self) -> None:
        """Remove the publisher."""
        self._node.destroy_lifecycle_publisher(self.publisher)


class TopicGripper:
    """Float64 position on ``~/command_gripper``, on change."""

    def __init__(self, node: LifecycleNode, parameters: OutputParameters) -> None:
        """Create the publisher."""
        self.publisher = node.create_lifecycle_publisher(
            Float64, '~/command_gripper', qos.LATCHED)
        self._node, self._parameters = node, parameters

    def command(self, is_open: bool) -> None:
        """Send the position."""
        p = self._parameters
        self.publisher.publish(Float64(data=p.gripper_open if is_open else p.gripper_closed))

    def destroy(self) -> None:
        """Remove the publisher."""
        self._node.destroy_lifecycle_publisher(self.publisher)


class ActionGripper:
    """A goal per change; nobody waits for it, preemption and stalling are normal."""

    def __init__(self, node: LifecycleNode, parameters: OutputParameters) -> None:
        """Create the client of ``outputs.gripper_action``.

        Raises:
            ConfigError: If control_msgs is not installed.
        """
        from rclpy.action import ActionClient
        actions = optional.require('control_msgs.action', f'outputs.gripper {parameters.gripper}')
        self._is_parallel = parameters.gripper == 'parallel_gripper_command'
        self._type = getattr(actions, 'ParallelGripperCommand' if self._is_parallel
                             else 'GripperCommand')
        self._node, self._parameters = node, parameters
        self._client = ActionClient(node, self._type, parameters.gripper_action)

    def command(self, is_open: bool) -> None:
        """Send a goal."""
        p = self._parameters
        if not self._client.server_is_ready():
            self._node.get_logger().error('the gripper action server is not there; the gripper '
                                          'does not move', throttle_duration_sec=1.0)
            return
        goal = self._type.Goal()
        position = p.gripper_open if is_open else p.gripper_closed
        if self._is_parallel:
            goal.command.name, goal.command.position = [p.gripper_joint], [position]
            goal.command.effort = [p.gripper_effort] if p.gripper_effort else []
        else:
            goal.command.position, goal.command.max_effort = position, p.gripper_effort
        # On the executor's thread: rclpy registers a request after sending it.
        self._node.executor.create_task(lambda: self._client.send_goal_async(goal))

    def destroy(self) -> None:
        """Remove the client."""
        self._client.destroy()


def create_gripper(node: LifecycleNode, parameters: OutputParameters,
                   ) -> TopicGripper | ActionGripper | None:
    """Create the adapter that the parameters name."""
    if parameters.gripper == 'none':
        return None
    return (TopicGripper if parameters.gripper == 'float64' else ActionGripper)(node, parameters)


class ServoCommandType:
    """Selects Servo's input type; until Servo has agreed, nothing is sent to it."""

    TWIST, POSE = 1, 2  # moveit_msgs/srv/ServoCommandType

    def __init__(self, node: LifecycleNode, servo_node: str, command_type: int) -> None:
        """Create the client of ``<servo_node>/switch_command_type``.

        Raises:
            ConfigError: If moveit_msgs is not installed.
        """
        services = optional.require('moveit_msgs.srv', 'outputs.servo_node')
        self._node, self._type = node, services.ServoCommandType
        self._name, self._command_type = f'{servo_node}/switch_command_type', command_type
        self._client = node.create_client(self._type, self._name)
        self._future = None
        self.problem = f'{self._name} has not answered'

    def poll(self) -> None:
        """Ask, or look at the answer; called again and again, never waits."""
        if not self.problem:
            return
        if self._future is None:
            if self._client.service_is_ready():
                self._future = self._client.call_async(
                    self._type.Request(command_type=self._command_type))
        elif self._future.done():
            answer, self._future = self._future.result(), None
            self.problem = '' if answer is not None and answer.success else \
                f'{self._name} refused command type {self._command_type}'

    def destroy(self) -> None:
        """Remove the client."""
        self._node.destroy_client(self._client)
