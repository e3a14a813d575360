# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parity with the original RoboFlamingo and DeeR, from a folder of recorded inputs and outputs.

The folder holds ``checkpoint.pth``, ``clip_visual.safetensors``, ``config.json`` and
``expected.safetensors`` (tensors ``in.*`` and ``out.*``). Every expected tensor is compared or
reported as not compared; nothing is passed over. Tolerances: design/architecture.md section 13.
"""

from collections.abc import Iterator, Mapping
import dataclasses
from dataclasses import dataclass
from pathlib import Path
import re
from typing import Any

import torch

from dysl_vla_ros.errors import CheckpointError
from dysl_vla_ros.model.action_head import DeterministicDecoder
from dysl_vla_ros.model.checkpoint import read_tensors
from dysl_vla_ros.model.checkpoints import Published, open_published
from dysl_vla_ros.model.early_exit import (
    exit_values,
    run_until_exit,
    solve_thresholds,
    value_positions,
)

FEATURE, BLOCK, ACTION = 1e-5, 2e-5, 1e-5
DELTA = 2 * ACTION  # a difference of two poses
BLOCK_SCALE = 10.0  # magnitude that BLOCK holds for; larger values get proportionally more
EXPECTED = 'expected.safetensors'
_INPUTS = ('in.rgb', 'in.gripper', 'in.input_ids', 'in.attention_mask')
_ROBOFLAMINGO = ('out.vit_tokens', 'out.latents', 'out.block_outputs', 'out.hidden_used',
                 'out.steps_pose', 'out.steps_gripper', 'out.window_pose', 'out.window_gripper')
_DEER = ('out.hidden_states', 'out.train_last_pose', 'out.train_last_gripper_logits',
         'out.train_exit_pose', 'out.train_exit_gripper_logits', 'out.dyn_thresholds',
         'out.dyn_exit_layers', 'out.dyn_pose', 'out.dyn_gripper', 'out.solve_values',
         'out.gen_rand_feat', 'out.gen_values')
_SOLVED = re.compile(r'out\.solve_T_(.+)')

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Check:
    """One expected tensor.

    Attributes:
        name: Its key.
        error: Largest absolute difference; None if it could not be compared.
        tolerance: Largest difference allowed; 0 means equal.
        remark: Why it could not be compared, or what the numbers hide.
    """

    name: str
    error: float | None
    tolerance: float
    remark: str = ''

    @property
    def is_met(self) -> bool:
        """Whether it was compared and lies within the tolerance (NaN does not)."""
        return self.error is not None and self.error <= self.tolerance


def verify_folder(folder: Path) -> Iterator[Check]:
    """Compare every expected output of a reference folder with our network's.

    Raises:
        CheckpointError: If a file is missing or damaged, or an input is missing or mis-shaped.
    """
    expected = read_tensors(folder / EXPECTED)
    published = open_published(folder)
    if published.kind == 'openflamingo':
        raise CheckpointError(f'{folder}: an OpenFlamingo base has no action head; nothing to '
                              'compare')
    published = _with_recorded_read_out(published, expected)
    with torch.inference_mode():
        run = _Rollout(published, expected, str(folder / EXPECTED))
        names = _required(run)
        missing = [n for n in names if n not in expected]
        if run.exits is not None and not any(map(_SOLVED.fullmatch, expected)):
            missing.append('out.solve_T_*')
        for name in missing:
            yield Check(name, None, 0.0, f'missing from {EXPECTED}')
        for name in sorted(expected, key=lambda n: (names.index(n) if n in names else 999, n)):
            if name not in _INPUTS:
                yield run.check(name)
        yield from run.further_checks()


def _with_recorded_read_out(published: Published, expected: Tensors) -> Published:
    """Take the read-out from config.json, else from the recording, else the original's rule."""
    used, blocks = expected.get('out.hidden_used'), expected.get('out.block_outputs')
    if 'feature_layer' in published.stated or used is None or blocks is None \
            or blocks.dim() != 5 or blocks[:, 0, 0].shape != used.shape:
        return published
    equal = [j for j in range(blocks.shape[1]) if torch.equal(blocks[:, j, 0], used)]
    decoder = published.config.decoder
    if len(equal) != 1 or equal[0] >= decoder.n_layers:
        return published
    config = dataclasses.replace(published.config, decoder=dataclasses.replace(
        decoder, feature_layer=equal[0]))
    return dataclasses.replace(published, config=config)


