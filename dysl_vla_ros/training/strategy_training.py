# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Trains one skip strategy, holds its budgets on demonstrations and writes its files.

The network stays frozen. Resumes exactly, as ``Distillation`` does: modules, optimiser, step and
random generator are in the checkpoint, which is written atomically.
"""

from collections.abc import Callable
import json
from pathlib import Path
import time
from typing import Any

import numpy as np
import torch

from dysl_vla_ros.configuration import to_mapping
from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model import checkpoint
from dysl_vla_ros.model.tokenizer import InstructionTokenizer
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.policy import DySLPolicy
from dysl_vla_ros.skipping.registry import FIXED
from dysl_vla_ros.skipping.strategy_file import Setting, StrategyFile
from dysl_vla_ros.training.budget import hold_budgets
from dysl_vla_ros.training.calibrate import Replay, replay
from dysl_vla_ros.training.curves import plot_curves
from dysl_vla_ros.training.dataset import Demonstrations
from dysl_vla_ros.training.dysl_recipes import (
    AblationRecipe,
    DySLRecipe,
    JointRecipe,
    RandomRecipe,
)
from dysl_vla_ros.training.provenance import git_commit
from dysl_vla_ros.training.recipe import Recipe, Task
from dysl_vla_ros.training.resume import read_checkpoint, warmup_cosine, write_checkpoint
from dysl_vla_ros.training.rival_recipes import (
    DeerRecipe,
    FixedRecipe,
    FlexiDepthRecipe,
    ReuseRecipe,
    RouterRecipe,
)
from dysl_vla_ros.training.skip_data import MediaCache
from dysl_vla_ros.training.strategy_config import StrategyConfig

RECIPES: dict[str, type[Recipe]] = {
    **dict.fromkeys(FIXED, FixedRecipe), 'random': RandomRecipe, 'deer': DeerRecipe,
    'flexidepth': FlexiDepthRecipe, 'one_shot_router': RouterRecipe, 'action_reuse': ReuseRecipe,
    'dysl_no_split': AblationRecipe, 'dysl_one_stage': AblationRecipe,
    **dict.fromkeys(DySLRecipe.switches, DySLRecipe), 'dysl_joint': JointRecipe}

Report = Callable[[int, int, dict[str, float]], None]


def open_cache(config: StrategyConfig, weights: Path, folder: Path,
               progress: Callable[[int, int], None] | None = None,
               ) -> tuple[DySLVLA, InstructionTokenizer, MediaCache, list[str]]:
    """The frozen network and the media latents of the data, kept in ``folder`` between runs.

    Raises:
        DatasetError: If the data does not fit the network.
    """
    torch.set_num_threads(config.threads)
    model = DySLVLA.from_pretrained(weights).requires_grad_(False)
    tokenizer = InstructionTokenizer.from_folder(weights)
    vision = model.config.vision
    data = Demonstrations(list(config.data), image_size=vision.image_size, resize=vision.resize)
    # Every other held-out episode calibrates; the frontier is measured on those between.
    data.held_out = data.held_out[::2]
    # Frames and episodes are the same for every seed: seeds differ in training only.
    cache = MediaCache(model, tokenizer, data, config.max_frames, config.calibration_episodes, 0,
                       progress, folder,
                       checkpoint.file_hash(weights / checkpoint.WEIGHTS) + ''.join(data.hashes))
    return model, tokenizer, cache, data.hashes


class StrategyTraining:
    """Training, calibration and files of one strategy."""

    def __init__(self, name: str, config: StrategyConfig, weights: str | Path,
                 folder: str | Path,
                 opened: tuple[DySLVLA, InstructionTokenizer, MediaCache, list[str]]) -> None:
        """Build the modules or resume.

        Args:
            name: One of ``RECIPES``.
            config: Options.
            weights: Weights folder; receives ``strategies/NAME.*``.
            folder: Run folder; resumed if it holds a checkpoint.
            opened: Result of ``open_cache``, shared by several strategies.

        Raises:
            ConfigError: If the checkpoint is of another configuration, or the name unknown.
        """
        if name not in RECIPES:
            raise ConfigError(f'strategy {name!r} has nothing to train or calibrate; expected one '
                              f'of {sorted(RECIPES)}')
        self.name, self.config = name, config
        self.weights, self.folder = Path(weights), Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.model, self.tokenizer, self.cache, hashes = opened
        torch.manual_seed(config.seed)
        self.rng = np.random.default_rng(config.seed)
        self.recipe = RECIPES[name](Task(name, self.model, self.tokenizer, self.cache, config,
                                         self.weights, self.rng))
        self.weights_hash = checkpoint.file_hash(self.weights / checkpoint.WEIGHTS)
        self.identity: dict[str, Any] = {
            'strategy': name, 'config': to_mapping(config), 'data_sha256': hashes,
            'weights_sha256': self.weights_hash}
        self.step = 0
        self.history: list[dict[str, float]] = []
        if self.recipe.modules is not None:
            self.optimiser = torch.optim.AdamW(self.recipe.modules.parameters(),
                                               weight_decay=0.01)
            if self._checkpoint.is_file():
                self._resume()

    @property
    def _checkpoint(self) -> Path:
        return self.folder / f'{self.name}.pt'

    def _resume(self) -> None:
        saved = read_checkpoint(self._checkpoint, self.identity)
        assert self.recipe.modules is not None
        self.step = saved['step']
        self.recipe.modules.load_state_dict(saved['modules'])
        self.optimiser.load_state_dict(saved['optimiser'])
        self.rng.bit_generator.state = json.loads(saved['rng'])
        self.history = json.loads(saved['history'])

    def save_checkpoint(self) -> None:
        """Write the resumable state atomically."""
        assert self.recipe.modules is not None
        write_checkpoint(self._checkpoint, {
            'identity': json.dumps(self.identity), 'step': self.step,
            'modules': self.recipe.modules.state_dict(),
            'optimiser': self.optimiser.state_dict(),
            'rng': json.dumps(self.rng.bit_generator.state),
            'history': json.dumps(self.history)})

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then cosine to 5 % of the peak."""
        return warmup_cosine(self.config.learning_rate, step, self.recipe.steps,
                             self.config.warmup_steps, 0.05)

    def train_step(self) -> dict[str, float]:
        """One optimiser step; returns the losses."""
        assert self.recipe.modules is not None
        for group in self.optimiser.param_groups:
            group['lr'] = self.learning_rate(self.step)
        loss, values = self.recipe.loss(self.step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.recipe.modules.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        return values

    def train(self, report: Report) -> None:
        """Run to the end; nothing happens for a strategy without modules."""
        if self.recipe.modules is None or self.step >= self.recipe.steps:
            return
        last_save = time.monotonic()
        running: dict[str, float] = {}
        self.recipe.modules.train()
        while self.step < self.recipe.steps:
            for key, value in self.train_step().items():
                running[key] = 0.95 * running.get(key, value) + 0.05 * value
            if self.step % self.config.log_every == 0:
                self.history.append({'step': self.step, **running})
            report(self.step, self.recipe.steps, running)
            if time.monotonic() - last_save > 60 * self.config.checkpoint_minutes:
                self.save_checkpoint()
                last_save = time.monotonic()
        self.save_checkpoint()
        plot_curves(self.history, self.folder / f'{self.name}.png', self.name)

    def run(self, report: Report, message: Callable[[str], None] = lambda text: None,
            ) -> StrategyFile:
        """Train, calibrate every budget and write the files; returns what was written."""
        self.train(report)
        if self.recipe.modules is not None:
            self.recipe.modules.eval()
        self.recipe.prepare_calibration()
        replays: dict[str, Replay] = {}

        def measure(number: float) -> float:
            values = self.recipe.values(number)
            key = json.dumps(values)
            if key not in replays:
                policy = DySLPolicy(self.model, self.tokenizer, strategy=self.recipe.build(values))
                replays[key] = replay(policy, self.cache)
                message(f'{self.name}: {number:.4g} -> share {replays[key].share:.3f}')
            return replays[key].share

        budgets = self.config.budgets
        if self.recipe.knob is None:
            found = [(b, measure(b)) for b in budgets]
        else:
            found = hold_budgets(measure, self.recipe.knob, budgets, self.config.bisections)
        settings, summaries = [], []
        for budget, (number, share) in zip(budgets, found, strict=True):
            values = self.recipe.values(number)
            settings.append(Setting(budget, share, values))
            summaries.append({'budget': budget, 'budget_met': share <= budget + 1e-9,
                              **_errors(replays[json.dumps(values)],
                                       self.config.false_alarm_change)})
            message(f'{self.name}: budget {budget:g} achieved {share:.3f}')
        modules = self.recipe.modules
        result = StrategyFile(
            self.name, self.weights_hash, self.recipe.options, tuple(settings),
            self.config.default_budget, {
                **self.identity, 'calibration': summaries, 'commit': git_commit(),
                'torch': torch.__version__, 'trainable_parameters':
                    sum(p.numel() for p in modules.parameters()) if modules is not None else 0})
        result.save(self.weights, modules)
        return result


def _errors(result: Replay, false_alarm_change: float) -> dict[str, Any]:
    return {'steps': len(result.layers),
            'pose_mae': float(np.abs(result.actions - result.labels)[:, :6].mean()),
            'gripper_error': float((result.actions[:, 6] != result.labels[:, 6]).mean()),
            'verified_share': result.verified_share,
            'false_alarm_share': result.false_alarm_share(false_alarm_change)}
