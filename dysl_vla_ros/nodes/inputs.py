# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The policy node's input streams: subscriptions, checks on arrival, decoding, health.

Callbacks only look at the header and store; decoding happens on the inference thread.
"""

from collections.abc import Callable, Mapping
import time

from geometry_msgs.msg import PoseStamped
import numpy as np
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image, JointState

from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.nodes import messages, qos
from dysl_vla_ros.nodes.parameters import PolicyParameters
from dysl_vla_ros.nodes.tally import Tally
from dysl_vla_ros.observation.assembler import Assembly, ObservationAssembler
from dysl_vla_ros.observation.messages import (
    IMAGES,
    PROPRIOCEPTION,
    SCENE_STATE,
    observation_from_messages,
)
from dysl_vla_ros.observation.observation import Observation
from dysl_vla_ros.observation.ring import Sample

JOINTS, POSE = PROPRIOCEPTION
_MAX_WAIT_NS = 1_000_000_000  # between DDS and a callback; more means a clock was set


class Inputs:
    """Streams of one configuration. Arrival on the executor's thread, decoding on another."""

    def __init__(self, node: Node, parameters: PolicyParameters, streams: tuple[str, ...],
                 arrived: Callable[[str, int, object], None],
                 tallies: dict[str, Tally] | None = None) -> None:
        """Subscribe to every stream.

        Args:
            node: Owner.
            parameters: All of the policy node's.
            streams: Names.
            arrived: Called with (stream, stamp in ns, message) for valid ones.
            tallies: What became of the messages, by stream; outlives this object.
        """
        p = parameters.inputs
        self._node, self._p, self._arrived, self.streams = node, p, arrived, streams
        image = CompressedImage if p.image_transport == 'compressed' else Image
        types = {JOINTS: JointState, POSE: PoseStamped, SCENE_STATE: JointState}
        profile = qos.sensor(ReliabilityPolicy.RELIABLE if p.reliability == 'reliable'
                             else ReliabilityPolicy.BEST_EFFORT)
        suffix = '/compressed' if p.image_transport == 'compressed' else ''
        self._frames = {'image_static': p.static_frame, 'image_gripper': p.gripper_frame,
                        POSE: parameters.action_frame if parameters.safety.mode != 'simulation'
                        else ''}
        self._subscriptions = {
            name: node.create_subscription(
                types.get(name, image), getattr(p, name) + (suffix if name in IMAGES else ''),
                self._receiver(name), profile)
            for name in streams}
        self.problems: dict[str, str] = {}    # by stream: what is wrong with what arrives
        self._seen: dict[str, tuple[int, float]] = {}
        self.tallies = {} if tallies is None else tallies
        for name in streams:
            self.tallies.setdefault(name, Tally())
        self._arrival_s = dict.fromkeys(streams, 0.0)

    def _receiver(self, stream: str) -> Callable[[object, Mapping[str, int]], None]:
        # Exactly two arguments, by which rclpy knows that the message info is wanted.
        def receive(message: object, info: Mapping[str, int]) -> None:
            self._on_message(stream, message, info)
        receive.takes_info = True  # type: ignore[attr-defined]
        return receive

    def _on_message(self, stream: str, message, info: Mapping[str, int]) -> None:
        # When DDS had it, not when this thread came to it; without a plausible time, now.
        waited_ns = time.time_ns() - (info.get('received_timestamp') or 0)
        self._arrival_s[stream] = time.monotonic() - (
            waited_ns / 1e9 if 0 <= waited_ns < _MAX_WAIT_NS else 0.0)
        tally = self.tallies[stream]
        tally.receive(info, 'a newer one came first')
        frame, expected = message.header.frame_id, self._frames.get(stream, '')
        if expected and frame != expected:
            self._node.get_logger().error(
                f'{stream}: frame_id {frame!r}, expected {expected!r}; message ignored',
                throttle_duration_sec=5.0)
            self.problems[stream] = f'{stream}: frame_id {frame!r}, expected {expected!r}'
            tally.explain('wrong frame_id')
            return
        self.problems.pop(stream, None)
        self._arrived(stream, messages.ns_from_time(message.header.stamp), message)

    # ------------------------------------------------------------------ what becomes of them
    def arrival_s(self, assembly: Assembly) -> float:
        """When the last message of an observation reached this process, steady clock."""
        return max(self._arrival_s[name] for name in assembly.samples)

    def use(self, assembly: Assembly) -> None:
        """These samples go to the policy."""
        for name in assembly.samples:
            self.tallies[name].use()

    def explain(self, reason: str) -> None:
        """The newest samples do not go to the policy now, and why."""
        for name in self.streams:
            self.tallies[name].explain(reason)

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
            values |= self.tallies[name].values(name)
        return values

    def destroy(self) -> None:
        """Remove the subscriptions."""
        for tally in self.tallies.values():
            tally.pause()
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
