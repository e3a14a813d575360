# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A synthetic packed folder: the action is in the image's colour and a square's place."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dysl_vla_ros.configuration import to_mapping
from dysl_vla_ros.model import config as sizes
from dysl_vla_ros.model.config import (
    DecoderConfig,
    HeadConfig,
    ResamplerConfig,
    VisionConfig,
    VLAConfig,
)
from dysl_vla_ros.model.tokenizer import InstructionTokenizer
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.config import SkippingConfig
from dysl_vla_ros.skipping.registry import build_skip_modules
from dysl_vla_ros.training.strategy_config import StrategyConfig

SIZE = 16


def write_folder(folder: Path, seed: int = 0, seeds=range(4), lengths=(9, 3)) -> Path:
    """Episodes of the given lengths for each seed; frame i has scene_obs[23] = i."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    episodes, start = [], 0
    for chain in seeds:
        for length, task in zip(lengths, ('open_drawer', 'turn_on_led'), strict=False):
            episodes.append({'start': start, 'end': start + length, 'task': task,
                             'instructions': [task.replace('_', ' '), f'please {task[:4]}'],
                             'seed': chain, 'success': True})
            start += length
    place = rng.uniform(-1, 1, (start, 2))
    images = np.zeros((2, start, SIZE, SIZE, 3), np.uint8)
    corner = np.round((place + 1) / 2 * (SIZE - 4)).astype(int)
    images[..., :2] = np.round(120 * (place + 1))[None, :, None, None].astype(np.uint8)
    for i, (row, column) in enumerate(corner):
        images[:, i, row:row + 4, column:column + 4] = 255
    actions = np.zeros((start, 7), np.float32)
    actions[:, :2] = place
    actions[:, 6] = np.where(place[:, 0] > 0, 1, -1)
    scene = np.zeros((start, 24))
    scene[:, 23] = np.arange(start)
    robot = np.zeros((start, 15))
    robot[:, :2] = 0.2 * place
    for name, array in {'rgb_static': images[0], 'rgb_gripper': images[1], 'scene_obs': scene,
                        'robot_obs': robot,
                        'actions': actions}.items():
        np.save(folder / f'{name}.npy', array)
    (folder / 'episodes.json').write_text(
        json.dumps({'image_size': SIZE, 'episodes': episodes}))
    (folder / 'manifest.json').write_text(json.dumps({'sha256': f'synthetic {seed}'}))
    return folder


@pytest.fixture
def packed(tmp_path):
    """One folder of four chains."""
    return write_folder(tmp_path / 'packed')


@pytest.fixture
def make_packed():
    """The writer itself, for tests that need several folders."""
    return write_folder


@pytest.fixture
def tiny_size(monkeypatch) -> str:
    """Name of a network that trains in milliseconds per step."""
    monkeypatch.setitem(sizes.KNOWN_SIZES, 'tiny', VLAConfig(
        name='tiny',
        vision=VisionConfig(image_size=SIZE, patch_size=4, width=32, layers=1, heads=2,
                            resize='area'),
        resampler=ResamplerConfig(depth=1, heads=2, head_dim=16, latents=4, ff_mult=2),
        decoder=DecoderConfig(d_model=32, n_heads=2, n_layers=2, feature_layer=1, vocab_size=128,
                              cross_heads=2, cross_head_dim=16, cross_ff_mult=2,
                              initial_gate=0.5),
        head=HeadConfig(lstm_hidden=32, lstm_layers=2, dropout=0.1, mlp_hidden=(32,), window=4)))
    return 'tiny'


@pytest.fixture
def weights(tmp_path, packed, tiny_size):
    """Six layers with random weights, DySL files and a packed folder."""
    torch.manual_seed(0)
    size = sizes.KNOWN_SIZES[tiny_size]
    model = DySLVLA(dataclasses.replace(size, decoder=dataclasses.replace(
        size.decoder, n_layers=6, feature_layer=5)))
    folder = tmp_path / 'weights'
    model.save_pretrained(folder)
    InstructionTokenizer.from_sentences(['open drawer', 'please open', 'turn on led',
                                         'please turn']).save(folder)
    skipping = SkippingConfig((0, 3, 5), 6, adapter_rank=4, controller_hidden=4, warmup_steps=1)
    (folder / 'skipping.json').write_text(json.dumps(to_mapping(skipping)))
    build_skip_modules(model, skipping).save(folder)
    return folder


@pytest.fixture
def config(packed):
    """Options that train and calibrate a strategy in a second."""
    return StrategyConfig(
        data=(str(packed),), max_frames=20, scoring_frames=16, calibration_episodes=2,
        budgets=(0.5, 0.75, 1.0), default_budget=0.75, bisections=4, steps=4, batch=2,
        warmup_steps=2, adapter_rank=4, hidden=4, plans=4, gate_steps=3, gate_windows=4,
        log_every=1)
