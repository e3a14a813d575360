# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A tiny network for every model test, and the tiny RoboFlamingo reference where it exists."""

from dataclasses import dataclass
import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
import torch

from dysl_vla_ros.model.config import (
    DecoderConfig,
    HeadConfig,
    ResamplerConfig,
    VisionConfig,
    VLAConfig,
)
from dysl_vla_ros.model.reference_checkpoint import load_roboflamingo
from dysl_vla_ros.model.vla import DySLVLA


@dataclass(frozen=True)
class Reference:
    """The reference folder, its configuration and its recorded tensors."""

    folder: Path
    config: VLAConfig
    tensors: dict[str, torch.Tensor]

    def load(self) -> DySLVLA:
        """A fresh network with the reference weights."""
        return load_roboflamingo(self.folder / 'checkpoint.pth',
                                 self.folder / 'clip_visual.safetensors', self.config)

    def pixels(self, step: int) -> torch.Tensor:
        """(1, 2, 3, 56, 56) normalised images of a control step."""
        images = [self.tensors[f'in.{camera}'][step, 0] for camera in ('rgb', 'gripper')]
        return torch.stack(images, dim=1)


@pytest.fixture(scope='session')
def reference(reference_file) -> Reference:
    """Tiny RoboFlamingo, random weights, recorded from the original code."""
    folder = reference_file('roboflamingo_tiny')
    c = json.loads((folder / 'config.json').read_text())
    config = VLAConfig(
        name='roboflamingo-tiny',
        vision=VisionConfig(image_size=56, patch_size=14, width=c['vis'], layers=c['vit_layers'],
                            heads=c['vit_heads']),
        resampler=ResamplerConfig(),
        # The feature is the input of the last block, hence the output of the one before it.
        decoder=DecoderConfig(d_model=c['d_model'], n_heads=c['n_heads'], n_layers=c['n_layers'],
                              feature_layer=c['n_layers'] - 2, vocab_size=c['vocab']),
        head=HeadConfig(lstm_hidden=c['lstm_hidden'], window=c['window']))
    return Reference(folder, config, load_file(folder / 'expected.safetensors'))


@pytest.fixture(scope='session')
def tiny_config() -> VLAConfig:
    """A network that builds in milliseconds."""
    return VLAConfig(
        name='tiny',
        vision=VisionConfig(image_size=16, patch_size=8, width=16, layers=1, heads=2,
                            resize='area'),
        resampler=ResamplerConfig(depth=1, heads=2, head_dim=8, latents=4, ff_mult=2),
        decoder=DecoderConfig(d_model=16, n_heads=2, n_layers=3, feature_layer=2, vocab_size=128,
                              cross_heads=2, cross_head_dim=8, cross_ff_mult=2, initial_gate=0.5),
        head=HeadConfig(lstm_hidden=12, lstm_layers=2, dropout=0.1, mlp_hidden=(8,), window=4))


@pytest.fixture
def tiny_model(tiny_config: VLAConfig) -> DySLVLA:
    """The tiny network with random weights, in evaluation mode."""
    torch.manual_seed(0)
    return DySLVLA(tiny_config).eval()
