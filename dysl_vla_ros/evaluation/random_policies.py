# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Policies with random weights at any size: time and memory do not depend on the values.

The decoder alone needs no vision tower: it is built on the ``meta`` device first, so that memory
is taken once and only for what runs (roboflamingo-3b in float32: 8.4 GB).
"""

from typing import Any

import numpy as np
import torch
from torch import nn

from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model.config import VLAConfig
from dysl_vla_ros.model.tokenizer import InstructionTokenizer
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.config import SkippingConfig
from dysl_vla_ros.skipping.modules import SkipModules
from dysl_vla_ros.skipping.partition import LayerPartition
from dysl_vla_ros.skipping.policy import DySLPolicy
from dysl_vla_ros.skipping.strategies.dysl import DySL
from dysl_vla_ros.skipping.strategies.fixed_layers import FixedLayers
from dysl_vla_ros.skipping.strategies.joint import JointGate, JointModules, nested_plans
from dysl_vla_ros.skipping.strategy import Dense, Strategy

INSTRUCTION = 'go push the red block to the left'  # eleven tokens with the prompt's three
STATIC_LAYERS = 5  # 20 % of 24
PLANS = 7
_STD = 0.02

CASES = {
    'dense': 'every layer',
    'dysl_closed': 'DySL, all controllers asked, none opens',
    'dysl_open': 'DySL, every group left at its first dynamic layer',
    'dysl_joint_closed': 'DySL-joint, the gate chooses the dense plan',
    'dysl_joint_open': 'DySL-joint, the gate chooses the cheapest plan',
    'truncated': 'the first half of the layers',
}


def random_network(config: VLAConfig, decoder_only: bool, seed: int = 0) -> DySLVLA:
    """The network with random weights; without vision tower and resampler if wanted."""
    torch.manual_seed(seed)
    if not decoder_only:
        return DySLVLA(config).eval().requires_grad_(False)
    with torch.device('meta'):
        model = DySLVLA(config)
    model.vision_encoder = nn.Identity()  # type: ignore[assignment]
    model.perceiver = nn.Identity()  # type: ignore[assignment]
    for part in (model.wte, model.layers, model.lm_head):
        part.to_empty(device='cpu')
    model.requires_grad_(False)
    for name, parameter in model.named_parameters():
        if name.endswith('_gate'):
            parameter.fill_(0.5)
        elif parameter.dim() == 1:
            parameter.fill_(0.0 if 'bias' in name else 1.0)
        else:
            parameter.normal_(0.0, _STD)
    # The two constants of image normalisation stay on meta; nothing asks for them.
    return model.eval()


class _OnHost(DySLPolicy):
    """A policy whose network may keep unused buffers on the meta device."""

    def __init__(self, model: DySLVLA, rule: Strategy) -> None:
        model.mean, model.std = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
        super().__init__(model, InstructionTokenizer.from_sentences([INSTRUCTION]), strategy=rule)


def static_layers(n_layers: int) -> tuple[int, ...]:
    """Five evenly spread static layers, the first and the read-out among them."""
    count = min(STATIC_LAYERS, n_layers)
    return tuple(int(i) for i in np.linspace(0, n_layers - 1, count).round())


def random_policies(config: VLAConfig, names: list[str], decoder_only: bool = True,
                    seed: int = 0) -> dict[str, DySLPolicy]:
    """Policies of ``CASES`` that share one network and one set of adapters and controllers.

    Raises:
        ConfigError: For a name that is not among ``CASES``.
    """
    unknown = [n for n in names if n not in CASES]
    if unknown:
        raise ConfigError(f'--random-weights: unknown {unknown}; expected some of {list(CASES)}')
    model = random_network(config, decoder_only, seed)
    n, d = model.n_layers, config.decoder.d_model
    static = static_layers(n)
    rank = max(8, d // 16)  # 128 at the real width, method.md section 4
    modules = SkipModules(LayerPartition(n, static), d, rank, 64).requires_grad_(False)
    plans = nested_plans(LayerPartition(n, static), PLANS)
    joint = JointModules(LayerPartition(n, static), plans, d, config.vision.width, rank,
                         64).requires_grad_(False)

    def dysl(threshold: float) -> Strategy:
        return DySL(model, SkippingConfig(
            static, n, adapter_rank=rank, controller_hidden=64, skip_threshold=threshold,
            warmup_steps=0, use_prior=False, use_post=False), modules)

    builders: dict[str, Any] = {
        'dense': lambda: Dense(model, 'dense'),
        'dysl_closed': lambda: dysl(2.0), 'dysl_open': lambda: dysl(0.0),
        'dysl_joint_closed': lambda: JointGate(model, joint, plans, float('-inf')),
        'dysl_joint_open': lambda: JointGate(model, joint, plans, float('inf')),
        'truncated': lambda: FixedLayers(model, 'truncated', list(range(max(1, n // 2))))}
    policies: dict[str, DySLPolicy] = {}
    for name in names:
        policies[name] = _OnHost(model, builders[name]())
        policies[name].reset(INSTRUCTION)
    return policies
