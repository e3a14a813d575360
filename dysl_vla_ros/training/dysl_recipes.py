# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""DySL, its ablations, its random control and DySL-joint: training and what their budget turns."""

import dataclasses
from typing import Any

import numpy as np
import torch

from dysl_vla_ros.configuration import to_mapping
from dysl_vla_ros.errors import CheckpointError
from dysl_vla_ros.skipping import config as skipping_config
from dysl_vla_ros.skipping.config import SkippingConfig
from dysl_vla_ros.skipping.modules import SkipModules
from dysl_vla_ros.skipping.partition import LayerPartition, select_static, static_count
from dysl_vla_ros.skipping.policy import DySLPolicy
from dysl_vla_ros.skipping.registry import (
    JointOptions,
    build_joint_modules,
    build_skip_modules,
    load_skipping,
)
from dysl_vla_ros.skipping.strategies.dysl import DySL
from dysl_vla_ros.skipping.strategies.joint import JointGate, JointModules, nested_plans
from dysl_vla_ros.skipping.strategies.joint_safety import SIGNALS, JointSafety
from dysl_vla_ros.skipping.strategies.random_skip import RandomSkip, plan_cost
from dysl_vla_ros.skipping.strategy import Strategy
from dysl_vla_ros.training.adapters_stage import adapters_loss
from dysl_vla_ros.training.budget import Knob
from dysl_vla_ros.training.calibrate import replay
from dysl_vla_ros.training.controllers_stage import controllers_loss, draw_plan, draw_single
from dysl_vla_ros.training.distill_config import DistillConfig
from dysl_vla_ros.training.joint_gate import GateData, gate_loss, measure_gain, run_plan
from dysl_vla_ros.training.recipe import Losses, Recipe, Task

_TAU = Knob(1e-4, 0.9999, 'logit')
_GATE_BATCH = 256
_LABEL_WINDOWS = 24


class DySLRecipe(Recipe):
    """DySL with the shipped modules: only tau is calibrated, with one part switched off or not."""

    switches: dict[str, dict[str, Any]] = {
        'dysl': {}, 'dysl_no_prior': {'use_prior': False}, 'dysl_no_post': {'use_post': False}}

    def __init__(self, task: Task) -> None:
        """Load DySL's files of the weights folder."""
        super().__init__(task)
        skipping, self.shipped = load_skipping(task.model, task.folder)
        self.skipping = dataclasses.replace(skipping, **self.switches[task.name])
        self.knob = _TAU

    def values(self, number: float) -> dict[str, Any]:
        """Tau."""
        return {'skip_threshold': number}

    def build(self, values: dict[str, Any]) -> Strategy:
        """DySL with this tau."""
        return DySL(self.task.model, dataclasses.replace(self.skipping, **values), self.shipped,
                    self.task.name)


