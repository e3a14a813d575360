# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""RViz markers: the workspace box and the commanded path, coloured by executed depth."""

from collections import deque

from geometry_msgs.msg import Point
import numpy as np
from rclpy.node import Node
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from dysl_vla_ros.control.target import Pose
from dysl_vla_ros.nodes import messages, qos
from dysl_vla_ros.nodes.parameters import PolicyParameters

_KEPT, _EVERY = 600, 6


class MotionMarkers:
    """Publishes ``~/markers`` a few times per second while the arm is commanded."""

    def __init__(self, node: Node, parameters: PolicyParameters) -> None:
        """Create the publisher."""
        self._node, self._frame = node, parameters.action_frame
        self._safety = parameters.safety
        self._publisher = node.create_publisher(MarkerArray, '~/markers', qos.LATCHED)
        self._points: deque[tuple[Point, ColorRGBA]] = deque(maxlen=_KEPT)
        self._count = 0

    def add(self, pose: Pose, share: float, stamp_ns: int) -> None:
        """Add a commanded pose; ``share`` of the layers ran for it, blue few, red all."""
        x, y, z = map(float, pose.position_m)
        self._points.append((Point(x=x, y=y, z=z),
                             ColorRGBA(r=share, g=0.2, b=1.0 - share, a=1.0)))
        self._count += 1
        if self._count % _EVERY == 1:
            self._publish(stamp_ns)

    def clear(self) -> None:
        """Forget the path (a new instruction)."""
        self._points.clear()
        self._count = 0

    def _publish(self, stamp_ns: int) -> None:
        path = self._marker('commanded path', Marker.LINE_STRIP, stamp_ns)
        path.scale.x = 0.004
        path.points = [point for point, _ in self._points]
        path.colors = [colour for _, colour in self._points]
        array = MarkerArray(markers=[path])
        if self._safety.mode == 'bounded':
            low, high = map(np.array, (self._safety.workspace_min_m, self._safety.workspace_max_m))
            low[2] = max(low[2], self._safety.min_height_m)
            box = self._marker('workspace', Marker.CUBE, stamp_ns)
            messages.fill_pose(box.pose, (low + high) / 2, np.array([0.0, 0, 0, 1]))
            box.scale.x, box.scale.y, box.scale.z = map(float, high - low)
            box.color = ColorRGBA(r=0.2, g=0.8, b=0.2, a=0.08)
            array.markers.append(box)
        self._publisher.publish(array)

    def _marker(self, namespace: str, kind: int, stamp_ns: int) -> Marker:
        marker = Marker(ns=namespace, type=kind, action=Marker.ADD)
        marker.header.frame_id = self._frame
        marker.header.stamp = messages.time_from_ns(stamp_ns)
        marker.pose.orientation.w = 1.0
        return marker

    def destroy(self) -> None:
        """Remove the publisher."""
        self._node.destroy_publisher(self._publisher)
