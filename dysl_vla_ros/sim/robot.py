# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The simulated Panda: reset, relative and absolute actions, state.

Source: design/calvin.md sections 2.3 and 3. World frame, metres, radians; quaternions xyzw.
"""

import math
from operator import mul
from typing import Any, NamedTuple

import numpy as np
import pybullet

from dysl_vla_ros.control.action_spec import MAX_POSITION_STEP_M, MAX_ROTATION_STEP_RAD
from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.sim import actions
from dysl_vla_ros.sim.actions import ArmCommand
from dysl_vla_ros.sim.physics import GEAR_SHARE, MOTOR_SHARE, Physics

BASE_POSITION = (-0.34, -0.46, 0.24)
ARM_JOINTS = tuple(range(7))
FINGER_JOINTS = (9, 11)
CAMERA_LINK = 14
TCP_LINK = 15
ARM_FORCE = 200.0
ARM_MAX_VELOCITY = 2.0
OPEN_FORCE, CLOSE_FORCE = 2.0, 200.0
FINGER_MAX_VELOCITY = 1.0
FINGER_OPEN_M = 0.04
START_JOINTS = (-1.21779206, 1.03987646, 2.11978261, -2.34205014, -0.87015947, 1.64119353,
                0.55344866)
_POSE_LINKS = (TCP_LINK, CAMERA_LINK)
# Position in metres and quaternion xyzw, world frame.
Pose = tuple[tuple[float, ...], tuple[float, ...]]
LOWER_LIMITS = np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973])
UPPER_LIMITS = np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973])


class RobotState(NamedTuple):
    """Tool centre point (metres, fixed-axis radians), opening width in metres, 7 joints."""

    position: tuple[float, ...]
    euler: tuple[float, ...]
    width: float
    joints: list[float]


class Robot:
    """One Panda in one PyBullet client."""

    def __init__(self, client: int, urdf_path: str, physics: Physics) -> None:
        """Load the robot, its base cylinder and the finger gear constraint, in that order."""
        self.client = client
        self._physics = physics
        self._motor_gain = physics.share(MOTOR_SHARE)
        self.uid: int = pybullet.loadURDF(urdf_path, BASE_POSITION, (0, 0, 0, 1),
                                          useFixedBase=True, physicsClientId=client)
        shape = pybullet.createVisualShape(
            pybullet.GEOM_CYLINDER, radius=0.13, length=0.24, rgbaColor=(1, 1, 1, 1),
            visualFramePosition=(-0.39, -0.46, 0.12), physicsClientId=client)
        # The offset lies in the shape, not in the body: the last bit of the depth image knows.
        pybullet.createMultiBody(baseVisualShapeIndex=shape, physicsClientId=client)
        gear = pybullet.createConstraint(
            self.uid, FINGER_JOINTS[0], self.uid, FINGER_JOINTS[1], jointType=pybullet.JOINT_GEAR,
            jointAxis=(1, 0, 0), parentFramePosition=(0, 0, 0), childFramePosition=(0, 0, 0),
            physicsClientId=client)
        pybullet.changeConstraint(gear, gearRatio=-1, erp=physics.share(GEAR_SHARE), maxForce=50,
                                  physicsClientId=client)
        # Not touched by reset: CALVIN keeps the last command across resets.
        self.gripper_action = 1.0
        self.target_position = np.zeros(3)
        self.target_euler = np.zeros(3)
        self.joint_target = np.array(START_JOINTS)
        self._finger_command = (FINGER_OPEN_M, CLOSE_FORCE)
        # Poses before and after the last physics step; empty: PyBullet's own are right.
        self._last_step: dict[int, tuple[Pose, Pose]] = {}

    def reset(self, robot_obs: np.ndarray | None) -> None:
        """Set joints and fingers from ``robot_obs`` (15,), or the start pose if None."""
        joints = START_JOINTS if robot_obs is None else robot_obs[7:14]
        finger = FINGER_OPEN_M if robot_obs is None else float(robot_obs[6]) / 2
        for index, value in zip(ARM_JOINTS, joints, strict=True):
            pybullet.resetJointState(self.uid, index, float(value), 0,
                                     physicsClientId=self.client)
            self._drive(index, float(value), ARM_FORCE, ARM_MAX_VELOCITY)
        for index in FINGER_JOINTS:
            pybullet.resetJointState(self.uid, index, finger, 0, physicsClientId=self.client)
        self._drive_fingers(finger, CLOSE_FORCE)
        self.joint_target = np.array(joints, dtype=np.float64)
        self._last_step = {}
        position, quaternion = self.tcp_pose()
        self.target_position = np.array(position)
        self.target_euler = np.array(pybullet.getEulerFromQuaternion(quaternion))

    def _drive(self, joint: int, value: float, force: float, velocity: float) -> None:
        pybullet.setJointMotorControl2(
            self.uid, joint, pybullet.POSITION_CONTROL, targetPosition=value, force=force,
            maxVelocity=velocity, positionGain=self._motor_gain, physicsClientId=self.client)

    def tcp_pose(self) -> Pose:
        """Pose of the tool centre point."""
        return self._pose(TCP_LINK)

    def camera_pose(self) -> Pose:
        """Pose of the link that carries the gripper camera."""
        return self._pose(CAMERA_LINK)

    def _pose(self, link: int) -> Pose:
        if link not in self._last_step:
            state = pybullet.getLinkState(self.uid, link, physicsClientId=self.client)
            return state[0], state[1]
        return _between(*self._last_step[link], self._physics.last_step_share)

    def update(self) -> None:
        """Take the poses once per control step, after the physics.

        CALVIN reads them as they were 1/240 s ago, before PyBullet's last physics step. Longer
        steps would make them older, so they are taken from between the ends of the last one.
        """
        if self._physics.is_exact:
            return
        before, after = (pybullet.getLinkStates(
            self.uid, _POSE_LINKS, computeForwardKinematics=is_current,
            physicsClientId=self.client) for is_current in (False, True))
        self._last_step = {link: (old[:2], new[:2]) for link, old, new
                           in zip(_POSE_LINKS, before, after, strict=True)}

    def apply_relative(self, action: np.ndarray) -> None:
        """Accumulate a (7,) relative action on the stored target and command the arm."""
        self.target_position = self.target_position + action[:3] * MAX_POSITION_STEP_M
        self.target_euler = self.target_euler + action[3:6] * MAX_ROTATION_STEP_RAD
        self.command_pose(self.target_position, self.target_euler)
        self.command_gripper(float(action[6]))

    def apply(self, command: ArmCommand) -> None:
        """Command the arm and the gripper for the next control step."""
        if command.kind == actions.CARTESIAN_REL:
            self.apply_relative(np.append(command.arm, command.gripper))
            return
        if command.kind == actions.CARTESIAN_ABS:  # leaves the stored target where it is (CALVIN)
            self.command_pose(command.arm[:3], command.arm[3:])
        elif command.kind == actions.JOINT_ABS:
            self.command_joints(command.arm)
        else:
            self.command_joints(self.joints() + command.arm)
        self.command_gripper(command.gripper)

    def joints(self) -> np.ndarray:
        """Measured (7,) arm joints in radians."""
        states = pybullet.getJointStates(self.uid, ARM_JOINTS, physicsClientId=self.client)
        return np.array([state[0] for state in states])

    def command_pose(self, position: np.ndarray, orientation: np.ndarray) -> None:
        """Drive the arm to a pose; orientation is Euler (3,) or quaternion xyzw (4,)."""
        self.command_joints(self.inverse_kinematics(position, orientation))

    def inverse_kinematics(self, position: np.ndarray, orientation: np.ndarray) -> np.ndarray:
        """(7,) joints in radians, within their limits, that lead towards a pose."""
        quaternion = (pybullet.getQuaternionFromEuler(orientation)
                      if len(orientation) == 3 else orientation)
        solution = pybullet.calculateInverseKinematics(
            self.uid, TCP_LINK, position, quaternion, lowerLimits=[-7.0] * 9,
            upperLimits=[7.0] * 9, jointRanges=[7.0] * 9,
            restPoses=[*START_JOINTS, FINGER_OPEN_M, FINGER_OPEN_M], physicsClientId=self.client)
        return np.clip(np.array(solution[:7]), LOWER_LIMITS, UPPER_LIMITS)

    def command_joints(self, joints: np.ndarray) -> None:
        """Send (7,) joint positions in radians to the position motors."""
        self.joint_target = np.asarray(joints, dtype=np.float64)
        for index, value in zip(ARM_JOINTS, joints, strict=True):
            self._drive(index, float(value), ARM_FORCE, ARM_MAX_VELOCITY)

    def command_gripper(self, command: float) -> None:
        """Open (+1) or close (-1) the gripper.

        Raises:
            ContractError: For any other value, as in CALVIN's raw environment.
        """
        if command not in (-1.0, 1.0):
            raise ContractError(f'gripper command {command!r}: expected exactly -1 or +1')
        self.gripper_action = command
        self._drive_fingers(*((FINGER_OPEN_M, OPEN_FORCE) if command > 0 else
                              (0.0, CLOSE_FORCE)))

    def _drive_fingers(self, target: float, force: float) -> None:
        self._finger_command = (target, force)
        for index in FINGER_JOINTS:
            self._drive(index, target, force, FINGER_MAX_VELOCITY)

    def observe(self, state: RobotState) -> np.ndarray:
        """Return CALVIN's ``robot_obs`` (15,) float64."""
        return np.array([*state.position, *state.euler, state.width, *state.joints,
                         self.gripper_action])

    def info(self, state: RobotState) -> dict[str, Any]:
        """Return CALVIN's ``robot_info``."""
        return {
            'tcp_pos': state.position,
            'tcp_orn': state.euler,
            'gripper_opening_width': state.width,
            'arm_joint_positions': state.joints,
            'gripper_action': self.gripper_action,
            'uid': self.uid,
            'contacts': pybullet.getContactPoints(bodyA=self.uid, physicsClientId=self.client),
        }

    def measure(self) -> RobotState:
        """Read pose, width and joints."""
        position, quaternion = self.tcp_pose()
        states = pybullet.getJointStates(self.uid, (*ARM_JOINTS, *FINGER_JOINTS),
                                         physicsClientId=self.client)
        return RobotState(position, pybullet.getEulerFromQuaternion(quaternion),
                          states[7][0] + states[8][0], [state[0] for state in states[:7]])

    def memory(self) -> dict[str, Any]:
        """What a physics snapshot does not hold: targets and motor commands."""
        return {'gripper_action': self.gripper_action, 'target_position': self.target_position,
                'target_euler': self.target_euler, 'joint_target': self.joint_target,
                '_finger_command': self._finger_command, '_last_step': self._last_step}

    def recall(self, memory: dict[str, Any]) -> None:
        """Return to what ``memory`` gave: fields and motor commands."""
        for name, value in memory.items():
            setattr(self, name, value)
        self.command_joints(self.joint_target)
        self._drive_fingers(*self._finger_command)


def _between(before: Pose, after: Pose, share: float) -> Pose:
    """The pose ``share`` of a small motion before its end."""
    (old, old_turn), (new, new_turn) = before, after
    if sum(map(mul, old_turn, new_turn)) < 0.0:  # the same rotation with the other sign
        old_turn = tuple(-v for v in old_turn)
    position = tuple(b + share * (a - b) for a, b in zip(old, new, strict=True))
    turn = [b + share * (a - b) for a, b in zip(old_turn, new_turn, strict=True)]
    length = math.sqrt(sum(map(mul, turn, turn)))
    return position, tuple(v / length for v in turn)
