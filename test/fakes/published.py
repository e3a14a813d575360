# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes checkpoints as the originals do, from random weights of our own network.

The names come from the loader's own table, so this proves nothing about them; the parity tests
do. It serves for damage, containers and conversion.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
import torch

from dysl_vla_ros.model.clip_names import hf_names
from dysl_vla_ros.model.config import (
    DecoderConfig,
    ExitConfig,
    HeadConfig,
    ResamplerConfig,
    VisionConfig,
    VLAConfig,
)
from dysl_vla_ros.model.published_names import origins
from dysl_vla_ros.model.vla import DySLVLA

ROBOFLAMINGO = VLAConfig(
    name='roboflamingo',
    vision=VisionConfig(image_size=16, patch_size=8, width=32, layers=2, heads=2),
    resampler=ResamplerConfig(depth=1, heads=1, latents=4, ff_mult=2),
    decoder=DecoderConfig(d_model=16, n_heads=2, n_layers=4, feature_layer=2, vocab_size=32,
                          cross_heads=1, cross_ff_mult=2),
    head=HeadConfig(lstm_hidden=8, lstm_layers=2, mlp_hidden=(8, 6), window=3))
DEER = dataclasses.replace(
    ROBOFLAMINGO, name='deer', decoder=dataclasses.replace(ROBOFLAMINGO.decoder, feature_layer=3),
    head=HeadConfig(lstm_hidden=8, lstm_layers=2, dropout=0.3, lstm_layernorm=True,
                    mlp_hidden=(8, 6), mlp_layernorm=True, mlp_dropout=0.4,
                    dropout_mode='layerwise', window=3, window_mode='carry'),
    exits=ExitConfig((1, 3), has_auxiliary_heads=True))
_ALL_NAMES = ('lang_encoder.transformer.blocks.0.gated_cross_attn_layer.x',
              'lang_encoder.gated_cross_attn_layers.0.x', 'lang_encoder.old_decoder_blocks.0.x')


def published_weights(config: VLAConfig, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights of every layer under the originals' names; the tower under ``visual.``."""
    complete = dataclasses.replace(config, decoder=dataclasses.replace(
        config.decoder, feature_layer=config.decoder.n_layers - 1, initial_gate=0.5))
    torch.manual_seed(seed)
    ours = DySLVLA(complete).state_dict()
    kind = 'deer' if config.exits is not None else 'roboflamingo'
    n_exits = len(config.exits.layers) if config.exits is not None else 0
    weights = {}
    for name, origin in origins(kind, _ALL_NAMES, ours, n_exits).items():
        weights[origin.keys[0]] = ours[name]
        if origin.alias is not None:
            weights[origin.alias] = ours[name]
    weights |= {k.replace('vision_encoder.', 'visual.', 1): v for k, v in ours.items()
                if k.startswith('vision_encoder.')}
    width = config.vision.width
    return weights | {'visual.ln_post.weight': torch.ones(width), 'visual.proj': torch.ones(width),
                      'visual.ln_post.bias': torch.zeros(width)}


def split(weights: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], ...]:
    """The policy's tensors and the tower's."""
    tower = {k: v for k, v in weights.items() if k.startswith('visual.')}
    return {k: v for k, v in weights.items() if k not in tower}, tower


def container(config: VLAConfig, policy: dict[str, torch.Tensor]) -> dict[str, Any]:
    """The published container, with an optimizer's state."""
    result: dict[str, Any] = {
        'epoch': 4, 'model_state_dict': {f'module.{k}': v for k, v in policy.items()},
        'optimizer_state_dict': {'state': {0: {'exp_avg': torch.ones(5)}}, 'param_groups': []},
        'lr_scheduler_state_dict': {'last_epoch': 3}}
    if config.exits is not None:
        result |= {'head_type': 'deterministic', 'early_exit_layer': config.decoder.n_layers - 1,
                   'multi_exit': True, 'exit_interval': 2, 'exit_dropout': 0.4,
                   'lstm_dropout': 0.3, 'dropout_mode': 'layerwise', 'mlp_layernorm': True,
                   'lstm_layernorm': True, 'mlp_num_hidden_layers': 2, 'lstm_num_layers': 2,
                   'pooling': 'max', 'precision': 'fp32',
                   'values': torch.rand(2, 50, generator=torch.Generator().manual_seed(1))}
    return result


def hf_tower(tower: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tower under transformers' names, projections split in three."""
    result = {}
    for key, value in tower.items():
        name = key.removeprefix('visual.')
        if name.startswith('ln_post.'):
            result[f'{prefix}{name.replace("ln_post", "post_layernorm")}'] = value
        elif name != 'proj':
            names = hf_names(name)
            parts = value.chunk(len(names))
            result |= {prefix + n: p.clone() for n, p in zip(names, parts, strict=True)}
    return result


def write_published(folder: Path, config: VLAConfig, seed: int = 0) -> Path:
    """Write a folder as the tiny references are laid out."""
    folder.mkdir(parents=True, exist_ok=True)
    policy, tower = split(published_weights(config, seed))
    torch.save(container(config, policy), folder / 'checkpoint.pth')
    save_file(tower, folder / 'clip_visual.safetensors')
    decoder, vision = config.decoder, config.vision
    (folder / 'config.json').write_text(json.dumps({
        'n_heads': decoder.n_heads, 'n_layers': decoder.n_layers, 'd_model': decoder.d_model,
        'window': config.head.window, 'vit_heads': vision.heads, 'vis': vision.width,
        'image': vision.image_size, 'patch': vision.patch_size, 'vocab': decoder.vocab_size}))
    return folder
