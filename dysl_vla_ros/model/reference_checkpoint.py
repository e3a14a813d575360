# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Strict reader of RoboFlamingo's published ``.pth`` files.

The originals load non-strictly, so a mismatch passes unnoticed; here the exact key set of the
configuration is required. CLIP is not part of such a file and comes from a safetensors file
with open_clip's names. DeeR checkpoints (other heads) are not read.
Source: design/architecture.md sections 9.1 to 9.5.
"""

from collections.abc import Mapping
import dataclasses
from pathlib import Path
import pickle
import re

import torch

from dysl_vla_ros.errors import CheckpointError
from dysl_vla_ros.model.checkpoint import assign, read_tensors
from dysl_vla_ros.model.config import VLAConfig
from dysl_vla_ros.model.vla import DySLVLA

Tensors = dict[str, torch.Tensor]

_LAYER = re.compile(r'layers\.(\d+)\.(gated_cross_attn_layer|decoder_layer)\.(.+)')
_CLIP_LAYER = re.compile(r'encoder\.layers\.(\d+)\.(.+)\.(weight|bias)')
_CLIP_STEM = {
    'embeddings.class_embedding': 'class_embedding',
    'embeddings.patch_embedding.weight': 'conv1.weight',
    'embeddings.position_embedding.weight': 'positional_embedding',
    'pre_layrnorm.weight': 'ln_pre.weight', 'pre_layrnorm.bias': 'ln_pre.bias',
    'post_layernorm.weight': 'ln_post.weight', 'post_layernorm.bias': 'ln_post.bias'}
_CLIP_PART = {'self_attn.out_proj': 'attn.out_proj', 'layer_norm1': 'ln_1', 'layer_norm2': 'ln_2',
              'mlp.fc1': 'mlp.c_fc', 'mlp.fc2': 'mlp.c_proj'}


def load_roboflamingo(checkpoint: str | Path, clip: str | Path, config: VLAConfig) -> DySLVLA:
    """Build the network of a published checkpoint, in evaluation mode.

    Args:
        checkpoint: ``.pth`` file: a container with ``model_state_dict`` or the bare state dict.
        clip: Safetensors file of the vision tower, open_clip names under ``visual.``.
        config: Sizes, with ``decoder.n_layers`` as in the file. Layers after
            ``decoder.feature_layer`` are checked and then dropped.

    Raises:
        CheckpointError: If a file cannot be read, a key is missing, unexpected, mis-shaped or not
            finite, or the two names of a cross-attention layer hold different values.
    """
    if config.head.use_state:
        raise CheckpointError('published checkpoints have no proprioception (embed_* keys); set '
                              'head.use_state to false')
    # The file holds every layer; a model that ends at the last one names them all.
    decoder = dataclasses.replace(config.decoder, feature_layer=config.decoder.n_layers - 1)
    with torch.device('meta'):
        whole = DySLVLA(dataclasses.replace(config, decoder=decoder)).state_dict()
    tensors = translate(read_state_dict(checkpoint), whole, str(checkpoint))
    tensors |= translate_clip(read_tensors(Path(clip)), whole, str(clip))
    model = DySLVLA(config)
    wanted = model.state_dict()
    assign(model, {k: v for k, v in tensors.items() if k in wanted}, str(checkpoint))
    return model.eval()


def read_state_dict(path: str | Path) -> Tensors:
    """Read the weights of a ``.pth`` file without running pickled code; ``module.`` is removed.

    Raises:
        CheckpointError: If the file is missing, unreadable or not a mapping of tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f'{path}: no such file')
    try:
        content = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
    except (RuntimeError, ValueError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f'{path}: not a weights-only torch file: {error}') from error
    if isinstance(content, Mapping) and 'model_state_dict' in content:
        content = content['model_state_dict']
    if not isinstance(content, Mapping) or not content or not all(
            isinstance(v, torch.Tensor) for v in content.values()):
        raise CheckpointError(f'{path}: expected a state dict or a container with '
                              '"model_state_dict"')
    prefixed = sum(k.startswith('module.') for k in content)
    if prefixed not in (0, len(content)):
        raise CheckpointError(f'{path}: {prefixed} of {len(content)} keys carry the prefix '
                              '"module."; expected all or none')
    return {k.removeprefix('module.'): v for k, v in content.items()}


