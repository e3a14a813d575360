# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bring a policy to life from the node's parameters: the shipped one or one's own."""

from collections.abc import Callable
import contextlib
import importlib
from importlib import metadata
import os
import platform
import sys
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import rclpy

from dysl_vla_ros.control.governor import ComputeGovernor, GovernorSettings
from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.nodes.parameters import GovernorParameters, PolicyParameters
from dysl_vla_ros.observation.observation import Observation
from dysl_vla_ros.resources import resolve
from dysl_vla_ros.skipping.step import Step

WARM_UP_STEPS = 3
_FLOOR_SHARE = 0.5  # of the calibrated threshold, where no floor is given


class Policy(Protocol):
    """What the node needs; ``DySLPolicy`` and the test's fakes have it."""

    def reset(self, instruction: str) -> None:
        """Start an instruction; clears every recurrent state."""

    def act(self, observation: Observation) -> Step:
        """Predict one action and commit it."""

    def describe(self) -> dict[str, Any]:
        """What runs here, JSON-ready."""


def call_factory(path: str, parameters: Any) -> Any:
    """Call ``module:function`` with the parameters.

    Raises:
        ConfigError: If the module or function does not exist.
    """
    module, _, name = path.partition(':')
    try:
        factory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f'factory {path!r}: {error}; expected module:function') from error
    return factory(parameters)


def load_policy(parameters: PolicyParameters,
                progress: Callable[[str], None] = lambda phase: None) -> Policy:
    """Load the policy that the parameters name and warm it up; ``progress`` is told each phase.

    Raises:
        ConfigError: For an unknown factory, strategy or a missing weights folder.
        CheckpointError: If the weights are damaged.
    """
    progress('loading the policy')
    if parameters.policy_factory:
        policy = call_factory(parameters.policy_factory, parameters)
    else:
        torch = import_torch(parameters.torch_threads)
        folder = resolve(parameters.checkpoint)
        if not folder.is_dir():
            raise ConfigError(f'checkpoint folder {folder} does not exist; give the parameter '
                              'checkpoint, or train one with dysl-vla train')
        if parameters.device.startswith('cuda') and not torch.cuda.is_available():
            raise ConfigError(f'device {parameters.device!r}: this torch sees no GPU')
        from dysl_vla_ros.model.acceleration import Acceleration
        from dysl_vla_ros.skipping.policy import DySLPolicy
        policy = DySLPolicy.from_pretrained(
            folder, parameters.strategy, parameters.device, parameters.budget or None,
            acceleration=Acceleration(parameters.dtype, parameters.int8, parameters.compile,
                                      parameters.cuda_graphs))
    progress('warming up')
    if not uses_scene_state(policy):  # grey images do not show it the world it asks for
        warm_up(policy)
    return policy


def import_torch(threads: int) -> ModuleType:
    """Import torch with a fixed number of CPU threads.

    OpenMP and oneDNN read the environment once, when torch is loaded, and choose other kernels
    with other roundings than ``set_num_threads`` alone gives: without this, the same weights
    act differently under ``ros2 launch`` and ``dysl-vla demo``.
    """
    if 'torch' not in sys.modules:
        for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
            os.environ[name] = str(threads)
    torch = importlib.import_module('torch')
    torch.set_num_threads(threads)
    return torch


def create_governor(policy: Policy, parameters: GovernorParameters) -> ComputeGovernor | None:
    """Create the compute governor, or None when it is off.

    Raises:
        ConfigError: If the policy has no skip threshold, or the floor is above it.
    """
    if not parameters.budget_ms:
        return None
    calibrated = policy.describe().get('skipping') or {}
    if _executor(policy) is None or 'skip_threshold' not in calibrated:
        raise ConfigError('governor.budget_ms needs a policy that skips layers (strategy dysl)')
    threshold = float(calibrated['skip_threshold'])
    try:
        return ComputeGovernor(
            GovernorSettings(parameters.budget_ms,
                             parameters.min_threshold or _FLOOR_SHARE * threshold,
                             full_depth_steps=parameters.full_depth_steps), threshold)
    except ValueError as error:
        raise ConfigError(f'governor: {error}') from error


def set_skip_threshold(policy: Any, threshold: float) -> None:
    """Set the probability above which layers are skipped (1: none)."""
    _executor(policy).set_threshold(threshold)


def _executor(policy: Any) -> Any:
    """What runs the layers, if the policy's strategy skips by a threshold."""
    return getattr(getattr(policy, 'rule', None), 'executor', None)


def versions() -> dict[str, str]:
    """Versions of what decides about the result, for the latched description."""
    names = ('dysl_vla_ros', 'torch', 'numpy', 'opencv-python-headless', 'transformers')
    found = {'python': platform.python_version(), 'machine': platform.machine(),
             'ros_distro': os.environ.get('ROS_DISTRO', ''),
             'rmw': rclpy.get_rmw_implementation_identifier()}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def warm_up(policy: Policy) -> None:
    """Run a few steps on grey images, so that the first real step is not the slow one."""
    grey = Observation(np.full((200, 200, 3), 128, np.uint8), np.full((84, 84, 3), 128, np.uint8),
                       np.zeros(15))
    policy.reset('warm up')
    for _ in range(WARM_UP_STEPS):
        policy.act(grey)


def needs_robot_obs(policy: Policy) -> bool:
    """Whether the policy uses proprioception, from its own description."""
    head = policy.describe().get('model', {}).get('head', {})
    return bool(head.get('use_state', False))


def uses_scene_state(policy: Policy) -> bool:
    """Whether the policy looks at the simulation's privileged state, as the expert does."""
    return bool(getattr(policy, 'uses_scene_state', False))
