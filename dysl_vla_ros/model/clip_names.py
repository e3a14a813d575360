# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Names of the CLIP vision tower in open_clip's and transformers' files.

Ours are open_clip's below ``visual.``. Text towers, projections and what follows the read-out
may be in such a file and are left out.
"""

from collections.abc import Callable, Collection, Iterable
import re

from dysl_vla_ros.model.tensor_files import Origin

_OURS = 'vision_encoder.'
_OPEN_CLIP_PREFIXES = ('visual.', 'vision_encoder.visual.', 'module.visual.', '')
_HF_PREFIXES = ('vision_model.', 'clip.vision_model.', '')
_HF_STEM = {
    'class_embedding': 'embeddings.class_embedding',
    'conv1.weight': 'embeddings.patch_embedding.weight',
    'positional_embedding': 'embeddings.position_embedding.weight',
    'ln_pre.weight': 'pre_layrnorm.weight', 'ln_pre.bias': 'pre_layrnorm.bias'}
_HF_PART = {'attn.out_proj': 'self_attn.out_proj', 'ln_1': 'layer_norm1', 'ln_2': 'layer_norm2',
            'mlp.c_fc': 'mlp.fc1', 'mlp.c_proj': 'mlp.fc2'}
_BLOCK = re.compile(r'transformer\.resblocks\.(\d+)\.(.+)[._](weight|bias)')
_UNUSED_TOWER = re.compile(r'ln_post\.(weight|bias)|proj|post_layernorm\.(weight|bias)'
                           r'|embeddings\.position_ids')
_UNUSED_REST = re.compile(
    r'text_model\..+|text_projection(\.weight)?|visual_projection\.weight|logit_scale|logit_bias'
    r'|transformer\.resblocks\..+|token_embedding\.weight|positional_embedding|attn_mask'
    r'|ln_final\.(weight|bias)|text\..+')


def hf_names(name: str) -> tuple[str, ...]:
    """Names in transformers of one of the tower's tensors (without prefix on both sides).

    Three for the fused projections, whose rows are query, key and value.
    """
    if name in _HF_STEM:
        return (_HF_STEM[name],)
    match = _BLOCK.fullmatch(name)
    if match is None:
        raise ValueError(f'{name} is not a tensor of the vision tower')
    index, part, kind = match.groups()
    block = f'encoder.layers.{index}.'
    if part == 'attn.in_proj':
        return tuple(f'{block}self_attn.{c}_proj.{kind}' for c in 'qkv')
    return (f'{block}{_HF_PART[part]}.{kind}',)


def clip_origins(keys: Collection[str], expected: Iterable[str],
                 ) -> tuple[dict[str, Origin], set[str]]:
    """Where the tower's tensors are in a file of either style.

    Args:
        keys: Keys of the file.
        expected: Our names of the whole network; the tower's are picked out.

    Returns:
        Origins by our name, and the file's keys that are known and not used.
    """
    prefix, translate = _style(keys)
    origins = {ours: Origin(tuple(prefix + n for n in translate(ours.removeprefix(_OURS))))
               for ours in expected if ours.startswith(_OURS)}
    wanted = {key for origin in origins.values() for key in origin.keys}
    unused = {k for k in keys if k not in wanted and (
        (k.startswith(prefix) and _UNUSED_TOWER.fullmatch(k.removeprefix(prefix)))
        or (prefix and not k.startswith(prefix) and _UNUSED_REST.fullmatch(k)))}
    return origins, unused


def _style(keys: Collection[str]) -> tuple[str, Callable[[str], tuple[str, ...]]]:
    """Prefix and naming of a file; open_clip's ``visual.`` if nothing tells."""
    for stem, translate, prefixes in (
            ('embeddings.', hf_names, _HF_PREFIXES), ('encoder.layers.', hf_names, _HF_PREFIXES),
            ('conv1.weight', lambda name: (name,), _OPEN_CLIP_PREFIXES),
            ('class_embedding', lambda name: (name,), _OPEN_CLIP_PREFIXES)):
        for prefix in prefixes:
            if any(k.startswith(prefix + stem) for k in keys):
                return prefix, translate
    return 'visual.', lambda name: (name,)
