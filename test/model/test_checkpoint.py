# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Weights folders: what is read back equals what was written, and damage is never loaded."""

import json

import pytest
from safetensors.torch import load_file, save_file
import torch

from dysl_vla_ros.errors import CheckpointError, ConfigError, DySLVLAError
from dysl_vla_ros.model.vla import DySLVLA


@pytest.fixture
def folder(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path)
    return tmp_path


def edit(folder, change):
    path = folder / 'model.safetensors'
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def test_round_trip_is_bit_equal(tiny_model, folder):
    loaded = DySLVLA.from_pretrained(folder)
    assert loaded.config == tiny_model.config
    assert not loaded.training
    before, after = tiny_model.state_dict(), loaded.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_missing_unexpected_and_misshaped_keys_are_listed_together(folder):
    def damage(tensors):
        del tensors['perceiver.norm.bias']
        tensors['surprise'] = torch.zeros(3)
        tensors['wte.weight'] = torch.zeros(5, 16)
    edit(folder, damage)
    with pytest.raises(CheckpointError) as error:
        DySLVLA.from_pretrained(folder)
    text = str(error.value)
    assert 'model.safetensors' in text
    assert 'missing perceiver.norm.bias (16,)' in text
    assert 'unexpected surprise (3,)' in text
    assert 'wte.weight: expected (128, 16), got (5, 16)' in text


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_values_that_are_not_finite_are_refused(folder, value):
    edit(folder, lambda tensors: tensors['lm_head.rnn.bias_ih_l0'].fill_(value))
    with pytest.raises(CheckpointError, match=r'lm_head\.rnn\.bias_ih_l0: not finite'):
        DySLVLA.from_pretrained(folder)


@pytest.mark.parametrize('name', ['config.json', 'model.safetensors'])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        DySLVLA.from_pretrained(folder)


@pytest.mark.parametrize('keep', [0, 7, 1000])
def test_a_truncated_weights_file_is_refused(folder, keep):
    path = folder / 'model.safetensors'
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r'model\.safetensors'):
        DySLVLA.from_pretrained(folder)


@pytest.mark.parametrize('keep', [0, 40])
def test_a_truncated_configuration_is_refused(folder, keep):
    path = folder / 'config.json'
    path.write_text(path.read_text()[:keep])
    with pytest.raises(CheckpointError, match='not valid JSON'):
        DySLVLA.from_pretrained(folder)


def test_a_wrong_key_in_the_configuration_is_named(folder):
    path = folder / 'config.json'
    data = json.loads(path.read_text())
    data['decoder']['n_layer'] = 4
    path.write_text(json.dumps(data))
    with pytest.raises(ConfigError, match=r"decoder.*'n_layer'; did you mean 'n_layers'"):
        DySLVLA.from_pretrained(folder)


def test_weights_of_another_size_are_refused(folder):
    path = folder / 'config.json'
    data = json.loads(path.read_text())
    data['decoder']['feature_layer'] = 1
    path.write_text(json.dumps(data))
    with pytest.raises(DySLVLAError, match=r'unexpected layers\.2\.'):
        DySLVLA.from_pretrained(folder)
