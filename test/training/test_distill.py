# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Distillation must improve adapters, open controllers, touch nothing else and resume exactly."""

import argparse
from collections import Counter
import dataclasses
import json

import numpy as np
import pytest
import torch
import yaml

from dysl_vla_ros.cli import distill as command
from dysl_vla_ros.configuration import load_yaml, to_mapping
from dysl_vla_ros.errors import ConfigError, DatasetError
from dysl_vla_ros.model.config import (
    DecoderConfig,
    HeadConfig,
    ResamplerConfig,
    VisionConfig,
    VLAConfig,
)
from dysl_vla_ros.model.tokenizer import InstructionTokenizer
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.resources import share_directory
from dysl_vla_ros.skipping.config import SkippingConfig
from dysl_vla_ros.skipping.modules import SkipModules
from dysl_vla_ros.skipping.partition import LayerPartition, static_count
from dysl_vla_ros.skipping.policy import DySLPolicy
from dysl_vla_ros.training import calibrate as calibration
from dysl_vla_ros.training.adapters_stage import adapters_loss, hidden_states
from dysl_vla_ros.training.controllers_stage import (
    controllers_loss,
    draw_plan,
    draw_single,
    harmonic_position,
)
from dysl_vla_ros.training.dataset import Demonstrations
from dysl_vla_ros.training.distill import Distillation
from dysl_vla_ros.training.distill_config import DistillConfig, Stage
from dysl_vla_ros.training.skip_data import MediaCache


def quiet(*_args) -> None:
    """A report nobody reads."""


@pytest.fixture
def weights(tmp_path):
    """Weights folder of a random six-layer network."""
    torch.manual_seed(0)
    model = DySLVLA(VLAConfig(
        name='tiny-six',
        vision=VisionConfig(image_size=16, patch_size=8, width=16, layers=1, heads=2,
                            resize='area'),
        resampler=ResamplerConfig(depth=1, heads=2, head_dim=8, latents=4, ff_mult=2),
        decoder=DecoderConfig(d_model=16, n_heads=2, n_layers=6, feature_layer=5, vocab_size=32,
                              cross_heads=2, cross_head_dim=8, cross_ff_mult=2, initial_gate=0.5),
        head=HeadConfig(lstm_hidden=12, lstm_layers=1, dropout=0.0, mlp_hidden=(8,), window=4)))
    folder = tmp_path / 'weights'
    model.save_pretrained(folder)
    InstructionTokenizer.from_sentences(
        ['open drawer', 'please open', 'turn on led', 'please turn']).save(folder)
    return folder


@pytest.fixture
def config(packed):
    return DistillConfig(
        data=(str(packed),), static_share=0.5, scoring_frames=16, max_frames=100, adapter_rank=8,
        controller_hidden=8,
        stages=(Stage('adapters', 60, 16, 1e-2), Stage('controllers', 40, 4, 1e-2),
                Stage('plans', 20, 4, 1e-2)),
        skip_reward=0.1, warmup_steps=5, budget=0.8, calibration_episodes=3, log_every=5,
        threads=1)


@pytest.fixture
def trainer(config, weights, tmp_path):
    return Distillation(config, weights, tmp_path / 'run')


def test_harmonic_positions_have_the_stated_frequencies():
    rng = np.random.default_rng(0)
    count = Counter(harmonic_position(2, 5, rng) for _ in range(20000))
    total = 1 + 1 / 2 + 1 / 3 + 1 / 4
    for position in range(1, 5):
        assert count[position + 1] / 20000 == pytest.approx(1 / position / total, abs=0.015)


def test_single_draw_is_uniform_over_groups_and_plans_take_one_of_each():
    partition = LayerPartition(8, (0, 2, 7))
    rng = np.random.default_rng(0)
    count = Counter(draw_single(partition, rng)[0] for _ in range(4000))
    assert count[1] / 4000 == pytest.approx(0.5, abs=0.04)
    assert set(count) == {1, 3, 4, 5, 6}
    for _ in range(50):
        first, second = draw_plan(partition, rng)
        assert first == 1
        assert 3 <= second <= 6


