# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla distill --strategy``: the rivals' training, one after the other, with a table."""

import argparse
import dataclasses
from pathlib import Path
import time

from dysl_vla_ros.configuration import load_yaml
from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.resources import resolve, share_directory


def distill_strategies(args: argparse.Namespace) -> int:
    """Train and calibrate the strategies named on the command line."""
    from rich import progress
    from rich.console import Console
    from rich.table import Table

    from dysl_vla_ros.training.strategy_config import StrategyConfig
    from dysl_vla_ros.training.strategy_training import RECIPES, StrategyTraining, open_cache

    names = list(RECIPES) if args.strategy == ['all'] else args.strategy
    unknown = [n for n in names if n not in RECIPES]
    if unknown:
        raise ConfigError(f'--strategy: unknown {unknown}; expected all or some of '
                          f'{sorted(RECIPES)}')
    if args.budget is not None:
        raise ConfigError('--strategy takes --budgets, not --budget')
    path = args.config or share_directory() / 'config/strategies_mini.yaml'
    config = load_yaml(StrategyConfig, path)
    changes = {name: value for name, value in (('threads', args.threads), ('seed', args.seed))
               if value is not None}
    if args.data:
        changes['data'] = tuple(args.data)
    if args.budgets:
        changes['budgets'] = tuple(sorted(args.budgets))
        if config.default_budget not in args.budgets:
            changes['default_budget'] = sorted(args.budgets)[len(args.budgets) // 2]
    try:
        config = dataclasses.replace(config, **changes)
    except ValueError as error:
        raise ConfigError(f'--budgets: {error}') from error
    out, weights = Path(args.out), resolve(args.weights)
    out.mkdir(parents=True, exist_ok=True)
    table = Table(title='Budgets held on held-out demonstrations')
    for column in ('strategy', 'parameters', *(f'{b:g}' for b in config.budgets)):
        table.add_column(column)
    columns = (progress.TextColumn('{task.description}'), progress.BarColumn(),
               progress.MofNCompleteColumn(), progress.TextColumn('{task.fields[info]}'),
               progress.TimeRemainingColumn())
    with progress.Progress(*columns) as bar, \
            (out / 'strategies.log').open('a', encoding='utf-8') as log:

        def message(text: str) -> None:
            log.write(f'{time.strftime("%H:%M:%S")} {text}\n')
            log.flush()

        encoding = bar.add_task('encode', total=None, info='frames')
        opened = open_cache(config, weights, out, lambda done, total: bar.update(
            encoding, completed=done, total=total))
        for name in names:
            trainer = StrategyTraining(name, config, weights, out, opened)
            task = bar.add_task(name, total=max(1, trainer.recipe.steps), info='')

            def report(step: int, steps: int, values: dict[str, float],
                       name: str = name, task: progress.TaskID = task) -> None:
                text = ' '.join(f'{k} {v:.4f}' for k, v in values.items())
                bar.update(task, completed=step, info=text)
                if step % 100 == 0 or step == steps:
                    message(f'{name} {step}/{steps} {text}')

            written = trainer.run(report, message)
            bar.update(task, completed=max(1, trainer.recipe.steps), info='')
            table.add_row(name, f'{written.metadata["trainable_parameters"]:,}',
                          *(f'{s.achieved:.3f}' + ('' if s.achieved <= s.budget + 1e-9 else ' !')
                            for s in written.settings))
    console = Console()
    console.print(table)
    console.print('! exceeds the budget: this strategy cannot be cheaper here.')
    console.print(f'written to {weights}/strategies')
    return 0
