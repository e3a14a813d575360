# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla train``: behaviour cloning of the dense policy."""

import argparse
import dataclasses
import time

from dysl_vla_ros.configuration import load_yaml
from dysl_vla_ros.resources import share_directory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--config', help='YAML file (default: config/train_mini.yaml)')
    parser.add_argument('--data', nargs='+',
                        help="override the dataset folders, packed or in CALVIN's layout")
    parser.add_argument('--out', default='runs/mini', help='run folder; resumed if it exists')
    parser.add_argument('--threads', type=int, help='override the number of CPU threads')
    parser.add_argument('--skip-damaged', action='store_true',
                        help='leave out demonstrations with a damaged frame and list them')


def run(args: argparse.Namespace) -> int:
    """Train with a progress bar; a log line every 20 s goes to <out>/train.log."""
    from pathlib import Path

    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from dysl_vla_ros.training.behaviour_cloning import BehaviourCloning, TrainConfig

    config = load_yaml(TrainConfig, args.config or share_directory() / 'config/train_mini.yaml')
    if args.data:
        config = dataclasses.replace(config, data=tuple(args.data))
    if args.threads:
        config = dataclasses.replace(config, threads=args.threads)
    if args.skip_damaged:
        config = dataclasses.replace(config, skip_damaged=True)
    trainer = BehaviourCloning(config, args.out)
    for problem in trainer.data.skipped:
        print(f'skipped: {problem}')
    log = Path(args.out) / 'train.log'
    last = time.monotonic()
    columns = (TextColumn('train'), BarColumn(), MofNCompleteColumn(),
               TextColumn('{task.fields[info]}'), TimeRemainingColumn())
    with Progress(*columns) as bar, log.open('a') as stream:
        task = bar.add_task('train', total=trainer.total_steps, completed=trainer.state.step,
                            info='')

        def report(step: int, values: dict[str, float]) -> None:
            nonlocal last
            text = ' '.join(f'{k} {v:.4f}' for k, v in values.items()
                            if k in ('pose_loss', 'auxiliary_loss', 'mae'))
            bar.update(task, completed=step, info=text)
            if time.monotonic() - last > 20 or 'mae' in values:
                last = time.monotonic()
                stream.write(f'{time.strftime("%H:%M:%S")} {step}/{trainer.total_steps} {text}\n')
                stream.flush()

        folder = trainer.run(report)
    print(f'weights in {folder}')
    return 0
