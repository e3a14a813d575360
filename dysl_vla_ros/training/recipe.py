# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A recipe: what training and calibrating one skip strategy takes, whatever the strategy.

It owns the added modules, gives the loss of a step and builds the strategy for a value of its
knob; ``strategy_training`` does the rest.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dysl_vla_ros.model.tokenizer import InstructionTokenizer
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.scoring import cosine_similarity
from dysl_vla_ros.skipping.strategy import Strategy
from dysl_vla_ros.training.budget import Knob
from dysl_vla_ros.training.losses import action_loss
from dysl_vla_ros.training.skip_data import MediaBatch, MediaCache
from dysl_vla_ros.training.strategy_config import StrategyConfig

Losses = dict[str, float]


@dataclass(frozen=True)
class Task:
    """What every recipe works with."""

    name: str
    model: DySLVLA
    tokenizer: InstructionTokenizer
    cache: MediaCache
    config: StrategyConfig
    folder: Path
    rng: np.random.Generator

    def windows(self, batch: int) -> MediaBatch:
        """Random windows of the head's length."""
        return self.cache.windows(self.rng, batch, self.model.config.head.window)

    def layer_scores(self) -> tuple[float, ...]:
        """1 - cosine of input and output per layer."""
        batch = self.cache.frames(self.rng, self.config.scoring_frames)
        return tuple(1.0 - s for s in cosine_similarity(
            self.model, [(batch.x, batch.media, batch.mask)]))


class Recipe:
    """Training and calibration of one strategy.

    Attributes:
        task: Network, data, options.
        modules: What is trained; None if nothing is.
        steps: Optimiser steps.
        options: Options that do not depend on the budget.
        knob: What bisection turns, or None where the cost is known without measuring.
    """

    modules: nn.Module | None = None
    knob: Knob | None = None

    def __init__(self, task: Task) -> None:
        """Build untrained modules."""
        self.task = task
        self.options: dict[str, Any] = {}
        self.steps = 0

    def loss(self, step: int) -> tuple[torch.Tensor, Losses]:
        """Loss of one step, on data it draws."""
        raise NotImplementedError(f'{self.task.name} trains nothing')

    def prepare_calibration(self) -> None:
        """Called once between training and calibration; most need nothing."""

    def values(self, number: float) -> dict[str, Any]:
        """Options at a value of the knob, or for a budget where there is no knob."""
        raise NotImplementedError

    def build(self, values: dict[str, Any]) -> Strategy:
        """The strategy with these options."""
        raise NotImplementedError

    def imitate(self, head: nn.Module, x: torch.Tensor, batch: MediaBatch,
                teacher: torch.Tensor) -> torch.Tensor:
        """Loss against demonstration and dense action of the output (B * T, S, d)."""
        config = self.task.config
        feature = self.task.model.pool(x, batch.mask, batch.robot_obs)
        pose, logit = head(feature.view(*batch.valid.shape, -1))
        losses = [action_loss(pose, logit, target, batch.valid, config.huber_delta,
                              config.gripper_weight)[0] for target in (batch.actions, teacher)]
        return losses[0] + config.teacher_weight * losses[1]

    @torch.no_grad()
    def teach(self, x: torch.Tensor, batch: MediaBatch) -> torch.Tensor:
        """Dense actions (B, T, 7) from the dense output (B * T, S, d)."""
        model = self.task.model
        feature = model.pool(x, batch.mask, batch.robot_obs)
        pose, logit = model.lm_head(feature.view(*batch.valid.shape, -1))
        return torch.cat((pose, torch.where(logit > 0, 1.0, -1.0)[..., None]), dim=-1)
