# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How each rival of DySL is trained over the frozen network, and what its budget turns.

Mechanisms: design/method.md 16.2, 16.3 and 16.5 to 16.8.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model.early_exit import exit_values, solve_thresholds, value_positions
from dysl_vla_ros.skipping.registry import recoveries
from dysl_vla_ros.skipping.strategies.action_reuse import ActionReuse
from dysl_vla_ros.skipping.strategies.early_exit import EarlyExit, ExitHead, default_exits
from dysl_vla_ros.skipping.strategies.fixed_layers import FixedLayers, Recovery, kept_by_score
from dysl_vla_ros.skipping.strategies.layer_gates import FlexiDepth, LayerGates
from dysl_vla_ros.skipping.strategies.one_shot_router import OneShotRouter, Router
from dysl_vla_ros.skipping.strategy import Strategy
from dysl_vla_ros.training.adapters_stage import hidden_states
from dysl_vla_ros.training.budget import Knob
from dysl_vla_ros.training.losses import action_loss
from dysl_vla_ros.training.recipe import Losses, Recipe, Task
from dysl_vla_ros.training.skip_data import MediaBatch

_VALUE_BATCHES = 8


def layers_for(budget: float, n_layers: int) -> int:
    """Whole layers that fit a budget."""
    return max(2, min(n_layers, math.floor(budget * n_layers + 1e-9)))


class FixedRecipe(Recipe):
    """Truncation and static drop: one fine-tuned set per budget, trained in turn."""

    modules: nn.ModuleDict

    def __init__(self, task: Task) -> None:
        """Choose the layers of every budget."""
        super().__init__(task)
        n = task.model.n_layers
        counts = sorted({layers_for(b, n) for b in task.config.budgets})
        if task.name == 'truncated':
            self.kept = {c: tuple(range(c)) for c in counts}
        else:
            scores = gradient_scores(task) if task.name == 'static_drop_gradient' \
                else task.layer_scores()
            self.kept = {c: kept_by_score(scores, c) for c in counts}
        self.modules = recoveries(task.model, [list(k) for k in self.kept.values()])
        self.steps = task.config.steps

    def loss(self, step: int) -> tuple[torch.Tensor, Losses]:
        """One of the sets per step."""
        batch = self.task.windows(self.task.config.batch)
        teacher = self.teach(self.task.model.decode(batch.x, batch.media), batch)
        names = sorted(self.modules)
        recovery: Any = self.modules[names[step % len(names)]]
        x = recovery.decode(self.task.model, batch.x, batch.media)
        loss = self.imitate(recovery.lm_head, x, batch, teacher)
        return loss, {f'loss_{names[step % len(names)]}_layers': loss.item()}

    def values(self, number: float) -> dict[str, Any]:
        """The layers that fit the budget."""
        return {'kept': list(self.kept[layers_for(number, self.task.model.n_layers)])}

    def build(self, values: dict[str, Any]) -> Strategy:
        """The fine-tuned set."""
        recovery = self.modules[str(len(values['kept']))]
        assert isinstance(recovery, Recovery)
        return FixedLayers(self.task.model, self.task.name, values['kept'], recovery)


