# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A six-layer network with random weights, its policies, and numbered observations."""

from collections.abc import Callable
import dataclasses
import json
from pathlib import Path
import sys

import numpy as np
import pytest
import torch

from dysl_vla_ros.configuration import to_mapping
from dysl_vla_ros.model import checkpoint
from dysl_vla_ros.model.config import (
    DecoderConfig,
    HeadConfig,
    ResamplerConfig,
    VisionConfig,
    VLAConfig,
)
from dysl_vla_ros.model.tokenizer import InstructionTokenizer
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.observation.observation import Observation
from dysl_vla_ros.skipping import registry
from dysl_vla_ros.skipping.config import SkippingConfig
from dysl_vla_ros.skipping.modules import SkipModules
from dysl_vla_ros.skipping.policy import DySLPolicy
from dysl_vla_ros.skipping.registry import JointOptions, build_joint_modules, build_skip_modules
from dysl_vla_ros.skipping.strategies.early_exit import ExitHead
from dysl_vla_ros.skipping.strategies.layer_gates import LayerGates
from dysl_vla_ros.skipping.strategies.one_shot_router import Router
from dysl_vla_ros.skipping.strategy_file import Setting, StrategyFile

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'fakes'))

INSTRUCTION = 'open the drawer'
PLANS = ((1, 4), (2, 4), (2, 5), (3, 5))


@pytest.fixture
def model() -> DySLVLA:
    """Six layers, window 4, random weights, frozen."""
    torch.manual_seed(0)
    size = VLAConfig(
        name='tiny',
        vision=VisionConfig(image_size=16, patch_size=8, width=16, layers=1, heads=2,
                            resize='area'),
        resampler=ResamplerConfig(depth=1, heads=2, head_dim=8, latents=4, ff_mult=2),
        decoder=DecoderConfig(d_model=16, n_heads=2, n_layers=6, feature_layer=5, vocab_size=32,
                              cross_heads=2, cross_head_dim=8, cross_ff_mult=2, initial_gate=0.5),
        head=HeadConfig(lstm_hidden=12, lstm_layers=1, dropout=0.0, mlp_hidden=(8,), window=4))
    return DySLVLA(size).eval().requires_grad_(False)


@pytest.fixture
def tokenizer() -> InstructionTokenizer:
    """Knows two instructions."""
    return InstructionTokenizer.from_sentences([INSTRUCTION, 'turn on the light bulb'])


@pytest.fixture
def skipping() -> SkippingConfig:
    """Static 0, 3, 5; every controller jumps."""
    return SkippingConfig(static_layers=(0, 3, 5), n_layers=6, adapter_rank=4,
                          controller_hidden=4, skip_threshold=0.0)


@pytest.fixture
def modules(model: DySLVLA, skipping: SkippingConfig) -> SkipModules:
    """Adapters that change their input, so that skipping changes the action."""
    torch.manual_seed(1)
    result = SkipModules(skipping.partition, 16, 4, 4)
    for adapter in result.adapters.values():
        torch.nn.init.normal_(adapter.up.weight)
    return result


@pytest.fixture
def make_policy(model, tokenizer, skipping, modules) -> Callable[..., DySLPolicy]:
    """Policies that share one network; keywords change the skipping configuration."""
    def make(strategy: str = 'dysl', **changes) -> DySLPolicy:
        if strategy == 'dense':
            return DySLPolicy(model, tokenizer, strategy='dense')
        policy = DySLPolicy(model, tokenizer, dataclasses.replace(skipping, **changes), modules)
        policy.reset(INSTRUCTION)
        return policy

    return make


@pytest.fixture
def observe() -> Callable[[int], Observation]:
    """Random images numbered by step; equal numbers give equal images."""

    def make(number: int) -> Observation:
        rng = np.random.default_rng(number)
        images = rng.integers(0, 256, (2, 20, 20, 3), dtype=np.uint8)
        return Observation(images[0], images[1], rng.normal(size=15), number)

    return make


@pytest.fixture
def all_strategies(tmp_path, model, tokenizer, skipping, modules):
    """A weights folder with files of every strategy; added modules are shaken, so they matter."""
    model.save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    modules.save(tmp_path)
    (tmp_path / 'skipping.json').write_text(json.dumps(to_mapping(skipping)))
    sha = checkpoint.file_hash(tmp_path / checkpoint.WEIGHTS)
    joint = JointOptions((0, 3, 5), PLANS, 4, 8, 1e9)
    one_stage = dataclasses.replace(skipping, skip_threshold=0.0)
    no_split = dataclasses.replace(skipping, static_layers=(0, 5), joins_groups=False)
    content = {
        'truncated': ({}, {'kept': [0, 1, 2]}, registry.recoveries(model, [[0, 1, 2]])),
        'static_drop_cosine': ({}, {'kept': [0, 2, 5]}, registry.recoveries(model, [[0, 2, 5]])),
        'static_drop_gradient': ({}, {'kept': [0, 5]}, registry.recoveries(model, [[0, 5]])),
        'random': ({}, {'mean_layers': 4.5}, None),
        'deer': ({'exits': [1, 3, 5]}, {'thresholds': [1e8, 1e8, 1e8]}, ExitHead(model)),
        'flexidepth': ({}, {'threshold': 0.99}, LayerGates(model)),
        'one_shot_router': ({'hidden': 4}, {'keep': 3}, Router(model, 4)),
        'action_reuse': ({}, {'speed_threshold': 0.0}, None),
        'dysl_joint': ({k: v for k, v in to_mapping(joint).items() if k != 'threshold'},
                       {'threshold': 1e9}, build_joint_modules(model, joint)),
        'dysl_one_stage': (to_mapping(one_stage), {}, build_skip_modules(model, one_stage)),
        'dysl_no_split': (to_mapping(no_split), {}, build_skip_modules(model, no_split)),
    }
    generator = torch.Generator().manual_seed(0)
    for name, (options, values, added) in content.items():
        if added is not None:
            with torch.no_grad():
                for parameter in added.parameters():
                    parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
        StrategyFile(name, sha, options, (Setting(0.5, 0.5, values),), 0.5).save(tmp_path, added)
    return tmp_path
