# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Published checkpoints: RoboFlamingo and DeeR ``.pth``, OpenFlamingo base, CLIP; and conversion.

The originals load non-strictly, so a mismatch passes unnoticed; here every key is accounted for:
used, an alias that must agree, or listed in the error. CLIP is not part of such files and comes
from one of its own. Source: design/architecture.md section 9.
"""

from collections.abc import Mapping
import dataclasses
from dataclasses import dataclass, field
import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
import torch

from dysl_vla_ros import __version__
from dysl_vla_ros.errors import CheckpointError, ConfigError
from dysl_vla_ros.model import checkpoint
from dysl_vla_ros.model.action_head import DeterministicDecoder
from dysl_vla_ros.model.clip_names import clip_origins, clip_shapes
from dysl_vla_ros.model.config import VLAConfig
from dysl_vla_ros.model.published_config import KNOWN_KEYS, infer_config
from dysl_vla_ros.model.published_names import Kind, kind_of, mpt_origins, origins
from dysl_vla_ros.model.tensor_files import (
    Origin,
    TensorFile,
    TorchFile,
    check_keys,
    open_tensors,
)
from dysl_vla_ros.model.tokenizer import InstructionTokenizer
from dysl_vla_ros.model.vla import DySLVLA

EXIT_VALUES = 'exit_values.safetensors'
CHECKPOINT, CLIP = 'checkpoint.pth', 'clip_visual.safetensors'


@dataclass(frozen=True)
class Published:
    """A published checkpoint, opened and understood but not yet loaded.

    Attributes:
        kind: Whose code wrote it.
        config: Sizes; ``feature_layer`` is the read-out.
        file, clip, language_model: The opened files; the language model's only for OpenFlamingo.
        stated: What config.json and the container say.
        notes: Container entries that are not used (optimizer state and the like).
    """

    kind: Kind
    config: VLAConfig
    file: TensorFile
    clip: TensorFile
    language_model: TensorFile | None = None
    stated: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def exit_values(self) -> torch.Tensor | None:
        """(exits, N) action changes that DeeR's threshold solver works on, if stored."""
        values = self.stated.get('values')
        if values is not None and (
                not isinstance(values, torch.Tensor) or values.dim() != 2
                or self.config.exits is None or len(values) != len(self.config.exits.layers)
                or not values.isfinite().all()):
            found = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values)
            raise CheckpointError(f'{self.file.path}: values: expected a finite tensor (exits, N) '
                                  f'with one row per exit, got {found}')
        return values

    def load(self, device: torch.device | str = 'cpu', dtype: torch.dtype | None = None,
             copy: bool = True) -> DySLVLA:
        """Build the network with these weights, in evaluation mode.

        Layers after the read-out are checked and then dropped.

        Args:
            device: Target.
            dtype: Target; None keeps the policy file's precision.
            copy: False lets parameters share memory with the mapped files, which must then stay.

        Raises:
            CheckpointError: If a key is missing, unexpected, mis-shaped or not finite, or the two
                names of a tensor hold different values.
        """
        decoder = self.config.decoder
        # The file holds every layer; a network that ends at the last one names them all.
        complete = dataclasses.replace(self.config, decoder=dataclasses.replace(
            decoder, feature_layer=decoder.n_layers - 1))
        if complete.exits is not None:
            complete = dataclasses.replace(complete, exits=dataclasses.replace(
                complete.exits, has_auxiliary_heads=True))
        with checkpoint.shapes_only():
            shapes = {k: v.shape for k, v in DySLVLA(complete).state_dict().items()}
            model = DySLVLA(self.config)
        n_exits = len(complete.exits.layers) if complete.exits is not None else 0
        found = origins(self.kind, self.file.entries, shapes, n_exits)
        check_keys(self.file, found, shapes)
        tower, unused = clip_origins(self.clip.entries, shapes)
        check_keys(self.clip, tower, shapes, unused, is_uniform=False)
        sources: list[tuple[TensorFile, Mapping[str, Origin]]] = [
            (self.file, found), (self.clip, tower)]
        if self.language_model is not None:
            blocks, unused = mpt_origins(self.language_model.entries, shapes)
            check_keys(self.language_model, blocks, shapes, unused)
            sources.append((self.language_model, blocks))
        # One precision throughout: CLIP often comes in half precision, which is cast up exactly.
        dtype = dtype or self.file.entries[found['wte.weight'].keys[0]].dtype  # type: ignore[assignment]
        checkpoint.fill(model, sources, device, dtype, copy)
        if self.kind == 'openflamingo':
            model.lm_head = _new_head(self.config).to(device=device, dtype=dtype)
        model.mean, model.std = model.mean.to(device), model.std.to(device)
        return model.eval()


