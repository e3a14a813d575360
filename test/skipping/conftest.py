# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A six-layer network with random weights, its policies, and numbered observations."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

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
from dysl_vla_ros.skipping.config import SkippingConfig
from dysl_vla_ros.skipping.modules import SkipModules
from dysl_vla_ros.skipping.policy import DySLPolicy

INSTRUCTION = 'open the drawer'


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
    import dataclasses

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