def published_names(name: str) -> tuple[str, ...]:
    """Names one of our parameters has in a published file; two for cross-attention."""
    if name == 'wte.weight':
        return ('lang_encoder.transformer.wte.weight',)
    match = _LAYER.fullmatch(name)
    if match is None:
        return (name,)  # perceiver.* and lm_head.* are called the same
    index, part, rest = match.groups()
    if part == 'decoder_layer':
        return (f'lang_encoder.old_decoder_blocks.{index}.{rest}',)
    return (f'lang_encoder.transformer.blocks.{index}.gated_cross_attn_layer.{rest}',
            f'lang_encoder.gated_cross_attn_layers.{index}.{rest}')


def translate(published: Tensors, expected: Tensors, source: str) -> Tensors:
    """Rename a published state dict, strictly.

    Args:
        published: State dict without ``module.``.
        expected: Our state dict of the whole decoder (values may be on the meta device).
        source: File name for messages.
    """
    names = {ours: published_names(ours) for ours in expected
             if not ours.startswith('vision_encoder.')}
    shapes = {theirs: expected[ours].shape for ours, group in names.items() for theirs in group}
    _check(published, shapes, source)
    problems = [f'{group[0]} differs from its alias {group[1]}' for group in names.values()
                if len(group) == 2 and not torch.equal(published[group[0]], published[group[1]])]
    if problems:
        raise CheckpointError(f'{source}: ' + '; '.join(problems))
    return {ours: published[group[0]] for ours, group in names.items()}


def translate_clip(published: Tensors, expected: Tensors, source: str) -> Tensors:
    """Rename open_clip's vision tower (``visual.*``) to transformers' names, strictly.

    The projection ``visual.proj`` may be present; the feature is taken before it.
    """
    prefix = 'vision_encoder.clip.'
    names: dict[str, tuple[str, int | None]] = {}  # ours -> theirs and third of a fused tensor
    for ours in expected:
        if not ours.startswith(prefix):
            continue
        name = ours.removeprefix(prefix)
        match = _CLIP_LAYER.fullmatch(name)
        if match is None:
            names[ours] = (f'visual.{_CLIP_STEM[name]}', None)
            continue
        index, part, kind = match.groups()
        block = f'visual.transformer.resblocks.{index}.'
        if part in _CLIP_PART:
            names[ours] = (f'{block}{_CLIP_PART[part]}.{kind}', None)
        else:  # self_attn.{q,k,v}_proj are the thirds of in_proj
            names[ours] = (f'{block}attn.in_proj_{kind}', 'qkv'.index(part[-6]))
    shapes = {}
    for ours, (theirs, third) in names.items():
        shape = expected[ours].shape
        shapes[theirs] = shape if third is None else torch.Size((3 * shape[0], *shape[1:]))
    _check({k: v for k, v in published.items() if k != 'visual.proj'}, shapes, source)
    return {ours: published[theirs] if third is None else published[theirs].chunk(3)[third]
            for ours, (theirs, third) in names.items()}


def _check(tensors: Tensors, shapes: Mapping[str, torch.Size], source: str) -> None:
    problems = [f'missing {k} {tuple(shapes[k])}' for k in sorted(shapes.keys() - tensors.keys())]
    problems += [f'unexpected {k} {tuple(tensors[k].shape)}'
                 for k in sorted(tensors.keys() - shapes.keys())]
    problems += [f'{k}: expected {tuple(shapes[k])}, got {tuple(tensors[k].shape)}'
                 for k in sorted(shapes.keys() & tensors.keys()) if tensors[k].shape != shapes[k]]
    problems += [f'{k}: not finite' for k in sorted(shapes.keys() & tensors.keys())
                 if not tensors[k].isfinite().all()]
    if problems:
        raise CheckpointError(f'{source}: {len(problems)} key(s) do not fit: '
                              + '; '.join(problems))
