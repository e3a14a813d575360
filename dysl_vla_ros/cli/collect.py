# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla collect``: demonstrations by the scripted expert (or a learner, for DAgger)."""

import argparse
import dataclasses
import json
import time

from dysl_vla_ros.configuration import load_yaml
from dysl_vla_ros.resources import share_directory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--config', help='YAML file (default: config/collect.yaml)')
    parser.add_argument('--out', default='data/demos', help='output folder')
    parser.add_argument('--chains', type=int, help='override the number of chains')
    parser.add_argument('--seed', type=int, help='override the seed')
    parser.add_argument('--workers', type=int, help='override the number of processes')
    parser.add_argument('--learner', help='weights folder of a policy that drives (DAgger)')


def run(args: argparse.Namespace) -> int:
    """Collect, showing progress; prints the manifest."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from dysl_vla_ros.training.collect import CollectConfig, collect

    config = load_yaml(CollectConfig, args.config or share_directory() / 'config/collect.yaml')
    overrides = {k: getattr(args, k) for k in ('chains', 'seed', 'workers', 'learner')
                 if getattr(args, k) is not None}
    config = dataclasses.replace(config, **overrides)
    start = time.perf_counter()
    with Progress(TextColumn('chains'), BarColumn(), MofNCompleteColumn(),
                  TextColumn('{task.fields[frames]} frames'), TimeRemainingColumn()) as bar:
        task = bar.add_task('collect', total=config.chains, frames=0)
        folder = collect(config, args.out, lambda done, frames: bar.update(
            task, completed=done, frames=frames))
    manifest = json.loads((folder / 'manifest.json').read_text())
    print(json.dumps(manifest, indent=1))
    print(f'{folder}: {manifest["frames"]} frames in {time.perf_counter() - start:.0f} s')
    return 0
