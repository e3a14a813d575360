# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What leaves the policy node after a control step: arm commands, action, statistics, markers.

Every action that the policy has made is told in one ``~/inference_stats``: beside its
``~/action``, or with the reason why there is none. So what was acted on and what was sent add up.
"""

import time
from typing import Any

from rclpy.lifecycle import LifecycleNode

from dysl_vla_ros.control.governor import ComputeGovernor
from dysl_vla_ros.control.limits import limit_action
from dysl_vla_ros.msg import EndEffectorAction, InferenceStats
from dysl_vla_ros.nodes import messages, qos
from dysl_vla_ros.nodes.arm import Arm, Commanded
from dysl_vla_ros.nodes.markers import MotionMarkers
from dysl_vla_ros.nodes.parameters import PolicyParameters
from dysl_vla_ros.nodes.session import Counters, Job
from dysl_vla_ros.observation.messages import NOT_SENT
from dysl_vla_ros.skipping.step import Step


class StepOutput:
    """The publishers of one configuration. Called under the node's lock."""

    def __init__(self, node: LifecycleNode, parameters: PolicyParameters, arm: Arm,
                 governor: ComputeGovernor | None, counters: Counters) -> None:
        """Create ``~/action``, ``~/inference_stats`` and, if asked for, ``~/markers``."""
        self._node, self._p, self._arm = node, parameters, arm
        self._governor, self._counters = governor, counters
        self._markers = MotionMarkers(node, parameters) if parameters.outputs.markers else None
        self._actions = node.create_lifecycle_publisher(
            EndEffectorAction, '~/action', qos.COMMAND_OFFER)
        self._stats = node.create_lifecycle_publisher(
            InferenceStats, '~/inference_stats', qos.STATISTICS)
        self._last: tuple[EndEffectorAction, InferenceStats] | None = None
        self.gripper_command = 1.0

    def begin(self) -> None:
        """A new instruction: the gripper is free to decide, the drawn path starts anew."""
        self.gripper_command = 1.0
        self._arm.begin()
        if self._markers is not None:
            self._markers.clear()

    def send(self, step: Step, job: Job, measured: Any) -> tuple[Commanded, InferenceStats]:
        """Limit an action and let it out, everywhere at once.

        Raises:
            ContractError: If the action is not finite; nothing has gone out.
        """
        limited = limit_action(step.action)
        commanded = self._arm.command(limited.action, step.gripper_probability, measured,
                                      job.assembly.stamp_ns)
        action = messages.action_message(commanded.action, job.assembly.stamp_ns,
                                         self._p.action_frame, step.index)
        self._actions.publish(action)  # before all that only tells about it
        stats = self._describe(step, job, (*limited.reasons, *commanded.reasons))
        self._stats.publish(stats)
        self._last = action, stats
        self._counters.add(stats)
        if self._governor is not None:
            if action.gripper != self.gripper_command:
                self._governor.contact_event()
            self._governor.update(stats.latency_ms)
        if self._markers is not None and commanded.pose is not None:
            self._markers.add(commanded.pose, float(step.trace.executed.mean()),
                              self._node.get_clock().now().nanoseconds)
        self.gripper_command = float(action.gripper)
        return commanded, stats

    def hold_back(self, step: Step, job: Job, reason: str) -> None:
        """The policy has advanced by a step of which the arm will see nothing."""
        self._counters.unsent += 1
        self._node.get_logger().warning(f'action not sent: {reason}', throttle_duration_sec=1.0)
        self._stats.publish(self._describe(step, job, (NOT_SENT + reason,)))

    def repeat(self) -> bool:
        """Send the last step again, if there is one: it got lost."""
        if self._last is None:
            return False
        self._arm.repeat()
        self._stats.publish(self._last[1])
        self._actions.publish(self._last[0])
        return True

    def forget(self) -> None:
        """There is nothing to repeat any more."""
        self._last = None

    def age_s(self, job: Job) -> float:
        """Age of a job's observation by the node's clock."""
        now_ns = self._node.get_clock().now().nanoseconds
        return max(0, now_ns - job.assembly.stamp_ns) / 1e9

    def _describe(self, step: Step, job: Job, reasons: tuple[str, ...]) -> InferenceStats:
        return messages.stats_message(
            step, job.assembly.stamp_ns,
            {n: s.stamp_ns for n, s in job.assembly.samples.items()}, reasons,
            1e3 * self.age_s(job), 1e3 * (time.monotonic() - job.arrival_s))

    def destroy(self) -> None:
        """Remove the publishers."""
        for publisher in (self._stats, self._actions):
            self._node.destroy_lifecycle_publisher(publisher)
        if self._markers is not None:
            self._markers.destroy()
