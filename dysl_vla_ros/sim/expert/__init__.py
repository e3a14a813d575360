# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A scripted closed-loop expert for the 34 CALVIN tasks, from privileged state."""

from dysl_vla_ros.sim.expert.expert import InfeasibleTask, ScriptedExpert
from dysl_vla_ros.sim.expert.reported import ReportedWorld, scene_state

__all__ = ['InfeasibleTask', 'ReportedWorld', 'ScriptedExpert', 'scene_state']
