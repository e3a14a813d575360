# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla distill``: adapters, controllers and thresholds for a trained dense policy.

    dysl-vla distill --weights runs/mini/weights
    dysl-vla distill --weights runs/mini/weights --strategy dysl_joint deer --budgets 0.3 0.5

Without ``--strategy`` it distils DySL itself. With it, it trains and calibrates rivals on the same
frozen network and writes ``<weights>/strategies/NAME.json``; ``all`` stands for every one.
"""

import argparse
import dataclasses
import time

from dysl_vla_ros.configuration import load_yaml
from dysl_vla_ros.resources import resolve, share_directory
from dysl_vla_ros.skipping.names import STRATEGIES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--weights', default='runs/mini/weights',
                        help='weights folder of the dense policy; receives skipping.json and '
                             'skipping.safetensors')
    parser.add_argument('--config', help='YAML file (default: config/distill_mini.yaml)')
    parser.add_argument('--data', nargs='+', help='override the packed dataset folders')
    parser.add_argument('--out', default='runs/distill', help='run folder; resumed if it exists')
    parser.add_argument('--budget', type=float,
                        help='override the mean share of decoder layers per step, 0..1')
    parser.add_argument('--strategy', nargs='+', metavar='NAME',
                        help='train these rivals instead: all, or any of '
                             + ', '.join(n for n in STRATEGIES if n != 'dense'))
    parser.add_argument('--budgets', nargs='+', type=float,
                        help='with --strategy: shares of decoder layers to calibrate for')
    parser.add_argument('--seed', type=int, help='override the seed')
    parser.add_argument('--threads', type=int, help='override the number of CPU threads')


def run(args: argparse.Namespace) -> int:
    """Distil with a progress bar; a log line every 10 s goes to <out>/distill.log."""
    if args.strategy:
        from dysl_vla_ros.cli.distill_strategies import distill_strategies
        return distill_strategies(args)
    from pathlib import Path

    from rich import progress
    from rich.console import Console

    from dysl_vla_ros.training.distill import Distillation
    from dysl_vla_ros.training.distill_config import DistillConfig

    path = args.config or share_directory() / 'config/distill_mini.yaml'
    config = load_yaml(DistillConfig, path)
    changes = {name: value for name, value in (
        ('budget', args.budget), ('threads', args.threads), ('seed', args.seed))
        if value is not None}
    if args.data:
        changes['data'] = tuple(args.data)
    config = dataclasses.replace(config, **changes)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    columns = (progress.TextColumn('{task.description}'), progress.BarColumn(),
               progress.MofNCompleteColumn(), progress.TextColumn('{task.fields[info]}'),
               progress.TimeRemainingColumn())
    log = out / 'distill.log'
    with progress.Progress(*columns) as bar, log.open('a', encoding='utf-8') as stream:
        last = time.monotonic()

        def write(text: str) -> None:
            stream.write(f'{time.strftime("%H:%M:%S")} {text}\n')
            stream.flush()

        encoding = bar.add_task('encode', total=None, info='frames')
        trainer = Distillation(
            config, resolve(args.weights), out,
            lambda done, total: bar.update(encoding, completed=done, total=total))
        write(f'static layers {trainer.partition.static}, cosine '
              + ' '.join(f'{score:.3f}' for score in trainer.scores))
        task = bar.add_task('distil', total=config.total_steps, completed=trainer.step, info='')

        def report(step: int, values: dict[str, float]) -> None:
            nonlocal last
            text = ' '.join(f'{k} {v:.4f}' for k, v in values.items())
            bar.update(task, completed=step, info=text)
            if time.monotonic() - last > 10 or step == config.total_steps:
                last = time.monotonic()
                write(f'{step}/{config.total_steps} {text}')

        def message(text: str) -> None:
            bar.console.print(text)
            write(text)

        summary = trainer.run(report, message)
        write(str(summary))
    console = Console()
    console.print(f'static layers {trainer.partition.static} of {trainer.partition.n_layers}')
    for name, value in summary.items():
        console.print(f'{name:26s} {value}')
    console.print(f'written to {trainer.weights}')
    return 0
