# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes of a published network, from what lies beside its weights and from their shapes.

Published files say little about themselves. What a ``config.json`` or the container states
counts first; the rest follows from shapes and numbering of the tensors, which the loader then
compares key by key.
"""

from collections.abc import Collection, Mapping
import math
import re
from typing import Any

from dysl_vla_ros.errors import CheckpointError
from dysl_vla_ros.model.config import (
    DecoderConfig,
    ExitConfig,
    HeadConfig,
    ResamplerConfig,
    VisionConfig,
    VLAConfig,
)
from dysl_vla_ros.model.published_names import Kind
from dysl_vla_ros.model.tensor_files import TensorFile

_HEAD_DIM = 64  # of CLIP, resampler and cross-attention
_KNOWN_HEADS = {2048: 16, 2560: 32, 4096: 32}  # of the language models
WINDOW = 12  # of both published families
# Names in a reference folder's config.json that size the network or its run; others are notes.
KNOWN_KEYS = frozenset((
    'd_model', 'n_heads', 'n_layers', 'vocab', 'window', 'lstm_hidden', 'vis', 'vit_layers',
    'vit_heads', 'image', 'patch', 'max_seq_len', 'qk_ln', 'media', 'eoc', 'exits',
    'early_exit_layer', 'multi_exit', 'share_exit', 'exit_interval', 'exit_dropout',
    'lstm_dropout', 'dropout_mode', 'mlp_layernorm', 'lstm_layernorm', 'mlp_num_hidden_layers',
    'lstm_num_layers', 'head_type', 'pooling', 'precision', 'feature_layer',
    'cross_attn_every_n_layers', 'max_layer', 'dyn_deltas', 'epoch', 'values', 'layernorm'))


def infer_config(kind: Kind, file: TensorFile, clip: TensorFile | None, stated: Mapping[str, Any],
                 clip_prefix_free: Mapping[str, tuple[int, ...]], name: str) -> VLAConfig:
    """Sizes of a published network.

    Args:
        kind: Whose checkpoint it is.
        file: The checkpoint.
        clip: The vision tower's file, for messages.
        stated: What config.json and the container say, by the names of ``KNOWN_KEYS``.
        clip_prefix_free: Shapes of ``conv1.weight``, ``positional_embedding`` and the number of
            blocks (under ``blocks``), as far as found.
        name: Name of the configuration.

    Raises:
        CheckpointError: If a size can be found nowhere, or is stated against the design.
    """
    shapes = {k: tuple(e.shape) for k, e in file.entries.items()}
    get = _Sizes(stated, shapes, str(file.path))
    try:
        decoder = _decoder(get, kind)
        exits = _exits(get, decoder.n_layers) if kind == 'deer' else None
        return VLAConfig(
            name=name, vision=_vision(get, clip_prefix_free, clip), resampler=_resampler(get),
            decoder=decoder, head=_head(get, kind) if kind != 'openflamingo' else HeadConfig(),
            exits=exits)
    except (ValueError, ZeroDivisionError) as error:
        raise CheckpointError(f'{file.path}: sizes do not fit together: {error}') from error


class _Sizes:
    """Look-ups of stated sizes and shapes, with messages that name the key."""

    def __init__(self, stated: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]],
                 source: str) -> None:
        self.stated, self.shapes, self.source = stated, shapes, source

    def shape(self, pattern: str, dims: int) -> tuple[int, ...]:
        """Shape of the first key (in order) that matches and has so many axes."""
        for key in sorted(self.shapes):
            if re.fullmatch(pattern, key) and len(self.shapes[key]) == dims:
                return self.shapes[key]
        readable = pattern.replace('\\', '')
        raise CheckpointError(f'{self.source}: missing {readable} ({dims} axes), which tells a '
                              'size of the network')

    def indexes(self, pattern: str) -> list[int]:
        """Sorted distinct numbers that the pattern's group takes among the keys."""
        found = {int(m.group(1)) for k in self.shapes if (m := re.fullmatch(pattern, k))}
        return sorted(found)

    def number(self, key: str, otherwise: int) -> int:
        value = self.stated.get(key, otherwise)
        if isinstance(value, bool) or not isinstance(value, int):
            raise CheckpointError(f'{self.source}: {key}: expected a whole number, got {value!r}')
        return value

    def real(self, key: str, otherwise: float) -> float:
        value = self.stated.get(key, otherwise)
        if isinstance(value, bool) or not isinstance(value, (int, float)) \
                or not math.isfinite(value):
            raise CheckpointError(f'{self.source}: {key}: expected a number, got {value!r}')
        return float(value)

    def flag(self, key: str, otherwise: bool) -> bool:
        value = self.stated.get(key, otherwise)
        if not isinstance(value, bool):
            raise CheckpointError(f'{self.source}: {key}: expected true or false, got {value!r}')
        return value


