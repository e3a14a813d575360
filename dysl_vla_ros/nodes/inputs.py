# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The policy node's input streams: subscriptions, checks on arrival, decoding, health.

Callbacks only look at the header and store; decoding happens on the inference thread.
"""

from collections.abc import Callable
import time

from geometry_msgs.msg import PoseStamped
import numpy as np
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image, JointState

from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.nodes import messages, qos
from dysl_vla_ros.nodes.parameters import PolicyParameters
from dysl_vla_ros.observation.assembler import ObservationAssembler
from dysl_vla_ros.observation.messages import (
    IMAGES,
    PROPRIOCEPTION,
    observation_from_messages,
)
from dysl_vla_ros.observation.observation import Observation
from dysl_vla_ros.observation.ring import Sample

JOINTS, POSE = PROPRIOCEPTION


class Inputs:
    """Streams of one configuration. Arrival on the executor's thread, decoding on another."""

    def __init__(self, node: Node, parameters: PolicyParameters, streams: tuple[str, ...],
                 arrived: Callable[[str, int, object], None]) -> None:
        """Subscribe to every stream; ``arrived(stream, stamp_ns, message)`` gets valid ones."""
        p = parameters.inputs
        self._node, self._p, self._arrived, self.streams = node, p, arrived, streams
        image = CompressedImage if p.image_transport == 'compressed' else Image
        types = {JOINTS: JointState, POSE: PoseStamped}
        profile = qos.sensor(ReliabilityPolicy.RELIABLE if p.reliability == 'reliable'
                             else ReliabilityPolicy.BEST_EFFORT)
        suffix = '/compressed' if p.image_transport == 'compressed' else ''
        self._frames = {'image_static': p.static_frame, 'image_gripper': p.gripper_frame,
                        POSE: parameters.action_frame if parameters.safety.mode != 'simulation'
                        else ''}
        self._subscriptions = {
            name: node.create_subscription(
                types.get(name, image), getattr(p, name) + (suffix if name in IMAGES else ''),
                lambda message, name=name: self._on_message(name, message), profile)
            for name in streams}
        self.problems: dict[str, str] = {}    # by stream: what is wrong with what arrives
        self._seen: dict[str, tuple[int, float]] = {}

    def _on_message(self, stream: str, message) -> None:
        frame, expected = message.header.frame_id, self._frames.get(stream, '')
        if expected and frame != expected:
            self._node.get_logger().error(
                f'{stream}: frame_id {frame!r}, expected {expected!r}; message ignored',
                throttle_duration_sec=5.0)
            self.problems[stream] = f'{stream}: frame_id {frame!r}, expected {expected!r}'
            return
        self.problems.pop(stream, None)
        self._arrived(stream, messages.ns_from_time(message.header.stamp), message)

    # ------------------------------------------------------------------ decoding
    def observation(self, samples: dict[str, Sample], gripper: float,
                    stamp_ns: int) -> Observation:
        """Decode what one control step sees; ``gripper`` is the last command, -1 or +1.

        Raises:
            ContractError: If an image is broken or a joint missing; names the stream.
            ConfigError: If an encoding needs a package that is not there.
        """
        return observation_from_messages(
            {name: sample.value for name, sample in samples.items()}, gripper, stamp_ns,
            self._decode, self._p.arm_joints, self._p.finger_joints)

    def _decode(self, name: str, message) -> np.ndarray:
        try:
            image = messages.image_from_message(message)
        except ContractError as error:
            raise ContractError(f'{name}: {error}') from error
        return image

    # ------------------------------------------------------------------ health
    def duplicates(self) -> str:
        """Name a stream with two publishers, or ''."""
        for name, subscription in self._subscriptions.items():
            count = self._node.count_publishers(subscription.topic_name)
            if count > 1:
                return f'{name}: {count} publishers on {subscription.topic_name}'
        return ''

    def health(self, assembler: ObservationAssembler, now_ns: int) -> dict[str, object]:
        """Rate, age and counters of every stream, for diagnostics (1 Hz)."""
        values: dict[str, object] = {}
        now_s = time.monotonic()
        for name in assembler.streams:
            counters, newest = assembler.counters[name], assembler.newest(name)
            count, since_s = self._seen.get(name, (counters.received, now_s))
            self._seen[name] = counters.received, now_s
            if now_s > since_s:
                values[f'{name} Hz'] = round((counters.received - count) / (now_s - since_s), 1)
            if newest is not None:
                values[f'{name} age ms'] = round((now_ns - newest.stamp_ns) / 1e6, 1)
            for key in ('late', 'repeated', 'jumps'):
                if getattr(counters, key):
                    values[f'{name} {key}'] = getattr(counters, key)
        return values

    def destroy(self) -> None:
        """Remove the subscriptions."""
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
