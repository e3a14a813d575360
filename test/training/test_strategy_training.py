# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Each strategy trains, holds its budget, resumes exactly and comes back from its files."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from dysl_vla_ros.configuration import load_yaml, to_mapping
from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model import config as sizes
from dysl_vla_ros.model.tokenizer import InstructionTokenizer
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.resources import share_directory
from dysl_vla_ros.skipping.config import SkippingConfig
from dysl_vla_ros.skipping.policy import DySLPolicy
from dysl_vla_ros.skipping.registry import build_skip_modules
from dysl_vla_ros.training.joint_gate import gate_loss, measure_gain
from dysl_vla_ros.training.strategy_config import StrategyConfig
from dysl_vla_ros.training.strategy_training import RECIPES, StrategyTraining, open_cache


@pytest.fixture
def weights(tmp_path, packed, tiny_size):
    """Six layers with random weights, DySL files and a packed folder."""
    torch.manual_seed(0)
    size = sizes.KNOWN_SIZES[tiny_size]
    model = DySLVLA(dataclasses.replace(size, decoder=dataclasses.replace(
        size.decoder, n_layers=6, feature_layer=5)))
    folder = tmp_path / 'weights'
    model.save_pretrained(folder)
    InstructionTokenizer.from_sentences(['open drawer', 'please open', 'turn on led',
                                         'please turn']).save(folder)
    skipping = SkippingConfig((0, 3, 5), 6, adapter_rank=4, controller_hidden=4, warmup_steps=1)
    (folder / 'skipping.json').write_text(json.dumps(to_mapping(skipping)))
    build_skip_modules(model, skipping).save(folder)
    return folder


@pytest.fixture
def config(packed):
    return StrategyConfig(
        data=(str(packed),), max_frames=20, scoring_frames=16, calibration_episodes=2,
        budgets=(0.5, 0.75, 1.0), default_budget=0.75, bisections=4, steps=4, batch=2,
        warmup_steps=2, adapter_rank=4, hidden=4, plans=4, gate_steps=3, gate_windows=4,
        log_every=1)


@pytest.mark.parametrize('name', RECIPES)
def test_train_calibrate_and_load(weights, config, tmp_path, name):
    opened = open_cache(config, weights, tmp_path / 'run')
    before = {k: v.clone() for k, v in opened[0].state_dict().items()}
    trainer = StrategyTraining(name, config, weights, tmp_path / 'run', opened)
    start = {k: v.clone() for k, v in trainer.recipe.modules.state_dict().items()} \
        if trainer.recipe.modules is not None else {}
    losses = []
    written = trainer.run(lambda step, steps, values: losses.append(values))
    for key, value in opened[0].state_dict().items():
        assert torch.equal(value, before[key]), f'{key} of the frozen network changed'
    if start:
        assert len(losses) == trainer.recipe.steps
        assert all(math.isfinite(v) for values in losses for v in values.values())
        after = trainer.recipe.modules.state_dict()
        assert any(not torch.equal(after[k], v) for k, v in start.items())
    assert [s.budget for s in written.settings] == [0.5, 0.75, 1.0]
    shares = [s.achieved for s in written.settings]
    assert shares == sorted(shares)
    for setting, report in zip(written.settings, written.metadata['calibration'], strict=True):
        assert report['budget_met'] == (setting.achieved <= setting.budget + 1e-9)
        if name not in ('dysl', 'dysl_no_prior', 'dysl_no_post', 'dysl_one_stage',
                        'dysl_no_split'):  # warm-up and verification may cost more
            assert report['budget_met']
    # What was written runs the share that was promised.
    from dysl_vla_ros.training.calibrate import replay
    for setting in written.settings[:2]:
        policy = DySLPolicy.from_pretrained(weights, name, budget=setting.budget)
        assert replay(policy, opened[2]).share == pytest.approx(setting.achieved)


@pytest.mark.parametrize('name', ['deer', 'dysl_joint'])
def test_a_resumed_run_equals_an_uninterrupted_one(weights, config, tmp_path, name):
    opened = open_cache(config, weights, tmp_path / 'cache')
    whole = StrategyTraining(name, config, weights, tmp_path / 'whole', opened)
    steps = whole.recipe.steps
    for _ in range(steps):
        whole.train_step()
    first = StrategyTraining(name, config, weights, tmp_path / 'parts', opened)
    for _ in range(steps - 2):
        first.train_step()
    first.save_checkpoint()
    second = StrategyTraining(name, config, weights, tmp_path / 'parts', opened)
    assert second.step == steps - 2
    for _ in range(2):
        second.train_step()
    for key, value in whole.recipe.modules.state_dict().items():
        assert torch.equal(value, second.recipe.modules.state_dict()[key]), key
    with pytest.raises(ConfigError, match='made with other config'):
        StrategyTraining(name, dataclasses.replace(config, steps=9), weights, tmp_path / 'parts',
                         opened)


