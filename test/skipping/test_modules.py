# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Padding must not reach a decision, and damaged files must not load."""

import pytest
from safetensors.torch import load_file, save_file
import torch

from dysl_vla_ros.errors import CheckpointError
from dysl_vla_ros.skipping.modules import FILE_NAME, Adapter, Controller, SkipModules
from dysl_vla_ros.skipping.partition import LayerPartition


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    modules = SkipModules(LayerPartition(5, (0, 2, 4)), 8, 4, 4)
    modules.save(tmp_path)
    return modules, tmp_path


def test_adapter_starts_as_identity():
    x = torch.randn(2, 3, 8)
    assert torch.equal(Adapter(8, 4)(x), x)


def test_controller_starts_closed():
    torch.manual_seed(0)
    probability = Controller(8, 4)(torch.randn(64, 3, 8)).sigmoid()
    assert 0.05 < probability.mean() < 0.2  # design: about 0.1


def test_controller_ignores_padding():
    torch.manual_seed(0)
    controller, x = Controller(8, 4), torch.randn(1, 3, 8)
    padded = torch.cat((x, 100 * torch.ones(1, 2, 8)), dim=1)
    mask = torch.tensor([[True, True, True, False, False]])
    torch.testing.assert_close(controller(padded, mask), controller(x))


def test_round_trip_is_exact(saved):
    modules, folder = saved
    other = SkipModules(modules.partition, 8, 4, 4)
    other.load(folder)
    for key, value in modules.state_dict().items():
        assert torch.equal(value, other.state_dict()[key])


def test_missing_and_unexpected_keys_are_listed_together(saved):
    modules, folder = saved
    tensors = load_file(folder / FILE_NAME)
    tensors['adapters.9.up.weight'] = tensors.pop('adapters.1.up.weight')
    save_file(tensors, folder / FILE_NAME)
    with pytest.raises(CheckpointError, match=r'missing adapters.1.*unexpected adapters.9'):
        modules.load(folder)


def test_other_rank_is_a_readable_error(saved):
    _, folder = saved
    other = SkipModules(LayerPartition(5, (0, 2, 4)), 8, 6, 4)
    with pytest.raises(CheckpointError, match=r'expected \(6, 8\), got \(4, 8\)'):
        other.load(folder)


def test_not_a_number_is_refused(saved):
    modules, folder = saved
    with torch.no_grad():
        modules.adapters['1'].up.weight[0, 0] = float('nan')
    modules.save(folder)
    with pytest.raises(CheckpointError, match='not finite'):
        modules.load(folder)


def test_truncated_file_is_refused(saved):
    modules, folder = saved
    path = folder / FILE_NAME
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match='cannot be read'):
        modules.load(folder)
