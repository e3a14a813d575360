# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Decoder time against action error on held-out demonstrations, every strategy interleaved.

The same frozen network, the same frames, the same process: only the strategy differs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dysl_vla_ros.errors import ConfigError, DatasetError
from dysl_vla_ros.model import checkpoint
from dysl_vla_ros.model.tokenizer import InstructionTokenizer
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping import strategy_file
from dysl_vla_ros.skipping.policy import DySLPolicy
from dysl_vla_ros.skipping.registry import load_strategy
from dysl_vla_ros.training.dataset import Demonstrations
from dysl_vla_ros.training.skip_data import MediaCache


@dataclass(frozen=True)
class Point:
    """A strategy at one of its settings.

    Attributes:
        strategy: Its name.
        budget: Budget it was calibrated for; None for its own default.
        seed: Index of the weights folder.
        policy: Ready to run.
    """

    strategy: str
    budget: float | None
    seed: int
    policy: DySLPolicy


def load_points(folders: Sequence[Path], names: Sequence[str],
                device: str = 'cpu') -> list[Point]:
    """Every calibrated setting of the strategies in the folders; dense once.

    Args:
        folders: Weights folders with equal weights, one per training seed.
        names: Strategies; those without files in a folder are left out of it.
        device: Torch device.

    Raises:
        ConfigError: If the folders hold different networks or none of the strategies.
    """
    hashes = {checkpoint.file_hash(f / checkpoint.WEIGHTS) for f in folders}
    if len(hashes) != 1:
        raise ConfigError(f'{[str(f) for f in folders]}: different weights; a frontier compares '
                          'strategies on one network')
    model = DySLVLA.from_pretrained(folders[0])
    tokenizer = InstructionTokenizer.from_folder(folders[0])
    points = [Point('dense', None, 0, DySLPolicy(model, tokenizer, strategy='dense'))]
    for seed, folder in enumerate(folders):
        for name in names:
            if name == 'dense':
                continue
            found = strategy_file.read(folder, name)
            if found is not None:
                budgets: list[float | None] = [s.budget for s in found.settings]
            elif name == 'dysl' and (folder / 'skipping.json').is_file():
                budgets = [None]
            else:
                continue
            for budget in budgets:
                rule = load_strategy(model, folder, name, budget)
                points.append(Point(name, budget, seed, DySLPolicy(
                    model, tokenizer, strategy=rule, device=device)))
    if len(points) == 1:
        raise ConfigError(f'{[str(f) for f in folders]}: no strategy files; write them with '
                          'dysl-vla distill --strategy all')
    return points


def held_out_frames(points: Sequence[Point], data: Sequence[str], episodes: int,
                    seed: int) -> MediaCache:
    """Media latents of held-out episodes, none of those that strategies are calibrated on.

    Raises:
        DatasetError: If fewer than two episodes are held out.
    """
    opened = Demonstrations(list(data), needs_training=False)
    opened.train = []  # the draw is then the same with and without the training chains
    opened.held_out = opened.held_out[1::2]  # open_cache of strategy_training takes [::2]
    if not opened.held_out:
        raise DatasetError(f'{list(data)}: fewer than two held-out episodes; collect more chains')
    policy = points[0].policy
    return MediaCache(policy.model, policy.tokenizer, opened, 1, episodes, seed)


def measure_points(points: Sequence[Point], cache: MediaCache,
                   report: Callable[[int, int], None] = lambda done, total: None,
                   ) -> list[dict[str, Any]]:
    """Replay the held-out episodes with every point in turn, frame by frame.

    Returns:
        Per point its figures, JSON-ready: ``decoder_ms`` (median, p95, mean), ``relative_time``
        (mean decoder time over the dense one), ``share`` of layers, ``pose_mae`` and
        ``pose_mae_to_dense`` (action units), ``gripper_error``.
    """
    count = len(points)
    actions: list[list[np.ndarray]] = [[] for _ in range(count)]
    times: list[list[float]] = [[] for _ in range(count)]
    layers: list[list[int]] = [[] for _ in range(count)]
    labels = []
    total = sum(e.end - e.start for e in cache.held_out)
    uses_state = points[0].policy.model.config.head.use_state
    done = 0
    for episode in cache.held_out:
        for point in points:
            point.policy.reset(episode.instructions[0])
        for frame in range(episode.start, episode.end):
            media = cache.media[frame:frame + 1].float()
            robot_obs = cache.robot_obs[frame:frame + 1] if uses_state else None
            labels.append(cache.actions[frame].numpy())
            order = range(count) if done % 2 == 0 else range(count - 1, -1, -1)
            for i in order:
                step = points[i].policy.act_on_media(media, robot_obs)
                actions[i].append(step.action)
                times[i].append(step.timing.decoder_ms)
                layers[i].append(step.trace.n_executed_total)
            done += 1
            report(done, total)
    truth, dense = np.stack(labels), np.stack(actions[0])
    dense_mean = float(np.mean(times[0]))
    results = []
    for i, point in enumerate(points):
        mine = np.stack(actions[i])
        results.append({
            'strategy': point.strategy, 'budget': point.budget, 'seed': point.seed,
            'steps': len(labels), 'share': float(np.mean(layers[i])) / point.policy.model.n_layers,
            'decoder_ms': {'p50': float(np.median(times[i])),
                           'p95': float(np.percentile(times[i], 95)),
                           'mean': float(np.mean(times[i]))},
            'relative_time': float(np.mean(times[i])) / dense_mean,
            'pose_mae': float(np.abs(mine - truth)[:, :6].mean()),
            'pose_mae_to_dense': float(np.abs(mine - dense)[:, :6].mean()),
            'gripper_error': float((mine[:, 6] != truth[:, 6]).mean())})
    return results


def mark_frontier(rows: Sequence[dict[str, Any]]) -> list[bool]:
    """Which rows no other row beats in both mean decoder time and pose error."""
    return [not any(o['decoder_ms']['mean'] <= r['decoder_ms']['mean']
                    and o['pose_mae'] <= r['pose_mae']
                    and (o['decoder_ms']['mean'], o['pose_mae'])
                    != (r['decoder_ms']['mean'], r['pose_mae'])
                    for o in rows) for r in rows]


def average_seeds(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per strategy and budget: means over seeds, with the ranges of error and time."""
    groups: dict[tuple[str, float | None], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row['strategy'], row['budget']), []).append(row)
    result = []
    for (name, budget), members in groups.items():
        errors = [m['pose_mae'] for m in members]
        times = [m['decoder_ms']['mean'] for m in members]
        result.append({
            'strategy': name, 'budget': budget, 'seeds': len(members),
            **{k: float(np.mean([m[k] for m in members]))
               for k in ('share', 'relative_time', 'pose_mae', 'pose_mae_to_dense',
                         'gripper_error')},
            'decoder_ms': {k: float(np.mean([m['decoder_ms'][k] for m in members]))
                           for k in ('p50', 'p95', 'mean')},
            'pose_mae_range': [min(errors), max(errors)],
            'decoder_ms_range': [min(times), max(times)]})
    return result
