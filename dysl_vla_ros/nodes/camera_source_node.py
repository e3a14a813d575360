# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two moving pictures, joint states and a tool pose at a fixed rate, stamped with real time.

    python -m dysl_vla_ros.nodes.camera_source_node --ros-args -p size:=640x480 -p rate_hz:=30.0

Stands for a robot's camera drivers where the time that the policy node needs is measured.
"""

from dataclasses import dataclass
import sys
import threading
import time

from geometry_msgs.msg import PoseStamped
import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String

from dysl_vla_ros.nodes import messages, qos
from dysl_vla_ros.nodes.parameters import declare, field
from dysl_vla_ros.nodes.process import run_node

ROBOT_OBS = np.array([0.1, -0.1, 0.5, np.pi, 0.0, 1.5, 0.04, *np.linspace(-1, 1, 7), 1.0])


@dataclass(frozen=True)
class SourceParameters:
    """Parameters of the source."""

    size: str = field('640x480', 'Width x height of both pictures in pixels.')
    rate_hz: float = field(30.0, 'Pictures per second and camera.', 0.1, 1000.0)
    skew_s: float = field(0.0, 'Second camera: stamped and sent so much later.', 0.0, 1.0)
    instruction: str = field('pull the handle to open the drawer', 'Sent once, latched.')


class CameraSourceNode(Node):
    """Publishes from a thread of its own: sleep, fill, send."""

    def __init__(self, stop: threading.Event) -> None:
        """Create the publishers."""
        super().__init__('camera_source_node')
        self.exit_code = 0
        self._p = declare(self, SourceParameters)
        self._images = {name: self.create_publisher(Image, f'image_{name}', qos.SENSOR)
                        for name in ('static', 'gripper')}
        self._joints = self.create_publisher(JointState, 'joint_states', qos.SENSOR)
        self._pose = self.create_publisher(PoseStamped, 'ee_pose', qos.SENSOR)
        self._instruction = self.create_publisher(String, 'instruction', qos.LATCHED)
        self._stop = stop
        self.sent = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop and say how much was sent."""
        self._stop.set()
        self._thread.join(5.0)
        self.get_logger().info(f'sent {self.sent} observations')

    def _run(self) -> None:
        width, height = map(int, self._p.size.split('x'))
        texture = np.random.default_rng(0).integers(0, 256, (height, 2 * width, 3), dtype=np.uint8)
        pictures = [messages.image_message(texture[:, shift:shift + width], 0, '')
                    for shift in range(0, width, max(1, width // 16))]
        self._instruction.publish(String(data=self._p.instruction))
        period_s = 1.0 / self._p.rate_hz
        next_s = time.monotonic()
        while not self._stop.is_set():
            picture, stamp_ns = pictures[self.sent % len(pictures)], time.time_ns()
            self._joints.publish(messages.joint_state_message(ROBOT_OBS, stamp_ns))
            self._pose.publish(messages.pose_message(ROBOT_OBS, stamp_ns))
            for name, publisher in self._images.items():
                if self._p.skew_s and name == 'gripper':
                    time.sleep(self._p.skew_s)
                    stamp_ns = time.time_ns()
                picture.header.stamp = messages.time_from_ns(stamp_ns)
                picture.header.frame_id = f'camera_{name}'
                publisher.publish(picture)
            self.sent += 1
            next_s = max(next_s + period_s, time.monotonic())
            self._stop.wait(max(0.0, next_s - time.monotonic()))


def main(args: list[str] | None = None) -> int:
    """Entry point of ``camera_source_node``."""
    return run_node(CameraSourceNode, args)


if __name__ == '__main__':
    sys.exit(main())