def gradient_scores(task: Task) -> tuple[float, ...]:
    """GateProbe: E |<dLoss/dh_i, F_i(h_{i-1})>|, F_i the layer's update (method.md 16.3)."""
    model, config = task.model, task.config
    total = torch.zeros(model.n_layers, dtype=torch.float64)
    batch = task.windows(max(1, config.scoring_frames // model.config.head.window))
    x, states = batch.x.clone().requires_grad_(True), []
    for layer in model.layers:
        update = layer(x, batch.media)
        states.append((x, update))
        x = update
    pose, logit = model.lm_head(
        model.pool(x, batch.mask, batch.robot_obs).view(*batch.valid.shape, -1))
    loss, _ = action_loss(pose, logit, batch.actions, batch.valid, config.huber_delta,
                          config.gripper_weight)
    gradients = torch.autograd.grad(loss, [after for _, after in states])
    for j, ((before, after), gradient) in enumerate(zip(states, gradients, strict=True)):
        product = (gradient * (after - before) * batch.mask[..., None]).sum((1, 2))
        total[j] = product.abs().mean().item()
    return tuple(total.tolist())


class DeerRecipe(Recipe):
    """One head for all exits: random exit per frame, and one change of exit per window."""

    modules: ExitHead

    def __init__(self, task: Task) -> None:
        """Exits after every second layer."""
        super().__init__(task)
        if task.model.config.exits is not None:
            raise ConfigError('this network has DeeR exits of its own; nothing to train')
        self.exits = default_exits(task.model.n_layers)
        self.options = {'exits': list(self.exits)}
        self.modules = ExitHead(task.model)
        self.steps = task.config.steps
        self.knob = Knob(0.05, 20.0, 'log')
        self.differences = torch.zeros(len(self.exits), 1)

    def _features(self, batch: MediaBatch) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Pooled features (B, T, d) of layer 0 and every exit, and all hidden states."""
        states = hidden_states(self.task.model, batch)
        wanted = [states[j + 1] for j in (0, *self.exits)]
        return torch.stack([
            self.task.model.pool(x, batch.mask, batch.robot_obs).view(*batch.valid.shape, -1)
            for x in wanted]), states

    def loss(self, step: int) -> tuple[torch.Tensor, Losses]:
        """Both ways of drawing exits, each against demonstration and dense action."""
        config, rng = self.task.config, self.task.rng
        batch = self.task.windows(config.batch)
        features, states = self._features(batch)
        teacher = self.teach(states[-1], batch)
        shape, count = batch.valid.shape, len(self.exits)
        random = rng.integers(1, count + 1, shape)
        pair = rng.integers(1, count + 1, (2, shape[0], 1))
        split = rng.integers(1, shape[1] + 1, (shape[0], 1))
        once = np.where(np.arange(shape[1]) < split, pair[0], pair[1])
        total = torch.zeros(())
        for drawn in (random, once):
            index = torch.from_numpy(drawn)[None, ..., None].expand(1, -1, -1, features.shape[-1])
            pose, logit = self.modules.lm_head(features.gather(0, index)[0])
            for target, weight in ((batch.actions, 1.0), (teacher, config.teacher_weight)):
                total = total + weight * action_loss(
                    pose, logit, target, batch.valid, config.huber_delta,
                    config.gripper_weight)[0]
        return total, {'loss': total.item()}

    @torch.no_grad()
    def prepare_calibration(self) -> None:
        """Action changes between exits on windows whose history also exited anywhere."""
        columns = []
        head = self.modules.lm_head
        for _ in range(_VALUE_BATCHES):
            batch = self.task.windows(self.task.config.batch)
            features, _ = self._features(batch)
            for b in range(batch.valid.shape[0]):
                steps = int(batch.valid[b].sum())
                drawn = torch.from_numpy(self.task.rng.integers(1, len(self.exits) + 1, steps))
                earlier = features[drawn, b, torch.arange(steps)]
                positions = [p for p in value_positions(batch.valid.shape[1]) if p < steps]
                if positions:
                    columns.append(exit_values(head, earlier, features[0, b, :steps],
                                               features[1:, b, :steps], positions))
        self.differences = torch.cat(columns, dim=1)

    def values(self, number: float) -> dict[str, Any]:
        """Thresholds for an exit ratio."""
        thresholds = solve_thresholds(self.differences, number)
        return {'thresholds': [float(t) for t in thresholds]}

    def build(self, values: dict[str, Any]) -> Strategy:
        """Early exit with these thresholds."""
        return EarlyExit(self.task.model, self.modules, self.exits, values['thresholds'])


class FlexiDepthRecipe(Recipe):
    """Gates and adapters, with a penalty on open gates; tau is drawn, so that any may be set."""

    modules: LayerGates

    def __init__(self, task: Task) -> None:
        """Build open gates."""
        super().__init__(task)
        self.modules = LayerGates(task.model)
        self.steps = task.config.steps
        self.knob = Knob(0.002, 0.998, 'logit', more_is_dearer=False)

    def loss(self, step: int) -> tuple[torch.Tensor, Losses]:
        """Hard choice forward, gradient through the scale of the update."""
        model, config = self.task.model, self.task.config
        batch = self.task.windows(config.batch)
        teacher = self.teach(model.decode(batch.x, batch.media), batch)
        threshold = float(self.task.rng.uniform(0.3, 0.7))
        x, opened = batch.x, []
        for j, layer in enumerate(model.layers):
            if str(j) not in self.modules.gates:
                x = layer(x, batch.media)
                continue
            gate: Any = self.modules.gates[str(j)]
            value = gate(x, batch.mask).sigmoid()
            opened.append(value)
            g = value[:, None, None]
            x = torch.where(g > threshold, torch.lerp(x, layer(x, batch.media), g),
                            x + (1 - g) * gate.adapter(x))
        mean = torch.stack(opened).mean()
        loss = self.imitate(model.lm_head, x, batch, teacher)
        return loss + config.gate_penalty * mean, {'loss': loss.item(), 'open': mean.item()}

    def values(self, number: float) -> dict[str, Any]:
        """Tau."""
        return {'threshold': number}

    def build(self, values: dict[str, Any]) -> Strategy:
        """Gates with this tau."""
        return FlexiDepth(self.task.model, self.modules, values['threshold'])


class RouterRecipe(Recipe):
    """Top-k layers with straight-through weights, k drawn among the budgets."""

    modules: Router

    def __init__(self, task: Task) -> None:
        """Start from the layers that change their input most."""
        super().__init__(task)
        self.options = {'hidden': task.config.hidden}
        self.modules = Router(task.model, task.config.hidden)
        scores = torch.tensor(task.layer_scores()).log()
        bias: Any = self.modules.media[-1].bias
        with torch.no_grad():
            bias.copy_((scores - scores.mean()) / scores.std().clamp_min(1e-6))
        self.steps = task.config.steps

    def loss(self, step: int) -> tuple[torch.Tensor, Losses]:
        """Imitation, distillation and an even use of layers."""
        model, config = self.task.model, self.task.config
        batch = self.task.windows(config.batch)
        teacher = self.teach(model.decode(batch.x, batch.media), batch)
        keep = layers_for(float(self.task.rng.choice(config.budgets)), model.n_layers)
        logits = self.modules(batch.x, batch.media, batch.mask)  # (B * T, n)
        edge = logits.topk(min(keep + 1, model.n_layers), dim=-1).values[:, -2:].mean(-1)
        soft = (logits - edge[:, None].detach()).sigmoid()
        hard = torch.zeros_like(soft).scatter(-1, logits.topk(keep, dim=-1).indices, 1.0)
        weight = hard + soft - soft.detach()
        x = batch.x
        for j, layer in enumerate(model.layers):
            x = torch.lerp(x, layer(x, batch.media), weight[:, j, None, None])
        share = functional.softmax(logits, dim=-1).mean(0)
        balance = model.n_layers * share.square().sum() - 1
        loss = self.imitate(self.modules.lm_head, x, batch, teacher)
        return loss + config.balance_weight * balance, {'loss': loss.item(),
                                                        'balance': balance.item()}

    def values(self, number: float) -> dict[str, Any]:
        """Layers that fit the budget."""
        return {'keep': layers_for(number, self.task.model.n_layers)}

    def build(self, values: dict[str, Any]) -> Strategy:
        """The router with this many layers."""
        return OneShotRouter(self.task.model, self.modules, values['keep'])


class ReuseRecipe(Recipe):
    """Nothing to train; the speed above which actions are extrapolated holds the budget."""

    def __init__(self, task: Task) -> None:
        """Speeds lie between 0 and sqrt(3) action units."""
        super().__init__(task)
        self.knob = Knob(0.0, 1.8)

    def values(self, number: float) -> dict[str, Any]:
        """The speed threshold."""
        return {'speed_threshold': number}

    def build(self, values: dict[str, Any]) -> Strategy:
        """Reuse above this speed."""
        return ActionReuse(self.task.model, values['speed_threshold'])
