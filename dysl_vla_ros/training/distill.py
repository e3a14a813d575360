# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Skip-aware distillation: score layers, train adapters and controllers, calibrate, write.

Only the added modules learn; the network stays frozen. Resumes exactly: modules, optimiser,
step and random generator are in the checkpoint, which is written atomically.
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
from dysl_vla_ros.skipping.config import FILE_NAME, SkippingConfig
from dysl_vla_ros.skipping.modules import SkipModules
from dysl_vla_ros.skipping.partition import select_static, static_count
from dysl_vla_ros.skipping.scoring import cosine_similarity
from dysl_vla_ros.training.adapters_stage import adapters_loss
from dysl_vla_ros.training.calibrate import calibrate
from dysl_vla_ros.training.controllers_stage import controllers_loss, draw_plan, draw_single
from dysl_vla_ros.training.curves import plot_curves
from dysl_vla_ros.training.dataset import Demonstrations
from dysl_vla_ros.training.distill_config import DistillConfig
from dysl_vla_ros.training.provenance import git_commit
from dysl_vla_ros.training.resume import read_checkpoint, warmup_cosine, write_checkpoint
from dysl_vla_ros.training.skip_data import MediaCache

Report = Callable[[int, dict[str, float]], None]
_SCORING_BATCH = 64