def test_stage_one_halves_the_relative_error(trainer):
    first = trainer.train_step()['relative_error']
    last = [trainer.train_step()['relative_error'] for _ in range(59)][-5:]
    assert first == pytest.approx(1.0, abs=1e-3)  # adapters start as the identity
    assert np.mean(last) < 0.6
    assert set(trainer.relative_error) == set(trainer.partition.dynamic)


def test_adapter_targets_are_the_inputs_of_the_landing_layers(trainer):
    batch = trainer.cache.frames(np.random.default_rng(0), 4)
    states = hidden_states(trainer.model, batch)
    assert torch.equal(states[-1], trainer.model.decode(batch.x, batch.media))
    for adapter in trainer.modules.adapters.values():
        torch.nn.init.zeros_(adapter.up.weight)
    loss, _ = adapters_loss(trainer.model, trainer.modules, batch)
    expected = 0.0
    for j in trainer.partition.dynamic:
        difference = (states[j] - states[trainer.partition.next_static(j)]) * batch.mask[..., None]
        expected += difference.flatten(1).norm(dim=1).mean().item()
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_stage_two_opens_controllers_and_moves_nothing_else(trainer):
    before = {k: v.clone() for k, v in trainer.model.state_dict().items()}
    for _ in range(60):
        trainer.train_step()
    opening = [trainer.train_step()['skip_probability'] for _ in range(60)]
    assert np.mean(opening[:3]) < 0.3
    assert np.mean(opening[-5:]) > 0.5
    for key, value in trainer.model.state_dict().items():
        assert torch.equal(before[key], value), key
    assert all(p.grad is None for p in trainer.model.parameters())


def test_closed_controllers_leave_the_dense_output(trainer):
    """With c = 0 only the penalty lambda * (nxt - i) distinguishes the loss from the dense one."""
    modules, config = trainer.modules, trainer.config
    for controller in modules.controllers.values():
        torch.nn.init.zeros_(controller.out.weight)
        torch.nn.init.constant_(controller.out.bias, -40.0)
    batch = trainer.cache.windows(np.random.default_rng(0), 3, 4)
    positions = draw_plan(trainer.partition, np.random.default_rng(1))
    loss = controllers_loss(trainer.model, modules, batch, positions, config)
    saved = sum(trainer.partition.next_static(j) - j for j in positions)
    assert loss.feature == pytest.approx(0, abs=1e-8)
    extra = loss.total.item() - loss.task - config.teacher_weight * loss.teacher
    assert extra == pytest.approx(config.skip_reward * saved, rel=1e-4)


def test_certain_jumps_equal_open_controllers_and_train_the_adapters_alone(trainer):
    modules = trainer.modules.requires_grad_(True)
    for controller in modules.controllers.values():
        torch.nn.init.zeros_(controller.out.weight)
        torch.nn.init.constant_(controller.out.bias, 40.0)
    batch = trainer.cache.windows(np.random.default_rng(0), 2, 4)
    positions = draw_plan(trainer.partition, np.random.default_rng(1))
    certain = controllers_loss(trainer.model, modules, batch, positions, trainer.config,
                               must_jump=True)
    opened = controllers_loss(trainer.model, modules, batch, positions, trainer.config)
    assert certain.total.item() == pytest.approx(opened.total.item(), rel=1e-5)
    assert certain.skip_probability == 1
    certain.total.backward()
    assert all(p.grad is None for p in modules.controllers.parameters())
    assert modules.adapters[str(positions[0])].up.weight.grad.abs().sum() > 0


