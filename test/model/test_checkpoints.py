# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Published checkpoints: whatever does not fit is refused by name; conversion changes no bit.

The originals load non-strictly. Without these tests a renamed or damaged tensor would become a
policy that merely performs badly.
"""

import dataclasses
import json

from published import (
    DEER,
    ROBOFLAMINGO,
    container,
    hf_tower,
    published_weights,
    split,
    write_published,
)
import pytest
from safetensors.torch import load_file, save_file
import torch

from dysl_vla_ros.errors import CheckpointError, ConfigError
from dysl_vla_ros.model.checkpoint import shapes_only
from dysl_vla_ros.model.checkpoints import convert, open_published
from dysl_vla_ros.model.config import VLAConfig
from dysl_vla_ros.model.published_names import origins
from dysl_vla_ros.model.vla import DySLVLA

CONFIGS = pytest.mark.parametrize('config', [ROBOFLAMINGO, DEER], ids=lambda c: c.name)


def state(model):
    return model.state_dict()


def assert_equal(a: DySLVLA, b: DySLVLA) -> None:
    assert state(a).keys() == state(b).keys()
    assert all(torch.equal(state(a)[k], state(b)[k]) for k in state(a))


@torch.inference_mode()
def act(model: DySLVLA, steps: int = 5) -> torch.Tensor:
    """Actions over more steps than the window, on fixed noise."""
    generator = torch.Generator().manual_seed(7)
    head_state, outputs = model.lm_head.initial_state(), []
    for _ in range(steps):
        images = torch.randint(0, 256, (1, 2, 3, 16, 16), generator=generator, dtype=torch.uint8)
        media = model.encode_vision(model.normalise(images))
        feature = model.pool(model.decode(model.embed(torch.tensor([[30, 4, 9, 29, 0]])), media))
        output = model.lm_head.peek(feature, head_state)
        head_state = output.state
        outputs.append(torch.cat((output.pose.flatten(), output.gripper_logit)))
    return torch.stack(outputs)


# What is read.

@CONFIGS
def test_sizes_are_told_from_the_folder(config, tmp_path):
    found = open_published(write_published(tmp_path, config)).config
    gate = dataclasses.replace(found.decoder, initial_gate=config.decoder.initial_gate)
    assert dataclasses.replace(found, decoder=gate) == config


@CONFIGS
def test_every_container_loads_the_same_network(config, tmp_path):
    folder = write_published(tmp_path, config)
    whole = open_published(folder)
    expected = whole.load()
    assert whole.notes == ('lr_scheduler_state_dict', 'optimizer_state_dict')
    content = torch.load(folder / 'checkpoint.pth', weights_only=True)
    bare = {k.removeprefix('module.'): v for k, v in content['model_state_dict'].items()}
    one_name = {k: v for k, v in bare.items() if '.gated_cross_attn_layers.' not in k}
    other_name = {k: v for k, v in bare.items() if '.gated_cross_attn_layer.' not in k}
    for i, variant in enumerate((bare, content | {'model_state_dict': bare}, one_name, other_name,
                                 content['model_state_dict'])):
        path = folder / f'variant{i}.pth'
        torch.save(variant, path)
        assert_equal(open_published(path, config=whole.config).load(), expected)


def test_a_bare_deer_file_takes_its_exits_from_config_json(tmp_path):
    folder = write_published(tmp_path, DEER)
    content = torch.load(folder / 'checkpoint.pth', weights_only=True)
    torch.save(content['model_state_dict'], folder / 'checkpoint.pth')
    with pytest.raises(CheckpointError, match='state it in config'):  # 1 head over 4 blocks
        open_published(folder)
    path = folder / 'config.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | {'exits': [1, 3]}))
    assert open_published(folder).config.exits == DEER.exits


@pytest.mark.parametrize('every', [2, 4])
def test_the_cross_attention_interval_is_told_from_the_keys(every, tmp_path):
    decoder = dataclasses.replace(ROBOFLAMINGO.decoder, cross_every=every, feature_layer=3)
    published = open_published(
        write_published(tmp_path, dataclasses.replace(ROBOFLAMINGO, decoder=decoder)))
    assert published.config.decoder.cross_every == every
    layers = published.load().layers
    assert [j for j, layer in enumerate(layers) if layer.gated_cross_attn_layer is not None] \
        == [j for j in range(len(layers)) if (j + 1) % every == 0]


@pytest.mark.parametrize('prefix', ['', 'vision_model.'])
@pytest.mark.parametrize('suffix', ['safetensors', 'bin'])
def test_clip_comes_in_the_names_of_transformers_too(prefix, suffix, tmp_path):
    folder = write_published(tmp_path, ROBOFLAMINGO)
    expected = open_published(folder).load()
    tower = hf_tower(load_file(folder / 'clip_visual.safetensors'), prefix)
    if prefix:  # the whole of CLIP: the text tower is known and not used
        tower |= {'text_model.embeddings.token_embedding.weight': torch.ones(3, 4),
                  'logit_scale': torch.tensor(1.0)}
    path = tmp_path / f'clip.{suffix}'
    (save_file if suffix == 'safetensors' else torch.save)(tower, path)
    assert_equal(open_published(folder, path).load(), expected)


def test_half_precision_clip_is_cast_up(tmp_path):
    folder = write_published(tmp_path, ROBOFLAMINGO)
    path = folder / 'clip_visual.safetensors'
    save_file({k: v.half() for k, v in load_file(path).items()}, path)
    model = open_published(folder).load()
    assert {v.dtype for v in state(model).values()} == {torch.float32}


def test_an_openflamingo_base_takes_its_blocks_from_the_language_model(tmp_path):
    folder = write_published(tmp_path, ROBOFLAMINGO)
    policy, _ = split(published_weights(ROBOFLAMINGO))
    base = {k: v for k, v in policy.items()
            if not k.startswith(('lm_head.', 'lang_encoder.old', 'lang_encoder.gated'))}
    torch.save(base, folder / 'checkpoint.pth')
    blocks = {k.replace('lang_encoder.old_decoder_blocks', 'transformer.blocks'): v
              for k, v in policy.items() if '.old_decoder_blocks.' in k}
    torch.save(blocks | {'transformer.wte.weight': torch.ones(20, 16),
                         'transformer.ln_f.weight': torch.ones(16)}, tmp_path / 'mpt.bin')
    with pytest.raises(CheckpointError, match='--language-model'):
        open_published(folder)
    published = open_published(folder, config=ROBOFLAMINGO, language_model=tmp_path / 'mpt.bin')
    model = published.load()
    assert torch.equal(model.layers[1].decoder_layer.mlp.mlp_up.weight,
                       policy['lang_encoder.old_decoder_blocks.1.mlp.mlp_up.weight'])
    assert torch.equal(model.wte.weight, policy['lang_encoder.transformer.wte.weight'])
    remarks = convert(published, tmp_path / 'out')
    assert any('action head is new' in remark for remark in remarks)
    assert_equal(DySLVLA.from_pretrained(tmp_path / 'out'), model)


@pytest.mark.parametrize(('size', 'kind', 'keys', 'aliases'), [
    ('roboflamingo-3b', 'roboflamingo', 822, 264), ('deer-3b', 'deer', 738, 132)])
def test_real_sizes_have_the_published_key_sets(size, kind, keys, aliases):
    config = VLAConfig.from_name(size)  # design/architecture.md section 9.3
    exits = dataclasses.replace(config.exits, has_auxiliary_heads=True) if config.exits else None
    config = dataclasses.replace(config, exits=exits, decoder=dataclasses.replace(
        config.decoder, feature_layer=config.decoder.n_layers - 1))
    with shapes_only():
        model = DySLVLA(config)
    names = [f'lang_encoder.{n}.0.x' for n in ('gated_cross_attn_layers', 'old_decoder_blocks')]
    names.append('lang_encoder.transformer.blocks.0.gated_cross_attn_layer.x')
    found = origins(kind, names, model.state_dict(), len(exits.layers) if exits else 0)
    assert sum(o.alias is not None for o in found.values()) == aliases
    assert len(found) + aliases == keys


# Conversion.

@CONFIGS
def test_convert_save_load_gives_the_same_actions_bit_for_bit(config, tmp_path):
    published = open_published(write_published(tmp_path / 'source', config))
    convert(published, tmp_path / 'target')
    before, after = published.load(), DySLVLA.from_pretrained(tmp_path / 'target')
    assert torch.equal(act(before), act(after))
    kept = {k: v for k, v in state(before).items() if not k.startswith('exit_heads.')}
    assert kept.keys() == state(after).keys()
    assert all(torch.equal(kept[k], state(after)[k]) for k in kept)
    provenance = json.loads((tmp_path / 'target/provenance.json').read_text())
    assert [len(s['sha256']) for s in provenance['sources']] == [64, 64]


def test_deers_values_and_on_request_its_auxiliary_heads_are_kept(tmp_path):
    published = open_published(write_published(tmp_path / 'source', DEER))
    convert(published, tmp_path / 'target', keep_auxiliary_heads=True)
    assert_equal(DySLVLA.from_pretrained(tmp_path / 'target'), published.load())
    assert torch.equal(load_file(tmp_path / 'target/exit_values.safetensors')['values'],
                       published.exit_values)


def test_a_folder_with_weights_is_not_overwritten(tmp_path):
    published = open_published(write_published(tmp_path, ROBOFLAMINGO))
    convert(published, tmp_path / 'target')
    with pytest.raises(CheckpointError, match='holds weights already'):
        convert(published, tmp_path / 'target')


def test_another_read_out_can_be_asked_for(tmp_path):
    published = open_published(write_published(tmp_path, ROBOFLAMINGO), feature_layer=3)
    assert published.load().n_layers == 4


# Damage: each is refused, and the message names the key or the file.

class _Surprise:
    def __reduce__(self):
        return (print, ('pickled code ran',))


def cut(share):
    def damage(folder, content):
        path = folder / 'checkpoint.pth'
        whole = path.read_bytes()
        path.write_bytes(whole[:int(share * len(whole))])
    return damage


def write(data):
    return lambda folder, content: (folder / 'checkpoint.pth').write_bytes(data)


def change(edit):
    """Damage by editing the container; ``edit(container, its weights)``."""
    def damage(folder, content):
        replaced = edit(content, content['model_state_dict'])
        torch.save(content if replaced is None else replaced, folder / 'checkpoint.pth')
    return damage


def drop(part):
    def edit(content, weights):
        for key in [k for k in weights if part in k]:
            del weights[key]
    return change(edit)


def rename(old, new):
    return change(lambda c, w: w.update({f'module.{new}': w.pop(f'module.{old}')}))


def put(key, make):
    def edit(content, weights):
        weights[f'module.{key}'] = make(weights.get(f'module.{key}'))
    return change(edit)


def clip(edit):
    def damage(folder, content):
        path = folder / 'clip_visual.safetensors'
        tensors = load_file(path)
        edit(tensors)
        save_file(tensors, path)
    return damage


def poison(value):
    def make(tensor):
        damaged = tensor.clone()
        damaged.view(-1)[3] = value
        return damaged
    return make


WTE = 'lang_encoder.transformer.wte.weight'
GATE = 'lang_encoder.gated_cross_attn_layers.1.attn_gate'
WQKV = 'lang_encoder.old_decoder_blocks.2.attn.Wqkv.weight'
DAMAGES = {
    'empty file': (write(b''), r'checkpoint\.pth'),
    'text': (write(b'not a checkpoint'), r'checkpoint\.pth'),
    'head of a zip': (write(b'PK\x03\x04 cut'), r'checkpoint\.pth'),
    'cut in half': (cut(0.5), r'checkpoint\.pth'),
    'end cut off': (cut(0.99), r'checkpoint\.pth'),
    'malicious pickle': (change(lambda c, w: {'x': _Surprise()}),
                         r'checkpoint\.pth.*weights-only'),
    'malicious entry beside the weights': (change(lambda c, w: c.update(hook=_Surprise())),
                                           r'checkpoint\.pth.*weights-only'),
    'empty state dict': (change(lambda c, w: w.clear()), r'checkpoint\.pth.*empty'),
    'a list': (change(lambda c, w: list(w.values())), r'checkpoint\.pth.*got a list'),
    'a number among the weights': (put(WTE, lambda t: 3), r'wte\.weight \(int\)'),
    'a key left out': (drop('perceiver.norm.bias'), r'missing perceiver\.norm\.bias \(32,\)'),
    'a renamed block': (rename(WQKV, WQKV.replace('Wqkv', 'qkv')),
                        r'missing .*2\.attn\.Wqkv\.weight.*unexpected .*2\.attn\.qkv\.weight'),
    'a renamed head': (rename('lm_head.gripper.mlp.4.bias', 'lm_head.gripper.mlp.5.bias'),
                       r'missing lm_head\.gripper\.mlp\.4\.bias.*unexpected .*mlp\.5\.bias'),
    'an extra key': (put('extra.gate', lambda t: torch.zeros(3)),
                     r'unexpected extra\.gate \(3,\)'),
    'proprioception': (put('embed_arm_state.0.weight', lambda t: torch.zeros(16, 6)),
                       r'unexpected embed_arm_state\.0\.weight'),
    'a second resampler': (put('perceiver_gripper.latents', lambda t: torch.zeros(4, 32)),
                           r'unexpected perceiver_gripper\.latents'),
    'a wrong shape': (put('perceiver.latents', lambda t: torch.zeros(2, 2)),
                      r'perceiver\.latents: expected \(2, 32\), got \(2, 2\)'),
    'a transposed weight': (put(WQKV, lambda t: t.T.contiguous()),
                            r'2\.attn\.Wqkv\.weight: expected \(48, 16\), got \(16, 48\)'),
    'a scalar': (put('perceiver.norm.weight', lambda t: torch.tensor(1.0)),
                 r'perceiver\.norm\.weight: expected \(32,\), got \(\)'),
    'a missing layer': (drop('old_decoder_blocks.2.'),
                        r'missing lang_encoder\.old_decoder_blocks\.2\.'),
    'NaN': (put('lm_head.rnn.bias_hh_l1', poison(float('nan'))),
            r'lm_head\.rnn\.bias_hh_l1: not finite'),
    'infinite': (put(WQKV, poison(float('-inf'))), r'2\.attn\.Wqkv\.weight: not finite'),
    'NaN in the layer after the read-out': (
        put('lang_encoder.old_decoder_blocks.3.ln_1.weight', poison(float('nan'))),
        r'old_decoder_blocks\.3\.ln_1\.weight: not finite'),
    'an alias that differs': (put(GATE, lambda t: t + 1),
                              r'differs from its alias .*layers\.1\.attn_gate'),
    'half the keys prefixed': (
        change(lambda c, w: w.update({GATE: w.pop(f'module.{GATE}')})),
        r'all or none; see .*layers\.1\.attn_gate'),
    'integers': (put(WTE, lambda t: t.long()), r'wte\.weight: dtype torch\.int64'),
    'double precision': (put(WTE, lambda t: t.double()), r'wte\.weight: dtype torch\.float64'),
    'one tensor in half precision': (put(WTE, lambda t: t.half()),
                                     r'wte\.weight: dtype torch\.float16, but most'),
    'no vision tower': (lambda folder, c: (folder / 'clip_visual.safetensors').unlink(),
                        r'clip_visual\.safetensors'),
    'a cut vision tower': (
        lambda folder, c: (folder / 'clip_visual.safetensors').write_bytes(b'\x10' * 40),
        r'clip_visual\.safetensors'),
    'a vision tower without a key': (clip(lambda t: t.pop('visual.ln_pre.bias')),
                                     r'missing visual\.ln_pre\.bias'),
    'a vision tower with a strange key': (
        clip(lambda t: t.update({'visual.attnpool.weight': torch.ones(2)})),
        r'unexpected visual\.attnpool\.weight'),
    'NaN in the vision tower': (
        clip(lambda t: t.update({'visual.conv1.weight': t['visual.conv1.weight'] * float('nan')})),
        r'visual\.conv1\.weight: not finite'),
    'broken config.json': (lambda folder, c: (folder / 'config.json').write_text('{"n_heads": '),
                           r'config\.json: not valid JSON'),
}


@pytest.mark.parametrize('name', DAMAGES)
def test_damage_is_refused_by_name(name, tmp_path, capsys):
    folder = write_published(tmp_path, ROBOFLAMINGO)
    damage, message = DAMAGES[name]
    content = container(ROBOFLAMINGO, split(published_weights(ROBOFLAMINGO))[0])
    damage(folder, content)
    with pytest.raises(CheckpointError, match=message):
        convert(open_published(folder), tmp_path / 'target')
    assert not (tmp_path / 'target').exists()
    assert 'pickled code ran' not in capsys.readouterr().out


def test_missing_extra_and_misshaped_keys_are_listed_together(tmp_path):
    folder = write_published(tmp_path, ROBOFLAMINGO)
    content = torch.load(folder / 'checkpoint.pth', weights_only=True)
    weights = content['model_state_dict']
    del weights['module.perceiver.norm.bias']
    weights['module.extra.gate'] = torch.zeros(3)
    weights[f'module.{WQKV}'] = torch.zeros(2, 2)
    torch.save(content, folder / 'checkpoint.pth')
    with pytest.raises(CheckpointError) as error:
        open_published(folder).load()
    text = str(error.value)
    assert '3 key(s)' in text
    assert 'missing perceiver.norm.bias (32,)' in text
    assert 'unexpected extra.gate (3,)' in text
    assert 'Wqkv.weight: expected (48, 16), got (2, 2)' in text


@pytest.mark.parametrize(('key', 'value', 'message'), [
    ('early_exit_layer', 11, 'early_exit_layer 11 against 4'),
    ('exit_interval', 1, r'missing lm_exit_modules\.1'),
    ('dropout_mode', 'last', r'actions\.mlp'), ('mlp_num_hidden_layers', 3, 'mlp_num_hidden'),
    ('pooling', 'mean', 'pooling'), ('values', torch.rand(3, 9), r'values: expected'),
    ('values', torch.full((2, 9), float('nan')), r'values: expected')])
def test_deer_hyperparameters_that_contradict_the_weights_are_refused(key, value, message,
                                                                      tmp_path):
    folder = write_published(tmp_path, DEER)
    content = torch.load(folder / 'checkpoint.pth', weights_only=True)
    torch.save(content | {key: value}, folder / 'checkpoint.pth')
    with pytest.raises(CheckpointError, match=message):
        convert(open_published(folder), tmp_path / 'target')


def test_container_and_config_must_agree(tmp_path):
    folder = write_published(tmp_path, DEER)
    path = folder / 'config.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | {'lstm_num_layers': 4}))
    with pytest.raises(CheckpointError, match=r'says lstm_num_layers = 2.*says 4'):
        open_published(folder)


def test_a_language_model_is_refused_where_none_belongs(tmp_path):
    folder = write_published(tmp_path, ROBOFLAMINGO)
    with pytest.raises(ConfigError, match='--language-model'):
        open_published(folder, language_model=folder / 'checkpoint.pth')
