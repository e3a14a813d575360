# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The CALVIN world in PyBullet: the only room that imports it."""

from importlib.util import find_spec

from dysl_vla_ros.sim.env import PlayTableEnv
from dysl_vla_ros.sim.sequences import get_env_state_for_initial_condition, get_sequences
from dysl_vla_ros.sim.tasks import TaskOracle

__all__ = ['PlayTableEnv', 'TaskOracle', 'get_env_state_for_initial_condition', 'get_sequences']

if find_spec('gymnasium') is not None:  # optional
    from dysl_vla_ros.sim.gym_env import register

    register()
