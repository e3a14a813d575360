# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The simulated arm stack: the bridge moved by the same twists or poses as a robot.

Twists follow MoveIt Servo's rules (units, scaling, timeout), poses those of the Cartesian
controllers (exact frame, no timeout); the gripper is a Float64 position. Both move a target pose
that the environment drives to, as with CALVIN's own actions.
"""

from collections.abc import Callable
import threading
from typing import Any

from geometry_msgs.msg import PoseStamped, TwistStamped
import numpy as np
from rclpy.node import Node
from std_msgs.msg import Float64

from dysl_vla_ros.control.action_spec import CONTROL_RATE_HZ
from dysl_vla_ros.control.rotations import nearest_euler
from dysl_vla_ros.control.servo import ServoUnits, is_stale
from dysl_vla_ros.control.target import Pose
from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.nodes import messages, qos
from dysl_vla_ros.nodes.parameters import BridgeParameters

FRAME = 'world'


class ArmInputs:
    """Subscriptions on the executor's thread; everything else is called by the episodes'."""

    def __init__(self, node: Node, parameters: BridgeParameters,
                 notify: Callable[[], None]) -> None:
        """Subscribe beside the policy's action; ``notify`` is called for every command."""
        self._p, self._notify, self._log = parameters, notify, node.get_logger()
        self._lock = threading.Lock()
        self._message: TwistStamped | PoseStamped | None = None  # newest; guarded
        self._is_open: bool | None = None                        # guarded
        self._units = ServoUnits(parameters.servo_units, parameters.servo_linear_scale,
                                 parameters.servo_angular_scale)
        self._target = Pose(np.zeros(3), np.zeros(3))
        self._gripper = 1.0
        self.refused = self.idle = 0
        base = parameters.policy_action.rsplit('/', 1)[0]
        is_twist = parameters.command_interface == 'twist'
        node.create_subscription(TwistStamped if is_twist else PoseStamped,
                                 f'{base}/command_{parameters.command_interface}',
                                 self._on_command, qos.COMMAND)
        node.create_subscription(Float64, f'{base}/command_gripper', self._on_gripper, qos.LATCHED)

    # ------------------------------------------------------------------ callbacks (executor)
    def _on_command(self, message: TwistStamped | PoseStamped) -> None:
        problem = _problem(message)
        if problem:
            self.refused += 1
            self._log.warning(f'command ignored: {problem}', throttle_duration_sec=1.0)
            return
        with self._lock:
            self._message = message
        self._notify()

    def _on_gripper(self, message: Float64) -> None:
        if np.isfinite(message.data):
            with self._lock:
                self._is_open = message.data > self._p.gripper_threshold
            self._notify()

    # ------------------------------------------------------------------ the episodes' thread
    def start(self, robot_obs: np.ndarray, gripper: float) -> None:
        """An episode begins at this measured state; commands of before are forgotten."""
        with self._lock:
            self._message = self._is_open = None
        self._target = Pose(np.array(robot_obs[:3]), np.array(robot_obs[3:6]))
        self._gripper = gripper

    def has(self, stamp_ns: int) -> bool:
        """Whether the command for this very stamp has arrived (lockstep)."""
        with self._lock:
            return self._message is not None and \
                messages.ns_from_time(self._message.header.stamp) == stamp_ns

    def advance(self, now_ns: int, is_lockstep: bool) -> tuple[tuple[Any, ...], np.ndarray]:
        """One control step.

        Returns:
            CALVIN's absolute action (position, quaternion, gripper), and the same motion as a
            relative action (7,) for the recording.
        """
        with self._lock:
            message, is_open = self._message, self._is_open
        before = self._target
        if isinstance(message, PoseStamped):
            self._target = _nearest(messages.pose_from_message(message), before)
        elif message is not None and (is_lockstep or not is_stale(
                now_ns, messages.ns_from_time(message.header.stamp),
                int(self._p.servo_timeout_s * 1e9))):
            linear, angular = message.twist.linear, message.twist.angular
            velocity = self._units.decode(np.array([linear.x, linear.y, linear.z]),
                                          np.array([angular.x, angular.y, angular.z]))
            self._target = before.moved(*(v / CONTROL_RATE_HZ for v in velocity))
        else:
            self.idle += 1
        if is_open is not None:
            self._gripper = 1.0 if is_open else -1.0
        return self.hold(), before.action_to(self._target, self._gripper)

    def hold(self) -> tuple[Any, ...]:
        """The absolute action that stays at the target."""
        return self._target.position_m, self._target.quaternion, self._gripper


def _nearest(pose: Pose, reference: Pose) -> Pose:
    """The same pose with Euler angles on the branch of the reference."""
    return Pose(pose.position_m, nearest_euler(pose.quaternion, reference.euler_rad))


def _problem(message: TwistStamped | PoseStamped) -> str:
    """Why an arm stack would ignore this message, or ''."""
    if message.header.frame_id != FRAME:
        return f'frame_id {message.header.frame_id!r}, expected {FRAME!r}'
    if isinstance(message, PoseStamped):
        try:
            messages.pose_from_message(message)
        except ContractError as error:
            return str(error)
        return ''
    values = [getattr(vector, axis) for vector in (message.twist.linear, message.twist.angular)
              for axis in 'xyz']
    return '' if np.isfinite(values).all() else f'not finite: {values}'
