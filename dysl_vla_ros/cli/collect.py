# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla collect``: demonstrations by the scripted expert (or a learner, for DAgger)."""

import argparse
import json
from pathlib import Path
import time

from dysl_vla_ros.configuration import from_mapping, load_yaml, to_mapping
from dysl_vla_ros.resources import share_directory

_CONFIGS = {'packed': 'config/collect.yaml', 'calvin': 'config/collect_calvin.yaml'}
_OUT = {'packed': 'data/demos', 'calvin': 'data/calvin'}
_OVERRIDES = ('format', 'chains', 'seed', 'workers', 'learner', 'image_size', 'tasks',
              'renderer', 'physics', 'held_out_only')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--format', choices=sorted(_CONFIGS),
                        help="packed arrays (default) or CALVIN's own dataset layout")
    parser.add_argument('--config', help='YAML file (default: config/collect.yaml or, for '
                                         '--format calvin, config/collect_calvin.yaml)')
    parser.add_argument('--out', help='output folder (default: data/demos or data/calvin); a '
                                      'killed run goes on where it was')
    parser.add_argument('--chains', type=int, help='override the number of chains')
    parser.add_argument('--seed', type=int, help='override the seed')
    parser.add_argument('--workers', type=int, help='override the number of processes')
    parser.add_argument('--image-size', type=int,
                        help='override the side of the stored images in pixels')
    parser.add_argument('--physics', help='override the physics: calvin or fast')
    parser.add_argument('--tasks', nargs='+', metavar='TASK', help='override the tasks')
    parser.add_argument('--renderer', help='override the renderer: tiny, tiny_layered or egl')
    parser.add_argument('--held-out-only', action='store_true', default=None,
                        help='only the chains that no training reads (packed layout): what '
                             'dysl-vla frontier measures on')
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

    config = load_yaml(CollectConfig, args.config or share_directory()
                       / _CONFIGS[args.format or 'packed'])
    overrides = {k: getattr(args, k) for k in _OVERRIDES if getattr(args, k) is not None}
    config = from_mapping(CollectConfig, {**to_mapping(config), **overrides}, 'command line')
    out = args.out or _OUT[config.format]
    start = time.perf_counter()
    with Progress(TextColumn('chains'), BarColumn(), MofNCompleteColumn(),
                  TextColumn('{task.fields[frames]} frames'), TimeRemainingColumn()) as bar:
        task = bar.add_task('collect', total=len(config.chain_numbers), frames=0)
        folder = collect(config, out, lambda done, frames: bar.update(
            task, completed=done, frames=frames))
    seconds = time.perf_counter() - start
    manifest = json.loads((folder / 'manifest.json').read_text())
    size = sum(f.stat().st_size for f in Path(folder).rglob('*') if f.is_file())
    print(json.dumps(manifest, indent=1))
    print(f'{folder}: {manifest["episodes"]} demonstrations, {manifest["frames"]} frames, '
          f'{size / 1e6:.1f} MB; this run {seconds:.0f} s')
    return 0
