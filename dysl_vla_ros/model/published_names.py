# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Names in the published files of RoboFlamingo, DeeR, OpenFlamingo and MPT.

Source: design/architecture.md sections 9.2 to 9.6.
"""

from collections.abc import Collection, Iterable
import re
from typing import Literal

from dysl_vla_ros.errors import CheckpointError
from dysl_vla_ros.model.tensor_files import Origin

Kind = Literal['roboflamingo', 'deer', 'openflamingo']

_LAYER = re.compile(r'layers\.(\d+)\.(gated_cross_attn_layer|decoder_layer)\.(.+)')
_EXIT_HEAD = re.compile(r'exit_heads\.(\d+)\.(.+)')
_CROSS = ('lang_encoder.transformer.blocks.{}.gated_cross_attn_layer.{}',
          'lang_encoder.gated_cross_attn_layers.{}.{}')
_BLOCK = ('lang_encoder.old_decoder_blocks.{}.{}',
          'lang_encoder.transformer.blocks.{}.decoder_layer.{}')
# Later files of the MPT family call some parts otherwise (transformers' MptModel).
_MPT_PARTS = {'ln_1': 'norm_1', 'ln_2': 'norm_2', 'mlp.mlp_up': 'ffn.up_proj',
              'mlp.mlp_down': 'ffn.down_proj'}


def kind_of(keys: Collection[str], source: str) -> Kind:
    """Which code wrote a file, told by its heads.

    Raises:
        CheckpointError: If the keys look like none of them.
    """
    if any(k.startswith(('extra_exit.', 'lm_exit_modules.')) for k in keys):
        return 'deer'
    if any(k.startswith('lm_head.') for k in keys):
        return 'roboflamingo'
    if any(k.startswith('perceiver.') for k in keys) and any('gated_cross_attn' in k for k in keys):
        return 'openflamingo'
    raise CheckpointError(
        f'{source}: neither a RoboFlamingo nor a DeeR nor an OpenFlamingo checkpoint: no keys '
        f'lm_head.*, extra_exit.*, or perceiver.* with gated_cross_attn_layer; the first keys are '
        f'{", ".join(sorted(keys)[:5])}')


def origins(kind: Kind, keys: Collection[str], expected: Iterable[str],
            n_exits: int = 0) -> dict[str, Origin]:
    """Where our tensors are in a published file (the vision tower is elsewhere).

    Args:
        kind: Whose file it is.
        keys: Its keys, without ``module.``.
        expected: Our names of the whole network.
        n_exits: DeeR's exits, auxiliary heads included in ``expected``.

    Returns:
        Origins by our name. Tensors with two names get the second as alias if the file uses
        that family of names at all.
    """
    has_cross = [any(k.startswith(stem) and '.gated_cross_attn_layer' in k for k in keys)
                 for stem in ('lang_encoder.transformer.blocks.', 'lang_encoder.gated_')]
    has_block = [any(k.startswith(_BLOCK[0].split('{', 1)[0]) for k in keys),
                 any('.decoder_layer.' in k for k in keys)]
    found = {}
    for ours in expected:
        if ours.startswith('vision_encoder.'):
            continue
        match = _LAYER.fullmatch(ours)
        if match is not None:
            index, part, rest = match.groups()
            if part == 'gated_cross_attn_layer':
                found[ours] = _aliased(_CROSS, has_cross, index, rest)
            elif kind != 'openflamingo':  # there the language model is in a file of its own
                found[ours] = _aliased(_BLOCK, has_block, index, rest)
        elif ours == 'wte.weight':
            found[ours] = Origin(('lang_encoder.transformer.wte.weight',))
        elif ours.startswith('perceiver.'):
            found[ours] = Origin((ours,))
        elif kind != 'openflamingo':
            found[ours] = Origin((_head_name(kind, ours, n_exits),))
    return found


def _aliased(names: tuple[str, str], has: list[bool], index: str, rest: str) -> Origin:
    first, second = (name.format(index, rest) for name in names)
    if has[1] and not has[0]:
        return Origin((second,))
    return Origin((first,), second if all(has) else None)


def _head_name(kind: Kind, ours: str, n_exits: int) -> str:
    if kind != 'deer':
        return ours
    match = _EXIT_HEAD.fullmatch(ours)
    if match is None:  # the head that runs is shared by every exit
        return ours.replace('lm_head.', 'extra_exit.', 1)
    index, rest = match.groups()
    return f'lm_head.{rest}' if int(index) == n_exits - 1 else f'lm_exit_modules.{index}.{rest}'


def mpt_origins(keys: Collection[str], expected: Iterable[str]) -> tuple[dict[str, Origin],
                                                                         set[str]]:
    """Where the decoder blocks are in a file of the language model alone.

    Returns:
        Origins by our name, and keys that are known and not used: final norm, and the token
        embedding, which OpenFlamingo trained further.
    """
    is_new = any('.norm_1.' in k for k in keys)
    found = {}
    for ours in expected:
        match = _LAYER.fullmatch(ours)
        if match is None or match.group(2) != 'decoder_layer':
            continue
        index, _, rest = match.groups()
        if is_new:
            for old, new in _MPT_PARTS.items():
                if rest.startswith(old):
                    rest = new + rest.removeprefix(old)
        found[ours] = Origin((f'transformer.blocks.{index}.{rest}',))
    unused = {'transformer.wte.weight', 'transformer.ln_f.weight', 'transformer.norm_f.weight',
              'lm_head.weight'}
    return found, unused & set(keys)