def test_media_are_encoded_once_and_only_for_the_same_network(weights, config, tmp_path,
                                                              monkeypatch):
    calls = []
    original = DySLVLA.encode_vision
    monkeypatch.setattr(DySLVLA, 'encode_vision',
                        lambda self, pixels: calls.append(1) or original(self, pixels))
    first = open_cache(config, weights, tmp_path / 'run')[2]
    count = len(calls)
    second = open_cache(config, weights, tmp_path / 'run')[2]
    assert count > 0
    assert len(calls) == count
    assert torch.equal(first.media, second.media)
    model = DySLVLA.from_pretrained(weights)
    torch.nn.init.normal_(model.perceiver.latents)
    model.save_pretrained(weights)
    assert not torch.equal(open_cache(config, weights, tmp_path / 'run')[2].media, first.media)


def test_measured_gain_is_the_policys_own_error(weights, config, tmp_path):
    """Gains of the plans of a window's first frame against the policy run by hand."""
    opened = open_cache(config, weights, tmp_path / 'run')
    trainer = StrategyTraining('dysl_joint', config, weights, tmp_path / 'run', opened)
    model, modules, plans = opened[0], trainer.recipe.modules, trainer.recipe.joint.plans
    for adapter in modules.adapters.values():
        torch.nn.init.normal_(adapter.up.weight)
    batch = opened[2].windows(np.random.default_rng(0), 3, model.config.head.window)
    data = measure_gain(model, modules, plans, batch, config, torch.Generator().manual_seed(0))
    assert len(data.gain) == int(batch.valid.sum())
    from dysl_vla_ros.skipping.executor import LayerExecutor
    from dysl_vla_ros.training.joint_gate import action_error
    executor = LayerExecutor(model, modules)
    errors = []
    with torch.no_grad():
        for plan in plans:
            x = executor.run_plan(batch.x[:1], batch.media[:1], plan).x
            output = model.lm_head.peek(model.pool(x, batch.mask[:1]),
                                        model.lm_head.initial_state())
            errors.append(action_error(output.pose[0], output.gripper_logit[0],
                                       batch.actions[0, 0], config))
    expected = torch.stack(errors[:-1]) - errors[-1]
    assert torch.allclose(data.gain[0], expected, atol=1e-5)
    assert float(data.motion[0].abs().sum()) == 0  # nothing was committed before
    assert float(data.motion[1, 13]) == 1


def test_the_gate_learns_an_upper_quantile(weights, config, tmp_path):
    opened = open_cache(config, weights, tmp_path / 'run')
    trainer = StrategyTraining('dysl_joint', config, weights, tmp_path / 'run', opened)
    modules = trainer.recipe.modules
    data = measure_gain(opened[0], modules, trainer.recipe.joint.plans,
                        opened[2].windows(np.random.default_rng(0), 4, 4), config,
                        torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    index = torch.randint(len(data.gain), (2000,), generator=generator)
    noisy = dataclasses.replace(
        data, pooled=data.pooled[index], motion=data.motion[index],
        gain=torch.rand(2000, data.gain.shape[1], generator=generator),
        distance=torch.zeros(2000, data.gain.shape[1]))
    optimiser = torch.optim.Adam(modules.parameters(), 0.02)
    for _ in range(200):
        optimiser.zero_grad()
        gate_loss(modules, noisy, torch.arange(2000), 0.9).backward()
        optimiser.step()
    predicted, _ = modules.predict(noisy.pooled, noisy.motion)
    assert abs(float((noisy.gain <= predicted).float().mean()) - 0.9) < 0.04


def test_the_shipped_options_load():
    config = load_yaml(StrategyConfig, share_directory() / 'config/strategies_mini.yaml')
    assert config.default_budget in config.budgets
    with pytest.raises(ValueError, match='default_budget'):
        dataclasses.replace(config, default_budget=0.123)
    with pytest.raises(ValueError, match='increase'):
        dataclasses.replace(config, budgets=(0.5, 0.4), default_budget=0.5)
