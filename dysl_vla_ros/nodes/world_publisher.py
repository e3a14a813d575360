# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the simulated world shows on topics, all with one stamp of simulated time."""

from geometry_msgs.msg import PoseStamped
import numpy as np
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64, String

from dysl_vla_ros.control.action_spec import CONTROL_STEP_NS, SIMULATED_START_NS
from dysl_vla_ros.msg import TaskStatus
from dysl_vla_ros.nodes import messages, qos
from dysl_vla_ros.observation.messages import SCENE_STATE
from dysl_vla_ros.observation.observation import SceneState


class SimulatedTime:
    """Simulated time: starts at 1 s, grows by 1/30 s per control step, never goes back."""

    def __init__(self) -> None:
        """Start."""
        self.now_ns = SIMULATED_START_NS

    def advance(self) -> None:
        """One control step later."""
        self.now_ns += CONTROL_STEP_NS


class WorldPublisher:
    """Publishers of the bridge. Called from the episode's thread only."""

    def __init__(self, node: Node, has_scene_state: bool = False) -> None:
        """Create the publishers (relative names, except /clock)."""
        self._scene = node.create_publisher(JointState, SCENE_STATE, qos.SENSOR) \
            if has_scene_state else None
        self._images = {name: node.create_publisher(Image, f'image_{name}', qos.SENSOR)
                        for name in ('static', 'gripper')}
        self._joints = node.create_publisher(JointState, 'joint_states', qos.SENSOR)
        self._pose = node.create_publisher(PoseStamped, 'ee_pose', qos.SENSOR)
        self._width = node.create_publisher(Float64, 'gripper_width', qos.SENSOR)
        self._clock = node.create_publisher(Clock, '/clock', qos.CLOCK)
        self._status = node.create_publisher(TaskStatus, 'task_status', qos.LATCHED)
        self._instruction = node.create_publisher(String, 'instruction', qos.LATCHED)
        self.observations = 0  # sent; one image per camera each

    def clock(self, now_ns: int) -> None:
        """Publish the simulated time."""
        self._clock.publish(Clock(clock=messages.time_from_ns(now_ns)))

    def observation(self, observation: dict, stamp_ns: int,
                    scene: SceneState | None = None) -> None:
        """Publish CALVIN's observation; images last, so that they complete a set."""
        self.observations += 1
        if self._scene is not None and scene is not None:
            self._scene.publish(messages.scene_state_message(scene, stamp_ns))
        robot_obs = np.asarray(observation['robot_obs'])
        self._joints.publish(messages.joint_state_message(robot_obs, stamp_ns))
        self._pose.publish(messages.pose_message(robot_obs, stamp_ns))
        self._width.publish(Float64(data=float(robot_obs[6])))
        for name, publisher in self._images.items():
            publisher.publish(messages.image_message(
                observation['rgb_obs'][f'rgb_{name}'], stamp_ns, f'camera_{name}'))

    def status(self, stamp_ns: int, **fields) -> None:
        """Publish the latched TaskStatus."""
        message = TaskStatus(**fields)
        message.header.stamp = messages.time_from_ns(stamp_ns)
        self._status.publish(message)

    def instruction(self, sentence: str) -> None:
        """Publish the latched instruction."""
        self._instruction.publish(String(data=sentence))