def test_hardened_open_controllers_give_the_run_time_feature(trainer):
    """Straight-through training must see the features the executor produces."""
    modules = trainer.modules.requires_grad_(True)
    for adapter in modules.adapters.values():
        torch.nn.init.normal_(adapter.up.weight, std=0.3)
    for controller in modules.controllers.values():
        torch.nn.init.zeros_(controller.out.weight)
        torch.nn.init.constant_(controller.out.bias, 1.0)
    batch = trainer.cache.windows(np.random.default_rng(0), 2, 4)
    positions = tuple(g.first for g in trainer.partition.groups)
    loss = controllers_loss(trainer.model, modules, batch, positions, trainer.config, harden=True)
    x, j = batch.x, 0
    with torch.no_grad():
        while j < trainer.model.n_layers:
            if j in positions:
                x, j = modules.adapters[str(j)](x), trainer.partition.next_static(j)
            else:
                x, j = trainer.model.layers[j](x, batch.media), j + 1
        feature = trainer.model.pool(x, batch.mask).view(2, 4, -1)
        dense = trainer.model.pool(hidden_states(trainer.model, batch)[-1], batch.mask)
        error = (feature - dense.view(2, 4, -1)).square().mean(-1)
        expected = (error * batch.valid).sum() / batch.valid.sum() / dense.var()
    assert loss.feature == pytest.approx(expected.item(), rel=1e-4)
    loss.total.backward()
    assert all(c.out.bias.grad.abs() > 0 for j, c in modules.controllers.items()
               if int(j) in positions)


def test_media_cache_holds_what_the_network_sees(config, weights):
    model = DySLVLA.from_pretrained(weights).requires_grad_(False)
    data = Demonstrations(list(config.data))
    cache = MediaCache(model, InstructionTokenizer.from_folder(weights), data, 10, 1, 0)
    assert sum(e.end - e.start for e in cache.train) >= 10
    episode = cache.held_out[0]
    original = next(e for e in data.held_out if e.task == episode.task)
    images = np.stack((data.arrays['rgb_static'][original.start],
                       data.arrays['rgb_gripper'][original.start]))
    pixels = model.normalise(torch.from_numpy(images).permute(0, 3, 1, 2))[None]
    torch.testing.assert_close(cache.media[episode.start].float(),
                               model.encode_vision(pixels)[0], atol=5e-3, rtol=5e-3)
    window = cache.windows(np.random.default_rng(0), 5, 4)
    assert window.media.shape[0] == window.x.shape[0] == 20
    assert window.valid[:, 0].all()


def test_interrupted_run_resumes_bit_for_bit(config, weights, tmp_path):
    whole = Distillation(config, weights, tmp_path / 'whole')
    whole.train(quiet)
    parts = Distillation(config, weights, tmp_path / 'parts')
    for stop in (30, 60, 85, 110):  # inside and between stages
        while parts.step < stop:
            parts.train_step()
        parts.save_checkpoint()
        parts = Distillation(config, weights, tmp_path / 'parts')
        assert parts.step == stop
    parts.train(quiet)
    for key, value in whole.modules.state_dict().items():
        assert torch.equal(value, parts.modules.state_dict()[key]), key


def test_checkpoint_of_another_configuration_is_refused(trainer, config, weights, tmp_path):
    trainer.save_checkpoint()
    other = dataclasses.replace(config, skip_reward=0.5)
    with pytest.raises(ConfigError, match='other config'):
        Distillation(other, weights, tmp_path / 'run')


def test_result_lies_next_to_the_weights_and_runs(trainer, weights, config):
    summary = trainer.run(quiet)
    skipping = SkippingConfig.from_folder(weights)
    assert skipping.static_layers == trainer.partition.static
    metadata = skipping.metadata
    assert metadata['data_sha256'] == ['synthetic 0']
    assert len(metadata['scores']) == 6
    assert metadata['calibration']['mean_share'] == summary['mean_share']
    policy = DySLPolicy.from_pretrained(weights)
    result = calibration.replay(policy, trainer.cache)
    assert result.share == pytest.approx(summary['mean_share'])
    assert summary['budget_met'] == (result.share <= config.budget)
    assert (trainer.folder / 'curves.png').stat().st_size > 0


def test_budget_is_one_monotone_knob(trainer):
    """With wide-open controllers a larger budget must never run fewer layers."""
    for _ in range(80):
        trainer.train_step()
    plain = SkippingConfig(static_layers=trainer.partition.static, n_layers=6, adapter_rank=8,
                           controller_hidden=8)
    shares = []
    for budget in (0.7, 0.85, 1.0):
        config = dataclasses.replace(trainer.config, budget=budget)
        _, summary = calibration.calibrate(trainer.model, trainer.tokenizer, trainer.modules,
                                           plain, trainer.cache, config)
        shares.append(summary['mean_share'])
        assert summary['budget_met'] == (summary['mean_share'] <= budget)
    assert shares == sorted(shares)
    assert shares[-1] > 0.9


