# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
r"""The scripted expert for the policy node: what the simulation's own state allows at best.

    ros2 launch dysl_vla_ros sim.launch.py publish_scene_state:=true
    ros2 run dysl_vla_ros policy_node --ros-args \
        -p policy_factory:=dysl_vla_ros.nodes.expert_policy:create

Not for an arm: it reads the simulation's privileged state (topic ``scene_state``).
"""

from typing import Any

from dysl_vla_ros.evaluation.expert_policy import ExpertPolicy


def create(parameters: Any) -> ExpertPolicy:
    """Build one (``policy_factory``)."""
    return ExpertPolicy()