def _required(run: '_Rollout') -> list[str]:
    if run.exits is None:
        return list(_ROBOFLAMINGO)
    single = [f'out.exit{j}_{part}' for j in run.exits for part in ('pose', 'gripper')]
    return [*_DEER, *single]


class _Rollout:
    """Our network run over the recorded inputs once; then compared tensor by tensor."""

    def __init__(self, published: Published, expected: Tensors, source: str) -> None:
        self.published, self.expected, self.source = published, expected, source
        config = published.config
        self.exits = config.exits.layers if config.exits is not None else None
        self.read_out = config.decoder.feature_layer
        # Every block is compared, the dead last one included.
        complete = dataclasses.replace(config, decoder=dataclasses.replace(
            config.decoder, feature_layer=config.decoder.n_layers - 1))
        self.model = dataclasses.replace(published, config=complete).load(dtype=torch.float32)
        pixels, ids = self._inputs()
        self.steps = len(pixels)
        self.prompt = self.model.embed(ids)  # (1 or T, S, d)
        self.tokens = torch.stack([self.model.vision_encoder(p) for p in pixels])
        latents = torch.stack([self.model.perceiver(t) for t in self.tokens])
        self.latents = latents  # (T, 2, L, width)
        self.media = latents.flatten(1, 2)[:, None]  # (T, 1, 2 * L, width)
        self.blocks = torch.stack([self._blocks(t) for t in range(self.steps)])  # (T, N, S, d)
        self.pooled = self.blocks.amax(dim=2)  # (T, N, d)
        self._dynamic: tuple[torch.Tensor, ...] | None = None
        self._deltas: list[tuple[int, float]] = []

    def _inputs(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels (T, 2, 3, H, W) and ids (1 or T, S), checked."""
        missing = [name for name in _INPUTS if name not in self.expected]
        if missing:
            raise CheckpointError(f'{self.source}: missing {", ".join(missing)}')
        side = self.published.config.vision.image_size
        rgb, gripper = self.expected['in.rgb'], self.expected['in.gripper']
        for name, images in (('in.rgb', rgb), ('in.gripper', gripper)):
            if images.shape != (len(rgb), 1, 1, 3, side, side):
                raise CheckpointError(f'{self.source}: {name}: expected (steps, 1, 1, 3, {side}, '
                                      f'{side}), got {tuple(images.shape)}')
        ids, mask = self.expected['in.input_ids'], self.expected['in.attention_mask']
        if ids.dim() != 2 or ids.shape[0] not in (1, len(rgb)) or mask.shape != ids.shape:
            raise CheckpointError(f'{self.source}: in.input_ids and in.attention_mask: expected '
                                  f'(1, S), got {tuple(ids.shape)} and {tuple(mask.shape)}')
        rows = self.published.config.decoder.vocab_size
        if not 0 <= int(ids.min()) <= int(ids.max()) < rows:
            raise CheckpointError(f'{self.source}: in.input_ids: ids {int(ids.min())}.. '
                                  f'{int(ids.max())} against {rows} embedding rows')
        if not mask.bool().all():
            raise CheckpointError(f'{self.source}: in.attention_mask: recorded prompts must not '
                                  'be padded (the original pools over pads)')
        image = self.published.stated.get('media', int(ids[0, 0]))
        if bool((ids[:, 0] != image).any()) or bool((ids[:, 1:] == image).any()):
            raise CheckpointError(f'{self.source}: in.input_ids: expected <image> ({image}) first '
                                  'and only there')
        pixels = torch.stack((rgb[:, 0, 0], gripper[:, 0, 0]), dim=1)
        return pixels.float(), ids.long()

    def _x(self, step: int) -> torch.Tensor:
        return self.prompt[step:step + 1] if len(self.prompt) > 1 else self.prompt

    def _blocks(self, step: int) -> torch.Tensor:
        x, outputs = self._x(step), []
        for layer in self.model.layers:
            x = layer(x, self.media[step])
            outputs.append(x[0])
        return torch.stack(outputs)

    def check(self, name: str) -> Check:
        """Compare one expected tensor."""
        if name in ('out.dyn_thresholds', 'out.solve_values') and self.exits is not None:
            return self._check_rows(name)
        actual = self._actual(name)
        if isinstance(actual, str):
            return Check(name, None, 0.0, actual)
        wanted, (tensor, tolerance) = self.expected[name], actual
        if tensor.shape != wanted.shape:
            return Check(name, None, tolerance, f'ours has the shape {tuple(tensor.shape)}, '
                                                f'recorded {tuple(wanted.shape)}')
        error = float((tensor.double() - wanted.double()).abs().max())
        remark = ''
        if tolerance == BLOCK:
            scale = float(wanted.abs().max())
            tolerance *= max(1.0, scale / BLOCK_SCALE)
            remark = f'largest value {scale:.3g}'
        return Check(name, error, tolerance, remark)

    def _check_rows(self, name: str) -> Check:
        """Recorded inputs of DeeR's machinery: one row per exit."""
        assert self.exits is not None
        tensor = self.expected[name]
        if len(tensor) != len(self.exits) or not tensor.is_floating_point():
            return Check(name, None, 0.0, f'expected one row per exit {list(self.exits)}, got '
                                          f'{tuple(tensor.shape)}')
        return Check(name, 0.0, 0.0, 'input')

    def _actual(self, name: str) -> tuple[torch.Tensor, float] | str:
        """Our counterpart and its tolerance, or why there is none."""
        if name == 'out.vit_tokens':
            return self.tokens.flatten(0, 1)[:, None], FEATURE
        if name == 'out.latents':
            return self.latents.flatten(0, 1)[:, None, None], FEATURE
        if name == 'out.block_outputs':
            return self.blocks[:, :, None], BLOCK
        if self.exits is None:
            return self._roboflamingo(name)
        return self._deer(name)

    def _roboflamingo(self, name: str) -> tuple[torch.Tensor, float] | str:
        if name == 'out.hidden_used':
            return self.blocks[:, self.read_out], BLOCK
        features = self.pooled[:, self.read_out]
        if name.startswith('out.steps_'):
            pose, gripper = self._roll(features)
        elif name.startswith('out.window_'):
            window = self.published.config.head.window
            pose, logit = self.model.lm_head(features[None, :window])
            gripper = logit.sigmoid()[..., None]
        else:
            return 'unknown expected tensor'
        return self._part(name, pose, gripper)

    def _deer(self, name: str) -> tuple[torch.Tensor, float] | str:
        assert self.exits is not None
        recorded = self.expected.get('out.hidden_states')
        steps = recorded.shape[1] if recorded is not None and recorded.dim() == 4 else 0
        if not steps and name.startswith(('out.hidden_', 'out.train_', 'out.gen_')):
            return 'needs out.hidden_states of shape (blocks, steps, S, d)'
        if name == 'out.hidden_states':
            return self.blocks[:steps].transpose(0, 1), BLOCK
        single = re.fullmatch(r'out\.exit(\d+)_(?:pose|gripper)', name)
        if single is not None:
            j = int(single.group(1))
            if j not in self.exits:
                return f'no exit at block {j}; exits are {list(self.exits)}'
            return self._part(name, *self._roll(self.pooled[:, j]))
        if name.startswith('out.train_'):
            return self._training_heads(name, steps)
        if name.startswith('out.dyn_'):
            return self._dynamic_exits(name)
        if name.startswith('out.gen_'):
            return self._generated(name, steps)
        match = _SOLVED.fullmatch(name)
        if match is not None:
            return self._solved(match.group(1))
        return 'unknown expected tensor'

    def _roll(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(T, d) fed one step at a time -> pose (T, 1, 6), gripper probability (T, 1, 1)."""
        state, poses, grippers = self.model.lm_head.initial_state(), [], []
        for feature in features:
            output = self.model.lm_head.peek(feature[None], state)
            state = output.state
            poses.append(output.pose)
            grippers.append(output.gripper_logit.sigmoid()[:, None])
        return torch.stack(poses), torch.stack(grippers)

    @staticmethod
    def _part(name: str, pose: torch.Tensor,
              gripper: torch.Tensor) -> tuple[torch.Tensor, float] | str:
        kind = name.rsplit('_', 1)[1]
        parts = {'pose': pose, 'gripper': gripper}
        return (parts[kind], ACTION) if kind in parts else 'unknown expected tensor'

    def _training_heads(self, name: str, steps: int) -> tuple[torch.Tensor, float] | str:
        assert self.exits is not None
        match = re.fullmatch(r'out\.train_(last|exit)_(pose|gripper_logits)', name)
        if match is None:
            return 'unknown expected tensor'
        outputs = []
        for head, j in zip(self.model.exit_heads, self.exits, strict=True):
            assert isinstance(head, DeterministicDecoder)
            pose, logit = head(self.pooled[None, :steps, j])
            outputs.append(pose if match.group(2) == 'pose' else logit[..., None])
        return (outputs[-1] if match.group(1) == 'last' else torch.stack(outputs[:-1])), ACTION

    def _dynamic_exits(self, name: str) -> tuple[torch.Tensor, float] | str:
        thresholds = self.expected.get('out.dyn_thresholds')
        if thresholds is None or self.exits is None or thresholds.shape != (len(self.exits),):
            return 'needs out.dyn_thresholds, one per exit'
        if self._dynamic is None:
            self._dynamic = self._run_dynamic(thresholds.tolist())
        names = ('out.dyn_exit_layers', 'out.dyn_pose', 'out.dyn_gripper')
        if name not in names:
            return 'unknown expected tensor'
        index = names.index(name)
        return self._dynamic[index], 0.0 if index == 0 else ACTION

    def _run_dynamic(self, thresholds: list[float]) -> tuple[torch.Tensor, ...]:
        assert self.exits is not None
        state, passes = self.model.lm_head.initial_state(), []
        for t in range(self.steps):
            passed = run_until_exit(self.model, self._x(t), self.media[t], state, self.exits,
                                    thresholds, self.published.stated.get('max_layer'))
            state = passed.output.state
            self._deltas.extend(passed.deltas)
            passes.append(passed)
        return (torch.tensor([p.layer for p in passes]),
                torch.stack([p.output.pose for p in passes]),
                torch.stack([p.output.gripper_logit.sigmoid()[:, None] for p in passes]))

    def _generated(self, name: str, steps: int) -> tuple[torch.Tensor, float] | str:
        drawn = self.expected.get('out.gen_rand_feat')
        hidden = self.blocks[:steps]  # (T, N, S, d)
        assert self.exits is not None
        if drawn is None or drawn.shape != hidden[:, 0].shape:
            return f'needs out.gen_rand_feat of shape {tuple(hidden[:, 0].shape)}'
        if name == 'out.gen_rand_feat':  # which exit was drawn is an input; its feature is not
            at_exits = hidden[:, list(self.exits)]  # (T, E, S, d)
            nearest = (at_exits - drawn[:, None]).abs().amax(dim=(2, 3)).argmin(dim=1)
            return at_exits[torch.arange(steps), nearest], BLOCK
        if name != 'out.gen_values':
            return 'unknown expected tensor'
        pooled = self.pooled[:steps]
        return exit_values(self.model.lm_head, drawn.amax(dim=1), pooled[:, 0],
                           pooled[:, list(self.exits)].transpose(0, 1),
                           value_positions(self.published.config.head.window)), ACTION

    def _solved(self, text: str) -> tuple[torch.Tensor, float] | str:
        values = self.expected.get('out.solve_values')
        try:
            ratio = float(text)
        except ValueError:
            return f'{text!r} is no exit ratio'
        if values is None or values.dim() != 2:
            return 'needs out.solve_values of shape (exits, N)'
        return solve_thresholds(values, ratio), 0.0

    def further_checks(self) -> Iterator[Check]:
        """What config.json records beside the tensors."""
        recorded: Any = self.published.stated.get('dyn_deltas')
        if recorded is None or self.exits is None:
            return
        name = 'config.json dyn_deltas'
        problem = self._dynamic_exits('out.dyn_pose')
        if isinstance(problem, str):
            yield Check(name, None, DELTA, problem)
            return
        if [int(j) for j, _ in recorded] != [j for j, _ in self._deltas]:
            yield Check(name, None, DELTA, 'the exits visited differ')
            return
        error = max(abs(a - float(b))
                    for (_, a), (_, b) in zip(self._deltas, recorded, strict=True))
        limits = dict(zip(self.exits, self.expected['out.dyn_thresholds'].tolist(), strict=True))
        margin = min(abs(delta - limits[j]) for j, delta in self._deltas)
        yield Check(name, error, DELTA, f'nearest to a threshold {margin:.2g}')
