# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Weights folders: config.json, model.safetensors, tokenizer.json, provenance.json.

Every key is accounted for; nothing is loaded from pickles. Tensors go one by one from the mapped
file to the target device and dtype, so that loading needs little more than the weights.
"""

from collections.abc import Iterable, Mapping
import hashlib
import json
from pathlib import Path
import re
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
import torch
from torch import nn

from dysl_vla_ros.configuration import from_mapping, to_mapping
from dysl_vla_ros.errors import CheckpointError, ConfigError
from dysl_vla_ros.model.clip_names import clip_origins
from dysl_vla_ros.model.config import VLAConfig
from dysl_vla_ros.model.tensor_files import Origin, SafetensorsFile, TensorFile, check_keys
from dysl_vla_ros.resources import resolve

CONFIG, WEIGHTS, PROVENANCE = 'config.json', 'model.safetensors', 'provenance.json'
DTYPES = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
_HUB_ID = re.compile(r'[\w.-]+/[\w.-]+')
# Folders written before the vision tower was our own have transformers' names.
_FORMER_VISION = 'vision_encoder.clip.'


def locate(path_or_hub_id: str | Path, revision: str | None = None, offline: bool = True) -> Path:
    """Folder of a local path, a ``package://`` path or a Hugging Face hub id.

    Args:
        path_or_hub_id: A folder, or ``owner/name``.
        revision: Branch, tag or commit of a hub id.
        offline: Look only into the local hub cache.

    Raises:
        CheckpointError: If there is no such folder and no such snapshot.
        ConfigError: If a revision is given for a folder.
    """
    folder = resolve(path_or_hub_id)
    if folder.is_dir():
        if revision is not None:
            raise ConfigError(f'{folder} is a folder; revision {revision!r} needs a hub id')
        return folder
    if not _HUB_ID.fullmatch(str(path_or_hub_id)):
        raise CheckpointError(f'{folder}: no such folder')
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(
            str(path_or_hub_id), revision=revision, local_files_only=offline,
            allow_patterns=['*.json', '*.safetensors']))
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        remedy = 'it is not in the local hub cache; load online once (offline=False), or give a ' \
                 'folder' if offline else 'check name, revision and network'
        raise CheckpointError(f'{path_or_hub_id} (revision {revision or "main"}): no such folder, '
                              f'and not on the hub: {remedy}: {error}') from error


def load_json(path: Path) -> Any:
    """Read a JSON file of a weights folder.

    Raises:
        CheckpointError: If it is missing or not JSON.
    """
    if not path.is_file():
        raise CheckpointError(f'{path}: no such file; a weights folder needs it')
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f'{path}: not valid JSON: {error}') from error


def load_config(folder: str | Path) -> VLAConfig:
    """Read config.json strictly."""
    path = Path(folder) / CONFIG
    return from_mapping(VLAConfig, load_json(path), source=str(path))


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a small safetensors file whole.

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


def fill(model: nn.Module, sources: Iterable[tuple[TensorFile, Mapping[str, Origin]]],
         device: torch.device | str = 'cpu', dtype: torch.dtype | None = None,
         copy: bool = True) -> None:
    """Replace parameters (usually on the meta device) by tensors of checked files.

    Args:
        model: Its parameters without an origin stay as they are.
        sources: Files with the origins of our tensors; origins the model has no parameter for are
            read, to check their values, and dropped.
        device, dtype: Target; dtype None keeps each file's.
        copy: Whether parameters must not share memory with the file.

    Raises:
        CheckpointError: If a tensor is not finite.
    """
    shapes = {k: p.shape for k, p in model.named_parameters()}
    for file, origins in sources:
        # Largest first: the pages of the file then weigh least when memory is fullest.
        for name in sorted(origins, key=lambda n: -shapes[n].numel() if n in shapes else 0):
            tensor = file.read(origins[name], device if name in shapes else 'cpu',
                               dtype if name in shapes else None, copy and name in shapes)
            if name in shapes:
                owner, _, leaf = name.rpartition('.')
                setattr(model.get_submodule(owner), leaf, nn.Parameter(tensor))


def load_weights(model: nn.Module, folder: str | Path, device: torch.device | str = 'cpu',
                 dtype: torch.dtype | None = None) -> None:
    """Load model.safetensors into the model, strictly.

    Raises:
        CheckpointError: If the file cannot be read, or a key is missing, unexpected, mis-shaped,
            of another dtype or not finite.
    """
    path = Path(folder) / WEIGHTS
    if not path.is_file():
        raise CheckpointError(f'{path}: no such file; a weights folder needs it')
    file = SafetensorsFile(path)
    shapes = {k: v.shape for k, v in model.state_dict().items()}
    origins = {k: Origin((k,)) for k in shapes}
    unused: set[str] = set()
    if any(k.startswith(_FORMER_VISION) for k in file.entries):
        tower = {k.removeprefix(_FORMER_VISION) for k in file.entries
                 if k.startswith(_FORMER_VISION)}
        found, rest = clip_origins(tower, shapes)
        origins |= {k: Origin(tuple(_FORMER_VISION + n for n in o.keys)) for k, o in found.items()}
        unused = {_FORMER_VISION + k for k in rest}
    check_keys(file, origins, shapes, unused)
    fill(model, [(file, origins)], device, dtype)


def save(model: nn.Module, folder: str | Path) -> None:
    """Write config.json and model.safetensors."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(to_mapping(model.config), indent=1) + '\n')
    save_file({k: v.detach().contiguous() for k, v in model.state_dict().items()},
              folder / WEIGHTS)


def file_hash(path: str | Path) -> str:
    """sha256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