def test_thresholds_are_percentiles_with_the_right_signs():
    changes = np.linspace(-1, 1, 201)
    config = DistillConfig(drop_percentile=10, recovery_percentile=75)
    plain = SkippingConfig(static_layers=(0, 2), n_layers=3)
    result = calibration.continuity_thresholds(plain, changes, config)
    assert result.drop_threshold == pytest.approx(-0.8)
    assert result.recovery_threshold == pytest.approx(0.5)
    assert result.stride == pytest.approx(changes.std())
    still = calibration.continuity_thresholds(plain, np.zeros(5), config)
    assert still.drop_threshold < 0 < still.recovery_threshold
    with pytest.raises(DatasetError, match='too short'):
        calibration.continuity_thresholds(plain, np.array([]), config)


def test_command_runs_from_yaml(config, weights, tmp_path, capsys):
    path = tmp_path / 'distill.yaml'
    small = dataclasses.replace(config, stages=(Stage('adapters', 3, 4, 1e-3),
                                                Stage('plans', 2, 2, 1e-3)))
    path.write_text(yaml.safe_dump(json.loads(json.dumps(to_mapping(small)))))
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    out = tmp_path / 'out'
    assert command.run(parser.parse_args(
        ['--config', str(path), '--weights', str(weights), '--out', str(out),
         '--budget', '0.9'])) == 0
    assert 'budget' in capsys.readouterr().out
    assert 'static layers' in (out / 'distill.log').read_text()
    assert SkippingConfig.from_folder(weights).metadata['config']['budget'] == 0.9


def test_shipped_configuration_is_valid_and_keeps_four_of_twelve():
    config = load_yaml(DistillConfig, share_directory() / 'config/distill_mini.yaml')
    assert static_count(12, config.static_share) == 4
    assert [stage.name for stage in config.stages] == ['adapters', 'jumps', 'controllers', 'plans']


def test_training_goes_on_from_earlier_modules(trainer, weights, config, tmp_path):
    content = {'static_layers': [0, trainer.model.n_layers - 1],
               'n_layers': trainer.model.n_layers, 'adapter_rank': config.adapter_rank,
               'controller_hidden': config.controller_hidden}
    earlier = SkipModules(LayerPartition(content['n_layers'], tuple(content['static_layers'])),
                          trainer.model.config.decoder.d_model, config.adapter_rank,
                          config.controller_hidden)
    folder = tmp_path / 'earlier'
    folder.mkdir()
    earlier.save(folder)
    (folder / 'skipping.json').write_text(json.dumps(content))
    again = Distillation(dataclasses.replace(config, start_from=str(folder)), weights,
                         tmp_path / 'again')
    assert again.partition == earlier.partition
    for key, value in again.modules.state_dict().items():
        assert torch.equal(value, earlier.state_dict()[key]), key
    (folder / 'skipping.json').write_text(json.dumps({**content, 'adapter_rank': 3}))
    with pytest.raises(ConfigError, match=r'start_from.*adapter_rank'):
        Distillation(dataclasses.replace(config, start_from=str(folder)), weights,
                     tmp_path / 'other')


@pytest.mark.parametrize('change', [{'budget': 0.0}, {'drop_percentile': 80.0},
                                    {'skip_reward': -1.0}, {'max_frames': 0}])
def test_impossible_values_are_refused(change):
    with pytest.raises(ValueError):
        DistillConfig(**change)


def test_parameters_of_the_added_modules_match_the_hand_count():
    # Per dynamic layer: LN 2d, bottleneck 2dr, LN 4d, 2d*h + h, h + 1.
    d, r, h = 16, 8, 4
    modules = SkipModules(LayerPartition(4, (0, 3)), d, r, h)
    assert sum(p.numel() for p in modules.parameters()) \
        == 2 * (2 * d + 2 * d * r + 4 * d + 2 * d * h + h + h + 1)
