# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tiny networks for every model test, and the tiny references where they exist."""

from dataclasses import dataclass
from pathlib import Path
import sys

import pytest
from safetensors.torch import load_file
import torch

from dysl_vla_ros.model.checkpoints import open_published
from dysl_vla_ros.model.config import (
    DecoderConfig,
    HeadConfig,
    ResamplerConfig,
    VisionConfig,
    VLAConfig,
)
from dysl_vla_ros.model.vla import DySLVLA

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'fakes'))


@dataclass(frozen=True)
class Reference:
    """The reference folder, its configuration and its recorded tensors."""

    folder: Path
    config: VLAConfig
    tensors: dict[str, torch.Tensor]

    def load(self) -> DySLVLA:
        """A fresh network with the reference weights."""
        return open_published(self.folder, config=self.config).load()

    def pixels(self, step: int) -> torch.Tensor:
        """(1, 2, 3, 56, 56) normalised images of a control step."""
        images = [self.tensors[f'in.{camera}'][step, 0] for camera in ('rgb', 'gripper')]
        return torch.stack(images, dim=1)


@pytest.fixture(scope='session')
def reference(reference_file) -> Reference:
    """Tiny RoboFlamingo, random weights, recorded from the original code."""
    folder = reference_file('roboflamingo_tiny')
    return Reference(folder, open_published(folder).config,
                     load_file(folder / 'expected.safetensors'))


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
