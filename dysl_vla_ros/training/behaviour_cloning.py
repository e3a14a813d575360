# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Behaviour cloning of the dense network from packed demonstrations.

Resumes exactly: optimiser, weights, average, step and both random generators are in the
checkpoint, which is written atomically. A batch is split over threads, one part each: on a small
network that is nearly twice as fast as threads inside every operation.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
import copy
from dataclasses import dataclass, field
from functools import partial
import json
from pathlib import Path
import time
from typing import Any, Literal

import numpy as np
import torch

from dysl_vla_ros.configuration import to_mapping
from dysl_vla_ros.datasets.windows import ROBOFLAMINGO
from dysl_vla_ros.errors import DatasetError
from dysl_vla_ros.model import checkpoint
from dysl_vla_ros.model.config import VLAConfig
from dysl_vla_ros.model.tokenizer import InstructionTokenizer
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.training.curves import plot_curves
from dysl_vla_ros.training.dataset import Batch, Demonstrations, draw_shifts, shift_images
from dysl_vla_ros.training.losses import LocalisationHead, action_loss
from dysl_vla_ros.training.provenance import git_commit
from dysl_vla_ros.training.resume import warmup_cosine, write_checkpoint

# The last projection of each residual branch of a decoder layer.
_RESIDUAL_OUTPUTS = ('gated_cross_attn_layer.attn.to_out.weight',
                     'gated_cross_attn_layer.ff.3.weight',
                     'decoder_layer.attn.out_proj.weight', 'decoder_layer.mlp.mlp_down.weight')


@dataclass(frozen=True)
class Phase:
    """Part of the schedule: ``steps`` batches of ``batch`` windows of ``window`` frames."""

    steps: int
    window: int
    batch: int


@dataclass(frozen=True)
class TrainConfig:
    """Behaviour cloning.

    Attributes:
        data: Packed folders, or datasets in CALVIN's layout.
        model: Size name, see VLAConfig.from_name.
        phases: Short windows first (many different frames), the head's full window last.
        learning_rate, weight_decay, warmup_steps: AdamW with warm-up and cosine decay to 2 %.
        huber_delta: Below RoboFlamingo's 1.0 because labels are noise-free.
        gripper_weight: Weight of the gripper's BCE.
        auxiliary_weight: Weight of the localisation loss; falls linearly to a fifth of it.
        shift: Random shift in pixels of the static and the gripper image.
        brightness: Largest relative brightness change.
        average: Decay of the weight average that is saved.
        checkpoint_minutes: Minutes between checkpoints.
        evaluate_every: Steps between held-out evaluations.
        threads: Parts of a batch that are computed side by side, one CPU thread each. Results
            depend on it (order of summation), and on chance too if the head has dropout.
        seed: Seed of everything.
        start_from: Weights folder to continue from, or None for random weights.
        windowing: 'padded' draws starts over all frames and pads the end of an episode;
            'roboflamingo' draws its whole windows of 12 frames only.
        skip_damaged: Leave out annotations of CALVIN's layout with a damaged frame (reads every
            frame first) instead of stopping at it.
    """

    data: tuple[str, ...] = ('data/demos',)
    model: str = 'dysl-mini'
    phases: tuple[Phase, ...] = (Phase(6000, 2, 96), Phase(9000, 12, 20))
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 300
    huber_delta: float = 0.1
    gripper_weight: float = 0.05
    auxiliary_weight: float = 1.0
    shift: tuple[int, int] = (2, 2)
    brightness: float = 0.1
    average: float = 0.998
    checkpoint_minutes: float = 4.0
    evaluate_every: int = 500
    threads: int = 2
    seed: int = 0
    start_from: str | None = None
    windowing: Literal['padded', 'roboflamingo'] = 'padded'
    skip_damaged: bool = False


@dataclass
class TrainState:
    """Everything a resumed run needs."""

    model: DySLVLA
    average: DySLVLA
    auxiliary: LocalisationHead
    optimiser: torch.optim.Optimizer
    rng: np.random.Generator
    generator: torch.Generator
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