class Distillation:
    """The loop over stages."""

    def __init__(self, config: DistillConfig, weights: str | Path, folder: str | Path,
                 progress: Callable[[int, int], None] | None = None,
                 skip_damaged: bool = False) -> None:
        """Load the frozen network, encode the data, score the layers, build or resume.

        Args:
            config: Options.
            weights: Weights folder of the dense network; receives the result.
            folder: Run folder; resumed if it holds a checkpoint.
            progress: Called with (frames encoded, frames in total).
            skip_damaged: Leave out demonstrations with a damaged frame (``skipped`` lists them)
                instead of stopping at it.

        Raises:
            ConfigError: If the checkpoint is of another configuration or network.
            DatasetError: If the data does not fit the network.
        """
        torch.set_num_threads(config.threads)
        self.config = config
        self.weights, self.folder = Path(weights), Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.model = DySLVLA.from_pretrained(self.weights).requires_grad_(False)
        self.tokenizer = InstructionTokenizer.from_folder(self.weights)
        vision = self.model.config.vision
        data = Demonstrations(list(config.data), image_size=vision.image_size,
                              resize=vision.resize, skip_damaged=skip_damaged)
        self.skipped = data.skipped
        self.data_hashes = data.hashes
        self.cache = MediaCache(self.model, self.tokenizer, data, config.max_frames,
                                config.calibration_episodes, config.seed, progress)
        self.identity = {'config': to_mapping(config), 'data_sha256': data.hashes,
                         'weights_sha256': checkpoint.file_hash(
                             self.weights / checkpoint.WEIGHTS)}
        del data  # hundreds of megabytes of images are not needed any more
        self.rng = np.random.default_rng(config.seed)
        self.step = 0
        self.history: list[dict[str, float]] = []
        self.relative_error: dict[int, float] = {}
        self.scores = self._score()
        self.partition = select_static(
            self.scores, static_count(self.model.n_layers, config.static_share)) \
            if config.start_from is None else self._earlier(config.start_from).partition
        if not self.partition.groups:
            raise ConfigError(f'static_share {config.static_share} leaves no dynamic layer')
        torch.manual_seed(config.seed)
        self.modules = SkipModules(self.partition, self.model.config.decoder.d_model,
                                   config.adapter_rank, config.controller_hidden)
        if config.start_from is not None:
            self.modules.load(config.start_from)
        self._stage = -1
        self._enter(0)
        if self._checkpoint.is_file():
            self._resume()

    @property
    def _checkpoint(self) -> Path:
        return self.folder / 'checkpoint.pt'

    def _earlier(self, folder: str) -> SkippingConfig:
        earlier = SkippingConfig.from_folder(folder)
        theirs = (earlier.n_layers, earlier.adapter_rank, earlier.controller_hidden)
        ours = (self.model.n_layers, self.config.adapter_rank, self.config.controller_hidden)
        if theirs != ours:
            raise ConfigError(f'start_from {folder}: layers, adapter_rank and controller_hidden '
                              f'are {theirs}, this configuration has {ours}')
        return earlier

    def _score(self) -> tuple[float, ...]:
        rng = np.random.default_rng(self.config.seed + 1)
        counts = [min(_SCORING_BATCH, self.config.scoring_frames - start)
                  for start in range(0, self.config.scoring_frames, _SCORING_BATCH)]
        batches = (self.cache.frames(rng, count) for count in counts)
        return cosine_similarity(self.model, ((b.x, b.media, b.mask) for b in batches))

    def _enter(self, stage: int) -> None:
        """Start a stage with a fresh optimiser over what it trains."""
        if stage == self._stage or stage >= len(self.config.stages):
            return
        self._stage = stage
        trained = self.modules.adapters \
            if self.config.stages[stage].name in ('adapters', 'jumps') else self.modules
        self.modules.requires_grad_(False)
        trained.requires_grad_(True)
        self.optimiser = torch.optim.AdamW(trained.parameters(), weight_decay=0.01)

    def _resume(self) -> None:
        saved = read_checkpoint(self._checkpoint, self.identity)
        self.step = saved['step']
        self._enter(saved['stage'])
        self.modules.load_state_dict(saved['modules'])
        self.optimiser.load_state_dict(saved['optimiser'])
        self.rng.bit_generator.state = json.loads(saved['rng'])
        self.history = json.loads(saved['history'])
        self.relative_error = {int(k): v for k, v in
                               json.loads(saved['relative_error']).items()}

    def save_checkpoint(self) -> None:
        """Write the resumable state atomically."""
        write_checkpoint(self._checkpoint, {
            'identity': json.dumps(self.identity), 'step': self.step, 'stage': self._stage,
            'modules': self.modules.state_dict(), 'optimiser': self.optimiser.state_dict(),
            'rng': json.dumps(self.rng.bit_generator.state),
            'history': json.dumps(self.history),
            'relative_error': json.dumps(self.relative_error)})

    def learning_rate(self, stage: int, step: int) -> float:
        """Linear warm-up, then cosine to 5 % of the stage's peak."""
        options = self.config.stages[stage]
        warmup = min(self.config.warmup_steps, max(1, options.steps // 4))
        return warmup_cosine(options.learning_rate, step, options.steps, warmup, 0.05)

    def train_step(self) -> dict[str, float]:
        """One optimiser step; returns the losses."""
        index, inner = self.config.stage_at(self.step)
        self._enter(index)
        stage = self.config.stages[index]
        for group in self.optimiser.param_groups:
            group['lr'] = self.learning_rate(index, inner)
        if stage.name == 'adapters':
            loss, relative = adapters_loss(self.model, self.modules,
                                           self.cache.frames(self.rng, stage.batch))
            for j, value in relative.items():
                self.relative_error[j] = 0.9 * self.relative_error.get(j, value) + 0.1 * value
            values = {'adapters_loss': loss.item(),
                      'relative_error': float(np.mean(list(relative.values())))}
        else:
            draw = draw_single if stage.name == 'controllers' else draw_plan
            batch = self.cache.windows(self.rng, stage.batch, self.model.config.head.window)
            harden = stage.name == 'plans' and inner >= stage.steps * 2 // 3
            outcome = controllers_loss(self.model, self.modules, batch,
                                       draw(self.partition, self.rng), self.config, harden,
                                       must_jump=stage.name == 'jumps')
            loss = outcome.total
            values = {'task_loss': outcome.task, 'teacher_loss': outcome.teacher,
                      'feature_error': outcome.feature,
                      'skip_probability': outcome.skip_probability}
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(
            [p for g in self.optimiser.param_groups for p in g['params']], 1.0)
        self.optimiser.step()
        self.step += 1
        return values

    def train(self, report: Report) -> None:
        """Run all stages to their end."""
        last_save = time.monotonic()
        running: dict[str, float] = {}
        stage = self._stage
        while self.step < self.config.total_steps:
            values = self.train_step()
            if self._stage != stage:
                running, stage = {}, self._stage
            for name, value in values.items():
                running[name] = 0.95 * running.get(name, value) + 0.05 * value
            if self.step % self.config.log_every == 0:
                self.history.append({'step': self.step, **running})
            report(self.step, running)
            if time.monotonic() - last_save > 60 * self.config.checkpoint_minutes:
                self.save_checkpoint()
                last_save = time.monotonic()
        self.save_checkpoint()
        plot_curves(self.history, self.folder / 'curves.png', 'distillation')

    def run(self, report: Report, message: Callable[[str], None] = lambda text: None,
            ) -> dict[str, Any]:
        """Train, calibrate and write the result next to the weights; returns the report."""
        self.train(report)
        self.modules.eval()
        skipping = SkippingConfig(
            static_layers=self.partition.static, n_layers=self.partition.n_layers,
            adapter_rank=self.config.adapter_rank,
            controller_hidden=self.config.controller_hidden)
        skipping, summary = calibrate(self.model, self.tokenizer, self.modules, skipping,
                                      self.cache, self.config, message)
        self._write(skipping, summary)
        return summary

    def _write(self, skipping: SkippingConfig, summary: dict[str, Any]) -> None:
        content = to_mapping(skipping)
        content['metadata'] = {
            'metric': 'cosine', 'scores': list(self.scores), **self.identity,
            'relative_error': {str(k): v for k, v in sorted(self.relative_error.items())},
            'calibration': summary, 'commit': git_commit(), 'torch': torch.__version__,
            'trainable_parameters': sum(p.numel() for p in self.modules.parameters())}
        self.modules.save(self.weights)
        # The JSON file comes last and whole: a folder with it is complete.
        temporary = (self.weights / FILE_NAME).with_suffix('.tmp')
        temporary.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')
        temporary.replace(self.weights / FILE_NAME)
