# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bring a policy to life from the node's parameters: the shipped one or one's own."""

import importlib
from typing import Any, Protocol

import numpy as np

from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.nodes.parameters import PolicyParameters
from dysl_vla_ros.observation.observation import Observation
from dysl_vla_ros.resources import resolve
from dysl_vla_ros.skipping.step import Step

WARM_UP_STEPS = 3


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


def load_policy(parameters: PolicyParameters) -> Policy:
    """Load the policy that the parameters name and warm it up.

    Raises:
        ConfigError: For an unknown factory, strategy or a missing weights folder.
        CheckpointError: If the weights are damaged.
    """
    if parameters.policy_factory:
        policy = call_factory(parameters.policy_factory, parameters)
    else:
        import torch

        from dysl_vla_ros.skipping.policy import DySLPolicy
        torch.set_num_threads(parameters.torch_threads)
        folder = resolve(parameters.checkpoint)
        if not folder.is_dir():
            raise ConfigError(f'checkpoint folder {folder} does not exist; give the parameter '
                              'checkpoint, or train one with dysl-vla train')
        policy = DySLPolicy.from_pretrained(folder, parameters.strategy, parameters.device,
                                            parameters.budget or None)
    warm_up(policy)
    return policy


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