class AblationRecipe(Recipe):
    """DySL trained anew: without the static split, or without the stage of adapters."""

    modules: SkipModules

    def __init__(self, task: Task) -> None:
        """Sizes and continuity thresholds of the folder's DySL, if there is one."""
        super().__init__(task)
        base = shipped_config(task)
        if task.name == 'dysl_no_split':
            base = dataclasses.replace(base, static_layers=(0, task.model.n_layers - 1),
                                       joins_groups=False)
        self.skipping = dataclasses.replace(base, skip_threshold=0.5, metadata={})
        torch.manual_seed(task.config.seed)
        self.modules = build_skip_modules(task.model, self.skipping)
        self.options = {k: v for k, v in to_mapping(self.skipping).items()
                        if k != 'skip_threshold'}
        self.steps = task.config.steps
        self.knob = _TAU
        # DySL's share of steps per stage, from config/distill_mini.yaml: 1500, 900, 1200.
        self.bounds = (0, self.steps // 4) if task.name == 'dysl_one_stage' \
            else (self.steps * 5 // 12, self.steps * 2 // 3)
        config = task.config
        self.distill = DistillConfig(
            skip_reward=config.skip_reward, huber_delta=config.huber_delta,
            gripper_weight=config.gripper_weight, teacher_weight=config.teacher_weight)

    def loss(self, step: int) -> tuple[torch.Tensor, Losses]:
        """Adapters, then one drawn position, then whole plans."""
        task = self.task
        if step < self.bounds[0]:
            loss, _ = adapters_loss(task.model, self.modules,
                                    task.cache.frames(task.rng, 10 * task.config.batch))
            return loss, {'adapters_loss': loss.item()}
        draw = draw_single if step < self.bounds[1] else draw_plan
        outcome = controllers_loss(
            task.model, self.modules, task.windows(task.config.batch),
            draw(self.modules.partition, task.rng), self.distill)
        return outcome.total, {'task_loss': outcome.task, 'teacher_loss': outcome.teacher,
                               'skip_probability': outcome.skip_probability}

    def values(self, number: float) -> dict[str, Any]:
        """Tau."""
        return {'skip_threshold': number}

    def build(self, values: dict[str, Any]) -> Strategy:
        """DySL with these modules."""
        return DySL(self.task.model, dataclasses.replace(self.skipping, **values), self.modules,
                    self.task.name)


class RandomRecipe(Recipe):
    """Nothing to train: plans of DySL's adapters, drawn so that the mean meets the budget."""

    def __init__(self, task: Task) -> None:
        """Load DySL's files of the weights folder."""
        super().__init__(task)
        self.options = {'seed': task.config.seed}
        skipping, self.shipped = load_skipping(task.model, task.folder)
        self.cheapest = plan_cost(skipping.partition, [g.first for g in skipping.partition.groups])

    def values(self, number: float) -> dict[str, Any]:
        """Mean number of layers; the cheapest plan where the budget is smaller still."""
        return {'mean_layers': max(float(self.cheapest), number * self.task.model.n_layers)}

    def build(self, values: dict[str, Any]) -> Strategy:
        """Random plans."""
        return RandomSkip(self.task.model, self.shipped, values['mean_layers'],
                          self.options['seed'])


class JointRecipe(Recipe):
    """Adapters through whole plans, then the gate on the measured error gain of every plan."""

    modules: JointModules

    def __init__(self, task: Task) -> None:
        """Start from DySL's adapters where the folder has fitting ones."""
        super().__init__(task)
        config = task.config
        base = shipped_config(task)
        plans = nested_plans(LayerPartition(task.model.n_layers, base.static_layers),
                             config.plans)
        self.joint = JointOptions(
            base.static_layers, plans, base.adapter_rank, config.hidden, 0.0,
            JointSafety(config.max_skipped, config.dense_on_events, config.stale_s))
        self.options = {k: v for k, v in to_mapping(self.joint).items() if k != 'threshold'}
        torch.manual_seed(config.seed)
        self.modules = build_joint_modules(task.model, self.joint)
        try:
            _, shipped = load_skipping(task.model, task.folder)
        except CheckpointError:
            pass  # the adapters start as the identity
        else:
            for j, adapter in self.modules.adapters.items():
                adapter.load_state_dict(shipped.adapters[j].state_dict())
        self.plan_steps = config.steps
        self.steps = config.steps + config.gate_steps
        self.data: GateData | None = None
        self.knob = Knob(-0.05, 0.5, more_is_dearer=False)

    def loss(self, step: int) -> tuple[torch.Tensor, Losses]:
        """A random plan per batch; afterwards the gate alone."""
        task, config = self.task, self.task.config
        if step < self.plan_steps:
            batch = task.windows(config.batch)
            teacher = self.teach(task.model.decode(batch.x, batch.media), batch)
            plan = self.joint.plans[task.rng.integers(len(self.joint.plans) - 1)]
            x = run_plan(task.model, self.modules, batch.x, batch.media, plan)
            loss = self.imitate(task.model.lm_head, x, batch, teacher)
            return loss, {'plan_loss': loss.item()}
        if self.data is None:
            self.data = self._measure()
        index = torch.from_numpy(task.rng.integers(len(self.data.gain), size=_GATE_BATCH))
        loss = gate_loss(self.modules, self.data, index, config.quantile)
        return loss, {'gate_loss': loss.item()}

    def _measure(self) -> GateData:
        task, config = self.task, self.task.config
        # Generators of their own: a resumed run must measure the same frames.
        generator = torch.Generator().manual_seed(config.seed)
        rng = np.random.default_rng(config.seed + 1)
        parts = []
        for start in range(0, config.gate_windows, _LABEL_WINDOWS):
            batch = task.cache.windows(rng, min(_LABEL_WINDOWS, config.gate_windows - start),
                                       task.model.config.head.window)
            parts.append(measure_gain(task.model, self.modules, self.joint.plans, batch, config,
                                      generator))
        return GateData(*(torch.cat([getattr(p, f.name) for p in parts])
                          for f in dataclasses.fields(GateData)))

    def prepare_calibration(self) -> None:
        """The range of predicted gains is the range of the threshold."""
        if self.data is None:
            self.data = self._measure()
        with torch.no_grad():
            predicted, _ = self.modules.predict(self.data.pooled, self.data.motion)
        low, high = predicted.min().item(), predicted.max().item()
        margin = 1e-3 + 0.01 * (high - low)
        self.knob = Knob(low - margin, high + margin, more_is_dearer=False)
        if self.task.config.alarm_rate > 0:
            self._calibrate_alarms(self.task.config.alarm_rate / len(SIGNALS))

    def _calibrate_alarms(self, rate: float) -> None:
        """Each signal's threshold is the percentile that ``rate`` of the skipped passes exceed."""
        assert self.knob is not None
        rule = self.build(self.values(self.knob.at(0.5)))
        seen: list[dict[str, float]] = []
        rule.on_signals = seen.append
        replay(DySLPolicy(self.task.model, self.task.tokenizer, strategy=rule), self.task.cache)

        def percentile(name: str, share: float) -> float:
            values = [s[name] for s in seen if np.isfinite(s[name])]
            # Nothing was skipped: no alarm, which 0 says.
            return float(np.percentile(values, 100 * share)) if values else 0.0

        self.joint = dataclasses.replace(self.joint, safety=dataclasses.replace(
            self.joint.safety, max_disagreement=percentile('disagreement', 1 - rate),
            min_gripper_margin=percentile('gripper_margin', rate),
            max_latent_change=percentile('latent_change', 1 - rate)))
        self.options['safety'] = to_mapping(self.joint.safety)

    def values(self, number: float) -> dict[str, Any]:
        """Largest predicted gain that is allowed."""
        return {'threshold': number}

    def build(self, values: dict[str, Any]) -> JointGate:
        """The gate with this threshold."""
        return JointGate(self.task.model, self.modules, self.joint.plans, values['threshold'],
                         self.joint.safety)


def shipped_config(task: Task) -> SkippingConfig:
    """The folder's skipping.json, or layers chosen by cosine and sizes from the options."""
    if (task.folder / skipping_config.FILE_NAME).is_file():
        return SkippingConfig.from_folder(task.folder)
    similarity = [1.0 - s for s in task.layer_scores()]
    partition = select_static(similarity, static_count(task.model.n_layers,
                                                       task.config.static_share))
    return SkippingConfig(partition.static, task.model.n_layers,
                          adapter_rank=task.config.adapter_rank)
