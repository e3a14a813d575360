# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Each strategy trains, holds its budget, resumes exactly and comes back from its files."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from dysl_vla_ros.configuration import load_yaml
from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.resources import share_directory
from dysl_vla_ros.skipping.policy import DySLPolicy
from dysl_vla_ros.training.joint_gate import gate_loss, measure_gain
from dysl_vla_ros.training.strategy_config import StrategyConfig
from dysl_vla_ros.training.strategy_training import RECIPES, StrategyTraining, open_cache


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
        # Warm-up, verification and the limit of reuse in a row may cost more than the budget.
        if not name.startswith('dysl_') and name not in ('dysl', 'action_reuse'):
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


def test_alarms_are_calibrated_on_the_signals_of_skipped_passes(weights, config, tmp_path):
    config = dataclasses.replace(config, alarm_rate=0.6, max_skipped=2, dense_on_events=False)
    opened = open_cache(config, weights, tmp_path / 'run')
    trainer = StrategyTraining('dysl_joint', config, weights, tmp_path / 'run', opened)
    for adapter in trainer.recipe.modules.adapters.values():  # so that skipping matters
        torch.nn.init.normal_(adapter.up.weight)
    written = trainer.run(lambda *_: None)
    safety = written.options['safety']
    assert (safety['max_skipped'], safety['dense_on_events']) == (2, False)
    for name in ('max_disagreement', 'min_gripper_margin', 'max_latent_change'):
        assert safety[name] > 0, name
    first = written.metadata['calibration'][0]
    assert 0 < first['verified_share'] < 1
    assert 0 <= first['false_alarm_share'] <= 1
    # The percentile leaves a fifth of the skipped passes beyond each threshold.
    policy = DySLPolicy.from_pretrained(weights, 'dysl_joint', budget=written.settings[0].budget)
    policy.rule.threshold = trainer.recipe.knob.at(0.5)
    policy.rule.safety = dataclasses.replace(
        policy.rule.safety, max_disagreement=0.0, min_gripper_margin=0.0, max_latent_change=0.0)
    margins = []
    policy.rule.on_signals = lambda seen: margins.append(seen['gripper_margin'])
    from dysl_vla_ros.training.calibrate import replay
    replay(policy, opened[2])
    below = np.mean(np.array(margins) < safety['min_gripper_margin'])
    assert 0 < below <= 0.2 + 1 / len(margins)


def test_the_shipped_options_load():
    config = load_yaml(StrategyConfig, share_directory() / 'config/strategies_mini.yaml')
    assert config.default_budget in config.budgets
    with pytest.raises(ValueError, match='default_budget'):
        dataclasses.replace(config, default_budget=0.123)
    with pytest.raises(ValueError, match='increase'):
        dataclasses.replace(config, budgets=(0.5, 0.4), default_budget=0.5)
