# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Loading: precision, peak memory, the hub cache, former names and options.

At 3B a second copy of the weights is 10 GB; without these tests it would go unnoticed at mini.
"""

import dataclasses
import subprocess
import sys

from published import hf_tower
import pytest
from safetensors.torch import load_file, save_file
import torch

from dysl_vla_ros.errors import CheckpointError, ConfigError
from dysl_vla_ros.model import acceleration
from dysl_vla_ros.model.config import VLAConfig
from dysl_vla_ros.model.random_model import random_model
from dysl_vla_ros.model.tokenizer import InstructionTokenizer
from dysl_vla_ros.model.vla import DySLVLA

MEASURE = """
import resource, sys, torch
torch.set_num_threads(1)
from dysl_vla_ros.model.acceleration import Acceleration
from dysl_vla_ros.skipping.policy import DySLPolicy
def peak():  # of this process alone, in bytes; ru_maxrss would count the parent's before exec
    text = open('/proc/self/status').read()
    return 1024 * int(text.split('VmHWM:')[1].split()[0])
def load(folder):
    return DySLPolicy.from_pretrained(folder, 'dense', acceleration=Acceleration(sys.argv[3]))
load(sys.argv[2])  # imports and caches are paid here
before = peak()
model = load(sys.argv[1]).model
weights = sum(p.nbytes for p in model.parameters())
print(weights, peak() - before)
"""


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_precision_is_chosen_at_load_and_actions_stay_close(dtype, tmp_path, tiny_model):
    tiny_model.save_pretrained(tmp_path)
    model = DySLVLA.from_pretrained(tmp_path, dtype=dtype)
    assert {p.dtype for p in model.parameters()} == {dtype}
    images = torch.randint(0, 256, (1, 2, 3, 16, 16), dtype=torch.uint8)
    outputs = []
    with torch.inference_mode():
        for m in (tiny_model, model):
            media = m.encode_vision(m.normalise(images))
            feature = m.pool(m.decode(m.embed(torch.tensor([[3, 5, 4, 0]])), media))
            outputs.append(m.lm_head.peek(feature, m.lm_head.initial_state()))
    assert outputs[1].pose.dtype == torch.float32  # whatever the network's precision
    torch.testing.assert_close(outputs[1].pose, outputs[0].pose, atol=0.05, rtol=0)


def test_values_beyond_half_precision_are_refused(tmp_path, tiny_model):
    with torch.no_grad():
        tiny_model.wte.weight[3, 4] = 1e6
    tiny_model.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r'wte\.weight: values beyond the range of float16'):
        DySLVLA.from_pretrained(tmp_path, dtype=torch.float16)


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize('dtype', ['fp32', 'bf16'])
def test_loading_peaks_at_most_a_tenth_above_the_weights(dtype, tmp_path, tiny_model):
    mini = VLAConfig.from_name('dysl-mini')
    config = dataclasses.replace(mini, decoder=dataclasses.replace(
        mini.decoder, d_model=1024, n_layers=14, feature_layer=13))
    random_model(config).save_pretrained(tmp_path / 'large')
    tiny_model.save_pretrained(tmp_path / 'tiny')
    for name in ('large', 'tiny'):
        InstructionTokenizer.from_sentences(['open']).save(tmp_path / name)
    output = subprocess.run(
        [sys.executable, '-c', MEASURE, tmp_path / 'large', tmp_path / 'tiny', dtype],
        check=True, capture_output=True, text=True)
    weights, peak = map(int, output.stdout.split())
    assert weights > 200e6 if dtype == 'fp32' else weights > 100e6
    assert 0.9 * weights < peak <= 1.1 * weights


def test_a_hub_id_is_found_in_the_local_cache_only(tmp_path, tiny_model, monkeypatch):
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path))
    repository = tmp_path / 'models--someone--policy'
    tiny_model.save_pretrained(repository / 'snapshots/abc123')
    (repository / 'refs').mkdir()
    (repository / 'refs/main').write_text('abc123')
    loaded = DySLVLA.from_pretrained('someone/policy')
    assert torch.equal(loaded.wte.weight, tiny_model.wte.weight)
    with pytest.raises(CheckpointError, match=r'someone/policy \(revision v2\).*local hub cache'):
        DySLVLA.from_pretrained('someone/policy', revision='v2')
    with pytest.raises(CheckpointError, match='no such folder'):
        DySLVLA.from_pretrained('/no/such/folder')


def test_a_revision_of_a_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match='needs a hub id'):
        DySLVLA.from_pretrained(tmp_path, revision='main')


def test_folders_with_transformers_names_of_the_tower_still_load(tmp_path, tiny_model):
    tiny_model.save_pretrained(tmp_path)
    path = tmp_path / 'model.safetensors'
    tensors = load_file(path)
    tower = {k.replace('vision_encoder.', 'visual.'): tensors.pop(k)
             for k in list(tensors) if k.startswith('vision_encoder.')}
    former = hf_tower(tower, 'vision_encoder.clip.')
    former |= {f'vision_encoder.clip.post_layernorm.{k}': torch.ones(16)
               for k in ('weight', 'bias')}
    save_file(tensors | former, path)
    loaded = DySLVLA.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(v, loaded[k]) for k, v in tiny_model.state_dict().items())
    del former['vision_encoder.clip.encoder.layers.0.self_attn.k_proj.bias']
    save_file(tensors | former, path)
    with pytest.raises(CheckpointError, match=r'missing .*self_attn\.k_proj\.bias \(16,\)'):
        DySLVLA.from_pretrained(tmp_path)


@pytest.mark.parametrize(('value', 'message'), [
    (lambda t: t.double(), r'wte\.weight: dtype torch\.float64'),
    (lambda t: t.half(), r'wte\.weight: dtype torch\.float16, but most')])
def test_a_tensor_of_another_precision_is_refused(value, message, tmp_path, tiny_model):
    tiny_model.save_pretrained(tmp_path)
    path = tmp_path / 'model.safetensors'
    tensors = load_file(path)
    save_file(tensors | {'wte.weight': value(tensors['wte.weight'])}, path)
    with pytest.raises(CheckpointError, match=message):
        DySLVLA.from_pretrained(tmp_path)


def test_int8_without_torchao_is_a_clear_error(tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torchao.quantization', None)
    with pytest.raises(ConfigError, match='need torchao'):
        acceleration.quantise_int8(tiny_model)


def test_int8_weights_change_the_decoder_little():
    pytest.importorskip('torchao', reason='torchao is not installed')
    model = random_model('dysl-mini')
    x, media = model.embed(torch.tensor([[3, 7, 4, 0]])), torch.randn(1, 16, 128)
    with torch.inference_mode():
        before = model.decode(x, media)
        after = acceleration.quantise_int8(model).decode(x, media)
    assert 0 < (after - before).norm() < 0.03 * before.norm()


def test_a_failing_compiler_leaves_the_model_eager(tiny_model, monkeypatch, caplog):
    def refuse(self, *args, **kwargs):
        raise RuntimeError('no C++ compiler')
    x, media = tiny_model.embed(torch.tensor([[3, 7, 4, 0]])), torch.randn(1, 8, 16)
    before = tiny_model.decode(x, media)
    monkeypatch.setattr(torch.nn.Module, 'compile', refuse)
    assert 'no C++ compiler' in acceleration.compile_model(tiny_model)
    assert 'stays eager' in caplog.text
    assert torch.equal(tiny_model.decode(x, media), before)