def _inner(width: int) -> tuple[int, int]:
    """Heads and their width of a projection: heads of 64 where they fit, else eight."""
    return (width // _HEAD_DIM, _HEAD_DIM) if width % _HEAD_DIM == 0 else (8, width // 8)


def _decoder(get: _Sizes, kind: Kind) -> DecoderConfig:
    vocab, d_model = get.shape(r'lang_encoder\.transformer\.wte\.weight', 2)
    d_model = get.number('d_model', d_model)
    cross = get.indexes(r'lang_encoder\.gated_cross_attn_layers\.(\d+)\..+') or get.indexes(
        r'lang_encoder\.transformer\.blocks\.(\d+)\.gated_cross_attn_layer\..+')
    every = get.number('cross_attn_every_n_layers', cross[0] + 1 if cross else 1)
    blocks = get.indexes(r'lang_encoder\.(?:old_decoder_blocks|transformer\.blocks)\.(\d+)\..+')
    n_layers = get.number('n_layers', blocks[-1] + 1 if blocks else 0)
    pattern = r'lang_encoder\.(?:gated_cross_attn_layers\.\d+|transformer\.blocks\.\d+' \
              r'\.gated_cross_attn_layer)\.'
    heads, head_dim = _inner(get.shape(pattern + r'attn\.to_q\.weight', 2)[0])
    cross_ff = get.shape(pattern + r'ff\.1\.weight', 2)[0] // d_model
    ratio, qk_norm = 4, True
    if kind != 'openflamingo':
        block = r'lang_encoder\.(?:old_decoder_blocks\.\d+|transformer\.blocks\.\d+' \
                r'\.decoder_layer)\.'
        ratio = get.shape(block + r'mlp\.mlp_up\.weight', 2)[0] // d_model
        qk_norm = any(re.fullmatch(block + r'attn\.[qk]_ln\.weight', k) for k in get.shapes)
    n_heads = get.number('n_heads', _KNOWN_HEADS.get(d_model, 0))
    if n_heads < 1:
        raise CheckpointError(f'{get.source}: the number of attention heads cannot be told from '
                              f'weights of width {d_model}; state n_heads in config.json')
    # RoboFlamingo's feature is the input of the last block; DeeR's the output of its last one.
    last = n_layers - 1 if _is_deer_code(get, kind) else n_layers - 2
    return DecoderConfig(
        d_model=d_model, n_heads=n_heads, n_layers=n_layers,
        feature_layer=get.number('feature_layer', last), mlp_ratio=ratio,
        vocab_size=get.number('vocab', vocab), qk_norm=get.flag('qk_ln', qk_norm),
        cross_every=every, cross_heads=heads, cross_head_dim=head_dim, cross_ff_mult=cross_ff)


def _vision(get: _Sizes, clip: Mapping[str, tuple[int, ...]],
            file: TensorFile | None) -> VisionConfig:
    source = file.path if file is not None else 'the vision tower'
    width = get.shape(r'perceiver\.latents', 2)[1]
    conv = clip.get('conv1.weight', ())
    if 'patch' not in get.stated and len(conv) != 4:
        raise CheckpointError(f'{source}: missing conv1.weight (4 axes), which tells the patch '
                              'size')
    width = get.number('vis', width)
    patch = get.number('patch', conv[-1] if len(conv) == 4 else 0)
    positions = clip.get('positional_embedding', ())
    if 'image' not in get.stated and len(positions) != 2:
        raise CheckpointError(f'{source}: missing positional_embedding (2 axes), which tells the '
                              'image size')
    side = math.isqrt(positions[0] - 1) * patch if len(positions) == 2 else 0
    return VisionConfig(
        image_size=get.number('image', side), patch_size=patch, width=width,
        layers=get.number('vit_layers', clip.get('blocks', (0,))[0]),
        heads=get.number('vit_heads', max(1, width // _HEAD_DIM)))


def _resampler(get: _Sizes) -> ResamplerConfig:
    latents, width = get.shape(r'perceiver\.latents', 2)
    heads, head_dim = _inner(get.shape(r'perceiver\.layers\.\d+\.0\.to_q\.weight', 2)[0])
    width = get.number('vis', width)
    return ResamplerConfig(
        depth=len(get.indexes(r'perceiver\.layers\.(\d+)\..+')), heads=heads, head_dim=head_dim,
        latents=latents,
        ff_mult=get.shape(r'perceiver\.layers\.\d+\.1\.1\.weight', 2)[0] // width)


def _head(get: _Sizes, kind: Kind) -> HeadConfig:
    stem = 'extra_exit' if kind == 'deer' else 'lm_head'
    has_norm = any(k.startswith(f'{stem}.rnn.layers.') for k in get.shapes)
    if has_norm:
        layers = len(get.indexes(rf'{stem}\.rnn\.layers\.(\d+)\.weight_ih_l0'))
        hidden = get.shape(rf'{stem}\.rnn\.layers\.0\.weight_hh_l0', 2)[1]
    else:
        layers = len(get.indexes(rf'{stem}\.rnn\.weight_ih_l(\d+)'))
        hidden = get.shape(rf'{stem}\.rnn\.weight_hh_l0', 2)[1]
    pattern = rf'{stem}\.actions\.mlp\.(\d+)\.weight'
    widths = {int(m.group(1)): s for k, s in get.shapes.items() if (m := re.fullmatch(pattern, k))}
    linear = sorted(i for i, s in widths.items() if len(s) == 2)
    norms = any(len(s) == 1 for s in widths.values())
    if len(linear) < 2:
        raise CheckpointError(f'{get.source}: missing {stem}.actions.mlp.*.weight; found the '
                              f'linear layers {linear}')
    mode = get.stated.get('dropout_mode') if _is_deer_code(get, kind) else None
    if mode is None:
        mode = _dropout_mode(linear, norms)
    elif mode not in ('wo_last', 'layerwise', 'last'):
        raise CheckpointError(f'{get.source}: dropout_mode {mode!r}; expected wo_last, layerwise '
                              'or last')
    hidden_layers = get.number('mlp_num_hidden_layers', len(linear) - 1)
    if hidden_layers != len(linear) - 1:
        raise CheckpointError(f'{get.source}: mlp_num_hidden_layers is {hidden_layers}, but '
                              f'{stem}.actions.mlp has the linear layers {linear}')
    return HeadConfig(
        lstm_hidden=get.number('lstm_hidden', hidden),
        lstm_layers=get.number('lstm_num_layers', layers), dropout=get.real('lstm_dropout', 0.1),
        lstm_layernorm=get.flag('lstm_layernorm', has_norm),
        mlp_hidden=tuple(widths[i][0] for i in linear[:-1]),
        mlp_layernorm=get.flag('mlp_layernorm', norms),
        mlp_dropout=get.real('exit_dropout', 0.0), dropout_mode=mode,
        window=get.number('window', WINDOW),
        window_mode='carry' if _is_deer_code(get, kind) else 'refresh')


def _is_deer_code(get: _Sizes, kind: Kind) -> bool:
    """Whether DeeR's code wrote the file; with multi_exit off it has no exit heads."""
    return kind == 'deer' or 'early_exit_layer' in get.stated


def _dropout_mode(linear: Collection[int], has_norm: bool) -> Any:
    """The mode whose numbering of linear layers (the last is the output) equals the file's."""
    n, step = len(linear) - 1, 3 if has_norm else 2
    numbering = {
        'none': [step * i for i in range(n + 1)],
        'wo_last': [1 + (step + 1) * i for i in range(n)] + [(step + 1) * n],
        'layerwise': [1 + (step + 1) * i for i in range(n + 1)],
        'last': [step * i for i in range(n)] + [step * n + 1]}
    for mode, expected in numbering.items():
        if list(linear) == expected:
            return mode
    return 'none'  # the key comparison will say what does not fit


def _exits(get: _Sizes, n_layers: int) -> ExitConfig:
    interval = get.number('exit_interval', 1)
    if interval < 1:
        raise ValueError(f'exit_interval must be at least 1, got {interval}')
    computed = [i for i in range(n_layers - 1) if (i + 1) % interval == 0] + [n_layers - 1]
    early = get.number('early_exit_layer', -1)
    if early not in (-1, n_layers - 1):
        raise ValueError(f'early_exit_layer {early} against {n_layers} decoder blocks')
    for key, wanted in (('multi_exit', True), ('pooling', 'max'), ('head_type', 'deterministic')):
        if get.stated.get(key, wanted) != wanted:
            raise ValueError(f'{key} is {get.stated[key]!r}; only {wanted!r} is implemented')
    stated = get.stated.get('exits', computed)
    if list(stated) != computed:
        raise ValueError(f'exits {list(stated)} against {computed} from exit_interval {interval} '
                         f'and {n_layers} blocks')
    return ExitConfig(tuple(computed), has_auxiliary_heads=True)
