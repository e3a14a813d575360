# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The training loop: it learns, resumes bit for bit and writes a folder that loads."""

import dataclasses
import json

import pytest
import torch

from dysl_vla_ros.errors import DatasetError
from dysl_vla_ros.model.tokenizer import InstructionTokenizer
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.training.behaviour_cloning import BehaviourCloning, Phase, TrainConfig


@pytest.fixture
def config(make_packed, tmp_path, tiny_size):
    return TrainConfig(data=(str(make_packed(tmp_path / 'data', seeds=range(1, 22))),),
                       model=tiny_size, phases=(Phase(3, 2, 4), Phase(3, 4, 2)), warmup_steps=2,
                       evaluate_every=3, threads=1)


def silent(step, values):
    del step, values


def everything(trainer) -> dict[str, torch.Tensor]:
    state = trainer.state
    tensors = {f'model.{k}': v for k, v in state.model.state_dict().items()}
    tensors |= {f'average.{k}': v for k, v in state.average.state_dict().items()}
    tensors |= {f'auxiliary.{k}': v for k, v in state.auxiliary.state_dict().items()}
    for i, values in state.optimiser.state_dict()['state'].items():
        tensors |= {f'optimiser.{i}.{k}': v for k, v in values.items()}
    return {k: v.clone() for k, v in tensors.items()}


@pytest.mark.parametrize('interrupted_after', [2, 3, 5])
def test_an_interrupted_run_resumes_bit_for_bit(config, tmp_path, interrupted_after):
    whole = BehaviourCloning(config, tmp_path / 'whole')
    whole.run(silent)
    first = BehaviourCloning(config, tmp_path / 'parts')
    for _ in range(interrupted_after):
        first.train_step()
    first.save_checkpoint()
    torch.rand(7)  # whatever happens in between must not matter
    second = BehaviourCloning(config, tmp_path / 'parts')
    assert second.state.step == interrupted_after
    second.run(silent)
    expected, actual = everything(whole), everything(second)
    assert expected.keys() == actual.keys()
    assert [k for k in expected if not torch.equal(expected[k], actual[k])] == []


def test_the_loss_falls_on_a_task_that_needs_the_image(config, tmp_path):
    config = dataclasses.replace(config, phases=(Phase(150, 1, 32),), warmup_steps=10,
                                 learning_rate=3e-3, shift=(0, 0), brightness=0.0,
                                 evaluate_every=1000)
    trainer = BehaviourCloning(config, tmp_path / 'run')
    losses = [trainer.train_step()['pose_loss'] for _ in range(150)]
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])


def test_the_weights_folder_loads_and_names_its_origin(config, tmp_path):
    trainer = BehaviourCloning(config, tmp_path / 'run')
    folder = trainer.run(silent)
    model = DySLVLA.from_pretrained(folder)
    assert InstructionTokenizer.from_folder(folder).size <= model.config.decoder.vocab_size
    average = trainer.state.average.state_dict()
    assert all(torch.equal(v, average[k]) for k, v in model.state_dict().items())
    provenance = json.loads((folder / 'provenance.json').read_text())
    assert provenance['step'] == 6
    assert provenance['data_sha256'] == ['synthetic 0']
    assert provenance['training']['seed'] == config.seed
    assert provenance['torch'] == torch.__version__
    assert (tmp_path / 'run/curves.png').stat().st_size > 1000
    assert any('mae_open_drawer' in row for row in trainer.state.history)


def test_phases_follow_one_another_and_the_rate_warms_up_and_falls(config, tmp_path):
    trainer = BehaviourCloning(config, tmp_path / 'run')
    assert [trainer.phase(s).window for s in range(7)] == [2, 2, 2, 4, 4, 4, 4]
    rates = [trainer.learning_rate(s) for s in range(7)]
    assert rates[0] == config.learning_rate / 2
    assert max(rates) == config.learning_rate == rates[1]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[6] == pytest.approx(0.02 * config.learning_rate)


def test_equal_seeds_give_equal_weights_and_others_do_not(config, tmp_path):
    a, b, c = (BehaviourCloning(dataclasses.replace(config, seed=seed), tmp_path / name)
               for name, seed in (('a', 0), ('b', 0), ('c', 1)))
    for trainer in (a, b, c):
        torch.manual_seed(0)  # dropout
        trainer.train_step()
    weights = [t.state.model.wte.weight for t in (a, b, c)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_images_of_another_size_are_refused(config, tmp_path):
    with pytest.raises(DatasetError, match=r'16 pixels wide.*expects 80'):
        BehaviourCloning(dataclasses.replace(config, model='dysl-mini'), tmp_path / 'run')
