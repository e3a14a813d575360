# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Weights folders: config.json, model.safetensors, tokenizer.json, provenance.json.

Every key is accounted for; nothing is loaded from pickles.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
import torch
from torch import nn

from dysl_vla_ros.configuration import from_mapping, to_mapping
from dysl_vla_ros.errors import CheckpointError
from dysl_vla_ros.model.config import VLAConfig

CONFIG, WEIGHTS, PROVENANCE = 'config.json', 'model.safetensors', 'provenance.json'


def load_json(path: Path) -> Any:
    """Read a JSON file of a weights folder.

    Raises:
        CheckpointError: If it is missing or not JSON.
    """
    if not path.is_file():
        raise CheckpointError(f'{path}: no such file; a weights folder needs it')
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except json.JSONDecodeError as error:
        raise CheckpointError(f'{path}: not valid JSON: {error}') from error


def load_config(folder: str | Path) -> VLAConfig:
    """Read config.json strictly."""
    path = Path(folder) / CONFIG
    return from_mapping(VLAConfig, load_json(path), source=str(path))


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file.

    Raises:
        CheckpointError: If it is missing, truncated or holds NaN or infinite values.
    """
    if not path.is_file():
        raise CheckpointError(f'{path}: no such file; a weights folder needs it')
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f'{path}: cannot be read (truncated?): {error}') from error
    bad = [k for k, v in tensors.items() if v.is_floating_point() and not v.isfinite().all()]
    if bad:
        raise CheckpointError(f'{path}: not finite: {", ".join(sorted(bad))}')
    return tensors


def assign(module: nn.Module, tensors: dict[str, torch.Tensor], source: str) -> None:
    """Copy tensors into a module whose key set must match exactly.

    Raises:
        CheckpointError: Listing every missing, unexpected and mis-shaped key.
    """
    expected = module.state_dict()
    problems = [f'missing {k} {tuple(expected[k].shape)}'
                for k in sorted(expected.keys() - tensors.keys())]
    problems += [f'unexpected {k} {tuple(tensors[k].shape)}'
                 for k in sorted(tensors.keys() - expected.keys())]
    problems += [f'{k}: expected {tuple(expected[k].shape)}, got {tuple(tensors[k].shape)}'
                 for k in sorted(expected.keys() & tensors.keys())
                 if expected[k].shape != tensors[k].shape]
    if problems:
        raise CheckpointError(f'{source}: {len(problems)} key(s) do not fit: '
                              + '; '.join(problems))
    module.load_state_dict(tensors)


def load_weights(model: nn.Module, folder: str | Path) -> None:
    """Load model.safetensors into the model, strictly."""
    path = Path(folder) / WEIGHTS
    assign(model, read_tensors(path), str(path))


def save(model: nn.Module, folder: str | Path) -> None:
    """Write config.json and model.safetensors."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(to_mapping(model.config), indent=1) + '\n')
    save_file({k: v.detach().contiguous() for k, v in model.state_dict().items()},
              folder / WEIGHTS)


def file_hash(path: str | Path) -> str:
    """sha256 of a file, hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