class BehaviourCloning:
    """The training loop."""

    def __init__(self, config: TrainConfig, folder: str | Path) -> None:
        """Open the data, build or resume the state."""
        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.config = config
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        vision = (checkpoint.load_config(config.start_from) if config.start_from is not None
                  else VLAConfig.from_name(config.model)).vision
        self.data = Demonstrations(
            list(config.data), image_size=vision.image_size, resize=vision.resize,
            skip_damaged=config.skip_damaged,
            windowing=ROBOFLAMINGO if config.windowing == 'roboflamingo' else None)
        self.total_steps = sum(phase.steps for phase in config.phases)
        self.tokenizer, model = self._build()
        auxiliary = LocalisationHead(2 * model.config.resampler.latents,
                                     model.config.vision.width)
        decayed = [p for p in model.parameters() if p.ndim >= 2]
        plain = [p for p in model.parameters() if p.ndim < 2]
        optimiser = torch.optim.AdamW(
            [{'params': decayed, 'weight_decay': config.weight_decay},
             {'params': [*plain, *auxiliary.parameters()], 'weight_decay': 0.0}],
            lr=config.learning_rate, betas=(0.9, 0.95), fused=True)
        self._pool = ThreadPoolExecutor(config.threads, 'train', partial(torch.set_num_threads, 1))
        self.state = TrainState(model, copy.deepcopy(model).eval(), auxiliary, optimiser,
                                np.random.default_rng(config.seed),
                                torch.Generator().manual_seed(config.seed))
        if self._checkpoint.is_file():
            self._resume()

    @property
    def _checkpoint(self) -> Path:
        return self.folder / 'checkpoint.pt'

    def _build(self) -> tuple[InstructionTokenizer, DySLVLA]:
        if self.config.start_from is not None:
            folder = self.config.start_from
            return InstructionTokenizer.from_folder(folder), DySLVLA.from_pretrained(folder)
        sentences = sorted({s for e in (*self.data.train, *self.data.held_out)
                            for s in e.instructions})
        from dysl_vla_ros.sim.instructions import TRAINING
        sentences += sorted({s for group in TRAINING.values() for s in group})
        tokenizer = InstructionTokenizer.from_sentences(sentences)
        sizes = VLAConfig.from_name(self.config.model)
        if tokenizer.size > sizes.decoder.vocab_size:
            raise DatasetError(f'{tokenizer.size} words do not fit the vocabulary of '
                               f'{sizes.decoder.vocab_size} rows')
        model = DySLVLA(sizes)
        _initialise(model)
        return tokenizer, model

    def _resume(self) -> None:
        saved = torch.load(self._checkpoint, weights_only=True)
        state = self.state
        state.model.load_state_dict(saved['model'])
        state.average.load_state_dict(saved['average'])
        state.auxiliary.load_state_dict(saved['auxiliary'])
        state.optimiser.load_state_dict(saved['optimiser'])
        state.generator.set_state(saved['generator'])
        state.rng.bit_generator.state = json.loads(saved['rng'])
        torch.set_rng_state(saved['torch'])
        state.step = saved['step']
        state.history = json.loads(saved['history'])

    def save_checkpoint(self) -> None:
        """Write the resumable state atomically."""
        state = self.state
        write_checkpoint(self._checkpoint, {
            'model': state.model.state_dict(), 'average': state.average.state_dict(),
            'auxiliary': state.auxiliary.state_dict(), 'optimiser': state.optimiser.state_dict(),
            'generator': state.generator.get_state(), 'torch': torch.get_rng_state(),
            'rng': json.dumps(state.rng.bit_generator.state), 'step': state.step,
            'history': json.dumps(state.history)})

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then cosine to 2 % of the peak."""
        config = self.config
        return warmup_cosine(config.learning_rate, step, self.total_steps, config.warmup_steps,
                             0.02)

    def phase(self, step: int) -> Phase:
        """Phase that step belongs to."""
        for phase in self.config.phases:
            if step < phase.steps:
                return phase
            step -= phase.steps
        return self.config.phases[-1]

    def _draw_augmentation(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Shifts (count, 2, 2) and brightness gains (count,) for one batch."""
        config, state = self.config, self.state
        gain = torch.rand(count, generator=state.generator)
        return (draw_shifts(count, config.shift, state.generator),
                1 + config.brightness * (2 * gain - 1))

    def train_step(self) -> dict[str, float]:
        """One optimiser step; returns the losses."""
        config, state = self.config, self.state
        phase = self.phase(state.step)
        batch = self.data.windows(self.data.train, state.rng, phase.batch, phase.window)
        for group in state.optimiser.param_groups:
            group['lr'] = self.learning_rate(state.step)
        state.model.train()
        parameters = [*state.model.parameters(), *state.auxiliary.parameters()]
        shifts, gains = self._draw_augmentation(phase.batch)
        parts = list(self._pool.map(
            partial(self._gradients, parameters), batch.split(config.threads),
            shifts.tensor_split(config.threads), gains.tensor_split(config.threads)))
        for parameter, *gradients in zip(parameters, *(part[0] for part in parts), strict=True):
            used = [g for g in gradients if g is not None]
            parameter.grad = sum(used[1:], used[0]) / len(parts) if used else None
        losses = {k: sum(part[1][k] for part in parts) / len(parts) for k in parts[0][1]}
        torch.nn.utils.clip_grad_norm_(state.model.parameters(), 1.0)
        state.optimiser.step()
        state.step += 1
        decay = min(config.average, (1 + state.step) / (10 + state.step))
        with torch.no_grad():
            for target, source in zip(state.average.parameters(), state.model.parameters(),
                                      strict=True):
                target.lerp_(source, 1 - decay)
        return losses

    def _gradients(self, parameters: list[torch.nn.Parameter], batch: Batch,
                   shifts: torch.Tensor, gains: torch.Tensor,
                   ) -> tuple[tuple[torch.Tensor | None, ...], dict[str, float]]:
        """Gradients and losses of a part of a batch; called on several threads at once."""
        config, state = self.config, self.state
        ids, mask = self.tokenizer.encode_batch(batch.instructions)
        pixels = state.model.normalise(shift_images(batch.images, shifts))
        pose, gripper, media = state.model.forward_window(
            pixels.mul_(gains.view(-1, 1, 1, 1, 1, 1)), ids, mask,
            batch.robot_obs if state.model.config.head.use_state else None)
        loss, pose_loss = action_loss(pose, gripper, batch.actions, batch.valid,
                                      config.huber_delta, config.gripper_weight)
        auxiliary = state.auxiliary(media, batch.robot_obs, batch.scene_obs, batch.valid)
        weight = config.auxiliary_weight * (1 - 0.8 * state.step / self.total_steps)
        gradients = torch.autograd.grad(loss + weight * auxiliary, parameters, allow_unused=True)
        return gradients, {'pose_loss': pose_loss.item(), 'auxiliary_loss': auxiliary.item()}

    @torch.inference_mode()
    def evaluate(self, batches: int = 12) -> dict[str, float]:
        """Held-out error of the averaged weights: pose MAE in action units, per task."""
        rng = np.random.default_rng(7)
        episodes = self.data.held_out or self.data.train
        model = self.state.average.eval()
        window = model.config.head.window
        errors: dict[str, list[float]] = {}
        for task in sorted({e.task for e in episodes}):
            own = [e for e in episodes if e.task == task]
            if not self.data.can_draw(own):
                continue
            for _ in range(max(1, batches // 8)):
                batch = self.data.windows(own, rng, 12, window)
                ids, mask = self.tokenizer.encode_batch(batch.instructions)
                state = batch.robot_obs if model.config.head.use_state else None
                pose, _, _ = model.forward_window(model.normalise(batch.images), ids, mask, state)
                error = (pose - batch.actions[..., :6]).abs().mean(-1)[batch.valid]
                errors.setdefault(task, []).append(error.mean().item())
        result = {f'mae_{task}': float(np.mean(values)) for task, values in errors.items()}
        result['mae'] = float(np.mean([v for values in errors.values() for v in values]))
        return result

    def run(self, report: Callable[[int, dict[str, float]], None]) -> Path:
        """Train to the end; returns the weights folder."""
        state, config = self.state, self.config
        last_save = time.monotonic()
        running: dict[str, float] = {}
        while state.step < self.total_steps:
            losses = self.train_step()
            for name, value in losses.items():
                running[name] = 0.98 * running.get(name, value) + 0.02 * value
            if state.step % 50 == 0:
                state.history.append({'step': state.step, **running})
            if state.step % config.evaluate_every == 0 or state.step == self.total_steps:
                state.history.append({'step': state.step, **self.evaluate()})
                plot_curves(state.history, self.folder / 'curves.png', 'behaviour cloning')
                self.save_weights()
            report(state.step, {**running, **(state.history[-1] if state.history else {})})
            if time.monotonic() - last_save > 60 * config.checkpoint_minutes:
                self.save_checkpoint()
                last_save = time.monotonic()
        self.save_checkpoint()
        return self.save_weights()

    def save_weights(self) -> Path:
        """Write the averaged weights with tokenizer and provenance."""
        target = self.folder / 'weights'
        self.state.average.save_pretrained(target)
        self.tokenizer.save(target)
        provenance: dict[str, Any] = {
            'training': to_mapping(self.config), 'step': self.state.step,
            'data_sha256': self.data.hashes, 'torch': torch.__version__, 'commit': git_commit(),
            'held_out': self.state.history[-1] if self.state.history else {}}
        (target / checkpoint.PROVENANCE).write_text(json.dumps(provenance, indent=1) + '\n')
        return target


def _initialise(model: DySLVLA) -> None:
    """Scale for training from scratch: small embeddings, residual outputs shrunk with depth."""
    depth = 2 * 2 * model.n_layers
    torch.nn.init.normal_(model.wte.weight, std=0.3)
    with torch.no_grad():
        for name, weight in model.layers.named_parameters():
            if name.endswith(_RESIDUAL_OUTPUTS):
                weight.mul_(2.0 / depth ** 0.5)
