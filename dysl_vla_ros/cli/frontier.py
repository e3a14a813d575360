# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla frontier``: decoder time against action error of every strategy on one network.

    dysl-vla distill --strategy all --weights runs/base --out runs/strategies
    dysl-vla frontier --checkpoint runs/base --out runs/frontier

Open loop: recorded observations of held-out demonstrations, so nothing but the strategy differs.
Several folders (same weights, strategies trained with other seeds) give means and ranges.
Writes frontier.json and frontier.png; the table lists every point, the beaten ones included.
"""

import argparse
import sys
from typing import Any

from dysl_vla_ros.skipping.names import STRATEGIES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--checkpoint', nargs='+', required=True,
                        help='weights folders with strategies/, one per training seed')
    parser.add_argument('--strategies', nargs='+', metavar='NAME', default=list(STRATEGIES),
                        help='default: all that have files')
    parser.add_argument('--data', nargs='+', default=['data/demos'], help='packed folders')
    parser.add_argument('--episodes', type=int, default=24, help='held-out episodes')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads')
    parser.add_argument('--seed', type=int, default=1,
                        help='draw of the episodes; calibration uses 0')
    parser.add_argument('--out', default='runs/frontier', help='folder for JSON and plot')


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, write JSON and plot."""
    import json
    from pathlib import Path

    from rich import progress
    from rich.console import Console
    from rich.table import Table
    import torch

    from dysl_vla_ros.errors import ConfigError
    from dysl_vla_ros.evaluation.frontier_plot import draw_frontier
    from dysl_vla_ros.evaluation.manifest import build_manifest
    from dysl_vla_ros.resources import resolve
    from dysl_vla_ros.training.frontier import (
        average_seeds,
        held_out_frames,
        load_points,
        mark_frontier,
        measure_points,
    )

    unknown = [n for n in args.strategies if n not in STRATEGIES]
    if unknown:
        raise ConfigError(f'--strategies: unknown {unknown}; expected some of {list(STRATEGIES)}')
    if args.episodes < 1:
        raise ConfigError(f'--episodes: got {args.episodes}, expected a positive number')
    torch.set_num_threads(args.threads)
    folders = [resolve(f) for f in args.checkpoint]
    points = load_points(folders, args.strategies)
    cache = held_out_frames(points, args.data, args.episodes, args.seed)
    with progress.Progress() as bar:
        task = bar.add_task(f'{len(points)} settings')
        rows = measure_points(points, cache, lambda done, total: bar.update(
            task, completed=done, total=total))
    averaged = sorted(average_seeds(rows), key=lambda r: r['decoder_ms']['mean'])
    flags = mark_frontier(averaged)
    table = Table(title=f'{rows[0]["steps"]} held-out frames, {len(folders)} seed(s)')
    for column in ('strategy', 'budget', 'seeds', 'share run', 'decoder ms', 'p95', 'of dense',
                   'pose error', 'to dense', 'gripper error', 'not beaten'):
        # Cut names could not be told apart, nor ranges be read.
        table.add_column(column, no_wrap=column in ('strategy', 'pose error'))
    for row, flag in zip(averaged, flags, strict=True):
        table.add_row(
            row['strategy'], '-' if row['budget'] is None else f'{row["budget"]:g}',
            str(row['seeds']),
            f'{row["share"]:.3f}', f'{row["decoder_ms"]["mean"]:.2f}',
            f'{row["decoder_ms"]["p95"]:.2f}', f'{row["relative_time"]:.2f}',
            _with_range(row), f'{row["pose_mae_to_dense"]:.4f}',
            f'{row["gripper_error"]:.3f}', 'yes' if flag else '')
    # Piped, rich would cut the cells for 80 columns.
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    content = {'format': 1, 'manifest': build_manifest(vars(args), folders[0]), 'points': rows,
               'averaged': [{**r, 'not_beaten': f}
                            for r, f in zip(averaged, flags, strict=True)]}
    (out / 'frontier.json').write_text(json.dumps(content, indent=1), encoding='utf-8')
    draw_frontier(averaged, flags, out / 'frontier.png',
                  f'{rows[0]["steps"]} held-out frames, {len(folders)} training seed(s)')
    print(f'numbers and plot in {out}/frontier.json, frontier.png')
    return 0


def _with_range(row: dict[str, Any]) -> str:
    """Pose error and, below it, its range over the seeds."""
    low, high = row['pose_mae_range']
    return f'{row["pose_mae"]:.4f}' + (f'\n{low:.4f}-{high:.4f}' if row['seeds'] > 1 else '')