def open_published(source: str | Path, clip: str | Path | None = None, *,
                   config: VLAConfig | None = None, language_model: str | Path | None = None,
                   feature_layer: int | None = None) -> Published:
    """Open a published checkpoint.

    Args:
        source: ``.pth`` file, or a folder with ``checkpoint.pth``, ``clip_visual.safetensors``
            and ``config.json`` as the tiny references have. A ``config.json`` and a
            ``clip_visual.safetensors`` beside a file are used too.
        clip: Vision tower in open_clip's or transformers' names, safetensors or torch file.
        config: Sizes; inferred if None.
        language_model: MPT weights, needed for OpenFlamingo's files, which lack them.
        feature_layer: Read-out instead of the original's.

    Raises:
        CheckpointError: If a file is missing or unreadable, or sizes cannot be told.
    """
    path = Path(source).expanduser()
    folder, path = (path, path / CHECKPOINT) if path.is_dir() else (path.parent, path)
    file = open_tensors(path)
    kind = kind_of(file.entries, str(path))
    clip_path = Path(clip).expanduser() if clip is not None else folder / CLIP
    if clip is None and not clip_path.is_file():
        raise CheckpointError(f'{path} has no vision tower, and there is no {clip_path}; name '
                              'the file of CLIP weights with --clip')
    tower = open_tensors(clip_path)
    extras = file.extras if isinstance(file, TorchFile) else {}
    stated = {k: v for k, v in extras.items() if k in KNOWN_KEYS}
    beside = folder / checkpoint.CONFIG
    if config is None and beside.is_file():
        stated = _merged(stated, checkpoint.load_json(beside), path, beside)
    if feature_layer is not None:
        stated['feature_layer'] = feature_layer
    if config is None:
        config = infer_config(kind, file, tower, stated, clip_shapes(tower.entries), kind)
    elif feature_layer is not None:
        config = dataclasses.replace(config, decoder=dataclasses.replace(
            config.decoder, feature_layer=feature_layer))
    if kind == 'openflamingo' and language_model is None:
        raise CheckpointError(f'{path} is an OpenFlamingo checkpoint, which lacks the language '
                              "model's frozen blocks; name its file with --language-model")
    if kind != 'openflamingo' and language_model is not None:
        raise ConfigError(f'{path} holds the language model itself; leave out --language-model')
    blocks = open_tensors(Path(language_model).expanduser()) if language_model is not None \
        else None
    return Published(kind, config, file, tower, blocks, stated,
                     tuple(sorted(extras.keys() - KNOWN_KEYS)))


def _merged(container: dict[str, Any], beside: Any, path: Path, config: Path) -> dict[str, Any]:
    """Statements of container and config.json together; where both speak they must agree."""
    if not isinstance(beside, dict):
        raise CheckpointError(f'{config}: expected a mapping, got {type(beside).__name__}')
    for key in container.keys() & beside.keys():
        if key != 'values' and container[key] != beside[key]:
            raise CheckpointError(f'{path} says {key} = {container[key]!r}, {config} says '
                                  f'{beside[key]!r}')
    return container | beside


def _new_head(config: VLAConfig) -> DeterministicDecoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DeterministicDecoder(config.decoder.d_model, config.head)


def convert(published: Published, folder: str | Path, *,
            tokenizer: str | Path | None = None, dtype: torch.dtype | None = None,
            keep_auxiliary_heads: bool = False) -> list[str]:
    """Write one weights folder: config, weights, tokenizer, provenance.

    Args:
        published: What to convert.
        folder: Target; must not hold weights yet.
        tokenizer: ``tokenizer.json`` or a folder with it; missing prompt tokens are added.
        dtype: Precision to store; None keeps it.
        keep_auxiliary_heads: Keep DeeR's heads of single exits, which only training needs.

    Returns:
        What was left out or is missing, as sentences for the user.

    Raises:
        CheckpointError: If the checkpoint does not fit, or the folder has weights already.
    """
    folder = Path(folder).expanduser()
    if (folder / checkpoint.WEIGHTS).exists():
        raise CheckpointError(f'{folder} holds weights already; name another folder')
    config, remarks = published.config, []
    if config.exits is not None:
        config = dataclasses.replace(config, exits=dataclasses.replace(
            config.exits, has_auxiliary_heads=keep_auxiliary_heads))
        if not keep_auxiliary_heads:
            remarks.append('the heads of single exits were checked and left out; only training '
                           'needs them')
    after = range(config.decoder.feature_layer + 1, config.decoder.n_layers)
    if after:
        remarks.append(f'{len(after)} layer(s) from {after.start} on lie after the read-out and '
                       'were left out')
    if published.notes:
        remarks.append('not used: ' + ', '.join(published.notes))
    if published.kind == 'openflamingo':
        remarks.append('the action head is new (random, seed 0) and needs training')
    words = _tokenizer(tokenizer, config, published.stated) if tokenizer is not None else None
    if words is None:
        remarks.append('no tokenizer was given; a policy needs tokenizer.json in the folder')
    # Parameters stay in the mapped file until they are written.
    model = dataclasses.replace(published, config=config).load(dtype=dtype, copy=False)
    values = published.exit_values
    model.save_pretrained(folder)
    if values is not None:
        save_file({'values': values.contiguous()}, folder / EXIT_VALUES)
    if words is not None:
        words.save(folder)
    files = [f for f in (published.file, published.clip, published.language_model)
             if f is not None]
    provenance = {
        'kind': published.kind, 'converter': f'dysl_vla_ros {__version__}',
        'torch': torch.__version__, 'dtype': str(model.dtype).removeprefix('torch.'),
        'sources': [{'file': f.path.name, 'bytes': f.path.stat().st_size,
                     'sha256': checkpoint.file_hash(f.path)} for f in files],
        'stated': {k: v for k, v in published.stated.items() if k not in ('values', 'dyn_deltas')},
        'remarks': remarks}
    (folder / checkpoint.PROVENANCE).write_text(
        json.dumps(provenance, indent=1, default=str) + '\n', encoding='utf-8')
    return remarks


def _tokenizer(path: str | Path, config: VLAConfig,
               stated: Mapping[str, Any]) -> InstructionTokenizer:
    """The tokenizer with the prompt's tokens, checked against the embedding."""
    words = InstructionTokenizer.with_prompt_tokens(path)
    rows = config.decoder.vocab_size
    if words.size > rows:
        raise CheckpointError(f'{path}: {words.size} tokens, but the embedding has {rows} rows')
    for key, index in (('media', words.image_id), ('eoc', words.end_of_chunk_id)):
        if stated.get(key, index) != index:
            raise CheckpointError(f'{path}: {key} token has id {index}, but the checkpoint was '
                                  f'trained with {stated[key]}')
    return words
