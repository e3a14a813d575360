# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""verify-reference: agrees with both recordings, and whatever is off or unknown fails.

A verifier that passes over a tensor it does not know is worse than none.
"""

import json
from pathlib import Path
import shutil

import pytest
from safetensors.torch import load_file, save_file
import torch

from dysl_vla_ros.cli.__main__ import main
from dysl_vla_ros.errors import CheckpointError
from dysl_vla_ros.evaluation.reference import verify_folder

pytestmark = pytest.mark.reference


@pytest.fixture(params=['roboflamingo_tiny', 'deer_tiny'])
def source(request, reference_file) -> Path:
    return reference_file(request.param)


@pytest.fixture
def copy(source, tmp_path) -> Path:
    for path in source.iterdir():
        shutil.copyfile(path, tmp_path / path.name)
    return tmp_path


def edit(folder: Path, change) -> None:
    path = folder / 'expected.safetensors'
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def failed(folder: Path) -> set[str]:
    return {check.name for check in verify_folder(folder) if not check.is_met}


def test_every_expected_tensor_of_the_originals_is_compared_and_met(source):
    checks = {check.name: check for check in verify_folder(source)}
    expected = {k for k in load_file(source / 'expected.safetensors') if k.startswith('out.')}
    assert expected <= checks.keys()
    assert all(check.is_met for check in checks.values())


def test_a_wrong_value_in_any_output_fails(source, copy):
    # Inputs of the solver and of the dynamic exits are named out.* too; they have no counterpart.
    inputs = {'out.dyn_thresholds', 'out.solve_values'}

    def spoil(tensors):
        for name, tensor in tensors.items():
            if name.startswith('out.') and name not in inputs:
                tensor.view(-1)[0] += 1
    edit(copy, spoil)
    outputs = {k for k in load_file(source / 'expected.safetensors')
               if k.startswith('out.') and k not in inputs}
    assert outputs <= failed(copy)


def test_unknown_missing_and_misshaped_outputs_fail(copy):
    found = load_file(copy / 'expected.safetensors')
    name = 'out.block_outputs' if 'out.block_outputs' in found else 'out.hidden_states'
    edit(copy, lambda t: t.update({'out.surprise': torch.ones(1), name: t[name][:, 1:].clone()}))
    assert failed(copy) >= {'out.surprise', name}
    edit(copy, lambda t: t.pop(name))
    assert name in failed(copy)


def test_exit_codes(source, copy, capsys):
    assert main(['verify-reference', str(source)]) == 0
    edit(copy, lambda t: t.update({'out.surprise': torch.ones(1)}))
    assert main(['verify-reference', str(copy)]) == 2
    assert 'out.surprise' in capsys.readouterr().out
    (copy / 'expected.safetensors').unlink()
    assert main(['verify-reference', str(copy)]) == 1


@pytest.mark.parametrize('key', ['in.rgb', 'in.input_ids'])
def test_a_missing_input_is_named(key, copy):
    edit(copy, lambda t: t.pop(key))
    with pytest.raises(CheckpointError, match=f'missing {key}'):
        list(verify_folder(copy))


def test_sizes_are_told_without_what_the_weights_say_too(copy):
    path = copy / 'config.json'
    config = json.loads(path.read_text())
    path.write_text(json.dumps({k: config[k] for k in ('n_heads', 'vit_heads', 'window')}))
    assert not failed(copy)
