# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Policies with random weights at any size: time and memory do not depend on the values."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from dysl_vla_ros.configuration import to_mapping
from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model import checkpoint
from dysl_vla_ros.model.acceleration import AS_STORED, Acceleration, accelerate
from dysl_vla_ros.model.config import VLAConfig
from dysl_vla_ros.model.random_model import random_model
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

CASES = {
    'dense': 'every layer',
    'dysl_closed': 'DySL, all controllers asked, none opens',
    'dysl_open': 'DySL, every group left at its first dynamic layer',
    'dysl_joint_closed': 'DySL-joint, the gate chooses the dense plan',
    'dysl_joint_open': 'DySL-joint, the gate chooses the cheapest plan',
    'truncated': 'the first half of the layers',
}


def static_layers(n_layers: int) -> tuple[int, ...]:
    """Five evenly spread static layers, the first and the read-out among them."""
    count = min(STATIC_LAYERS, n_layers)
    return tuple(int(i) for i in np.linspace(0, n_layers - 1, count).round())


def write_random_weights(config: VLAConfig, folder: Path, seed: int = 0) -> None:
    """Write a float32 network of any size, unless the folder has one: 10 GB for 3B.

    Raises:
        ConfigError: If the folder holds a network of other sizes.
    """
    if not (folder / checkpoint.WEIGHTS).is_file():
        random_model(config, seed=seed).save_pretrained(folder)
    elif checkpoint.load_config(folder) != config:
        raise ConfigError(f'{folder} holds another network than {config.name}; name an empty '
                          'folder')


def random_policies(config: VLAConfig, names: list[str], decoder_only: bool = True,
                    seed: int = 0, device: str = 'cpu',
                    acceleration: Acceleration = AS_STORED,
                    folder: Path | None = None) -> dict[str, DySLPolicy]:
    """Policies of ``CASES`` that share one network and one set of adapters and controllers.

    Args:
        config: Sizes.
        names: Of ``CASES``.
        decoder_only: Build no vision tower: the policies act on media latents only.
        seed: Of the weights.
        device: Torch device.
        acceleration: As for a loaded network; 'stored' means float32.
        folder: Load the network from here (``write_random_weights``) as a real one is loaded.

    Raises:
        ConfigError: For a name that is not among ``CASES``, or int8 without torchao.
    """
    unknown = [n for n in names if n not in CASES]
    if unknown:
        raise ConfigError(f'--random-weights: unknown {unknown}; expected some of {list(CASES)}')
    torch.manual_seed(seed)
    if folder is not None:
        model = DySLVLA.from_pretrained(folder, device=device, dtype=acceleration.torch_dtype)
    else:
        model = random_model(config, acceleration.torch_dtype or torch.float32, device, seed,
                             decoder_only)
    tokenizer = InstructionTokenizer.from_sentences([INSTRUCTION])
    left_out = accelerate(model, acceleration)
    source = {'acceleration': {**to_mapping(acceleration), 'left_out': left_out}}
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
        policies[name] = DySLPolicy(model, tokenizer, strategy=builders[name](), device=device,
                                    source=source)
        policies[name].reset(INSTRUCTION)
    return policies
