# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""DeeR's early exit: criterion, threshold solver and the values the solver works on.

After each exit layer the shared head predicts an action without changing its state; if it hardly
differs from the previous exit's action, the remaining layers are left out.
Source: design/architecture.md section 8.1 and design/method.md section 16.5 (arXiv 2411.02359).
"""

from collections.abc import Sequence
from dataclasses import dataclass
import math

import torch

from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model.action_head import DeterministicDecoder, HeadOutput, HeadState
from dysl_vla_ros.model.vla import DySLVLA

NEVER, ALWAYS = -1e8, 1e8


@dataclass(frozen=True)
class ExitPass:
    """Outcome of one pass with early exit.

    Attributes:
        layer: Last layer that ran; its feature made the action.
        output: The head's output there; commit ``output.state``.
        deltas: (exit layer, action change) of every exit visited, in order.
    """

    layer: int
    output: HeadOutput
    deltas: tuple[tuple[int, float], ...]


def action_change(pose: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Root mean square over the six pose values (the gripper is ignored): (..., 6) -> (...)."""
    return (pose - reference).square().mean(dim=-1).sqrt()


def run_until_exit(model: DySLVLA, x: torch.Tensor, media: torch.Tensor, state: HeadState,
                   exits: Sequence[int], thresholds: Sequence[float],
                   max_layer: int | None = None, robot_obs: torch.Tensor | None = None,
                   ) -> ExitPass:
    """Run decoder layers until the action settles.

    Args:
        model: Its ``lm_head`` is the head shared by every exit.
        x: (1, S, d) embedded prompt without padding.
        media: (1, M, width) latents.
        state: Committed head state; not changed.
        exits: Ascending layer indexes; the pass ends at the last one at the latest.
        thresholds: One per exit; a pass ends where the action changed by no more.
        max_layer: Layers at most: the pass ends at the first exit >= max_layer - 1.
        robot_obs: (1, 15), only with ``head.use_state``.

    Raises:
        ConfigError: If exits and thresholds do not fit each other or the model.
    """
    if len(exits) != len(thresholds) or not exits:
        raise ConfigError(f'{len(exits)} exits need as many thresholds, got {len(thresholds)}')
    if exits[-1] >= model.n_layers:
        raise ConfigError(f'exit {exits[-1]} lies behind the last layer {model.n_layers - 1}')
    last = exits[-1] if max_layer is None else min(max_layer - 1, exits[-1])
    limits = dict(zip(exits, thresholds, strict=True))
    deltas: list[tuple[int, float]] = []
    previous: HeadOutput | None = None
    for j, layer in enumerate(model.layers):
        x = layer(x, media)
        if j != 0 and j not in limits:
            continue
        output = model.lm_head.peek(model.pool(x, None, robot_obs), state)
        if previous is None:
            previous = output  # the reference of the first exit is the action after layer 0
        if j in limits:
            delta = float(action_change(output.pose, previous.pose))
            deltas.append((j, delta))
            if delta <= limits[j] or j >= last:
                return ExitPass(j, output, tuple(deltas))
            previous = output
    raise AssertionError('unreachable: the last exit ends the pass')


def exit_shares(ratio: float, exits: int, skip_first: bool = False) -> torch.Tensor:
    """Wanted share of samples per exit, proportional to ratio ** k for k = 1..exits.

    Args:
        ratio: Above 1 favours late exits, below 1 early ones.
        exits: Number of exits.
        skip_first: No sample leaves at the first exit (DeeR's 9B variant).

    Returns:
        (exits,) float32, sum 1; single precision as in the original, whose rounding decides
        ties of ``floor``.
    """
    if not ratio > 0 or not math.isfinite(ratio):
        raise ConfigError(f'exit ratio must be positive and finite, got {ratio}')
    shares = ratio ** torch.arange(1, exits + 1)
    if skip_first:
        shares[0] = 0.0
    return shares / shares.sum()


def solve_thresholds(values: torch.Tensor, ratio: float, skip_first: bool = False) -> torch.Tensor:
    """Thresholds that send the wanted share of samples to each exit.

    Args:
        values: (exits, N) action change of each sample at each exit, as in a checkpoint's
            ``values``.
        ratio, skip_first: See ``exit_shares``.

    Returns:
        (exits,) thresholds in the dtype of ``values``; the last is 1e8 (always), an exit without
        samples gets -1e8 (never).

    Raises:
        ConfigError: If ``values`` is not a finite (exits, N) tensor.
    """
    if values.dim() != 2 or 0 in values.shape or not values.isfinite().all():
        raise ConfigError(f'exit values must be finite and of shape (exits, N), got '
                          f'{tuple(values.shape)}')
    exits, samples = values.shape
    shares = exit_shares(ratio, exits, skip_first)
    thresholds = torch.full((exits,), ALWAYS, dtype=values.dtype)
    remaining = torch.ones(samples, dtype=torch.bool)
    for k in range(exits - 1):
        candidates = values[k][remaining]
        rank = math.floor(samples * shares[k])
        thresholds[k] = candidates.kthvalue(rank).values if 1 <= rank <= len(candidates) else NEVER
        remaining &= values[k] > thresholds[k]
    return thresholds


def exits_taken(values: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
    """Index of the exit each sample leaves at: (exits, N), (exits,) -> (N,) int64."""
    return (values <= thresholds[:, None]).int().argmax(dim=0)


def exit_values(head: DeterministicDecoder, earlier: torch.Tensor, first: torch.Tensor,
                exits: torch.Tensor, positions: Sequence[int]) -> torch.Tensor:
    """Values for the solver from one demonstration window.

    At position t the LSTM runs from zero state over features of randomly drawn exits at 0..t-1
    and then reads the feature of the exit in question at t.

    Args:
        head: The shared head.
        earlier: (T, d) pooled features, at each position those of a randomly drawn exit.
        first: (T, d) pooled features of layer 0, the first exit's reference.
        exits: (E, T, d) pooled features of every exit.
        positions: Positions to evaluate; DeeR's are ``value_positions(window)``.

    Returns:
        (E, len(positions)) action changes.
    """
    columns = []
    for t in positions:
        now = torch.cat((first[None, t], exits[:, t]))  # (E + 1, d)
        past = earlier[None, :t].expand(len(now), -1, -1)
        pose, _ = head(torch.cat((past, now[:, None]), dim=1))
        columns.append(action_change(pose[1:, -1], pose[:-1, -1]))
    return torch.stack(columns, dim=1)


def value_positions(window: int) -> range:
    """Positions of a window that DeeR takes values from: 5..10 of 12."""
    return range(window // 2 - 1, window - 1)
