# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla offline-eval BAG ...``: run policies over rosbag2 recordings, without ROS.

    dysl-vla offline-eval runs/bags/* --strategy dense dysl --out runs/offline
    dysl-vla offline-eval bag --topic image_static:=/camera/image --instruction 'open the drawer'

Reads sqlite3 and mcap, split, compressed and damaged bags; compares with the recorded commands.
"""

import argparse
from pathlib import Path
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dysl_vla_ros.evaluation.offline_result import BagResult
    from dysl_vla_ros.skipping.policy import DySLPolicy

DEFAULT_CHECKPOINT = 'package://dysl_vla_ros/weights/dysl-mini'
TRIGGERS = ('auto', 'observation', 'timer', 'recorded')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('bags', nargs='+', metavar='BAG',
                        help='rosbag2 folders, or single .mcap and .db3 files')
    parser.add_argument('--checkpoint', nargs='+', default=[DEFAULT_CHECKPOINT],
                        help='weights folders (default: dysl-mini)')
    parser.add_argument('--strategy', nargs='+', default=['dysl'],
                        help='strategies; every checkpoint runs with every one (default: dysl)')
    parser.add_argument('--device', default='cpu', help='torch device')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads')
    parser.add_argument('--topic', nargs='+', default=[], metavar='KEY:=NAME',
                        help='name of a topic in the bags, for example '
                             'image_static:=/camera/color/image_raw')
    parser.add_argument('--instruction', default='',
                        help='sentence that replaces the instructions in the bags')
    parser.add_argument('--trigger', choices=TRIGGERS, default='auto',
                        help='when the policy acts; auto follows the recorded node (default)')
    parser.add_argument('--rate', type=float, help='ticks per second with trigger timer')
    parser.add_argument('--max-age', type=float, help='oldest usable sample in seconds, timer')
    parser.add_argument('--max-spread', type=float,
                        help='largest difference of stamps in seconds, timer')
    parser.add_argument('--out', help='new results folder (default: runs/offline-<time>)')
    parser.add_argument('--output-bag', choices=('mcap', 'sqlite3', 'none'), default='mcap',
                        help="storage of the bags with the predictions on the node's topics")


def load_policies(checkpoints: list[str], strategies: list[str], device: str,
                  ) -> dict[str, 'DySLPolicy']:
    """Load every checkpoint with every strategy, by a short unique name.

    Raises:
        ConfigError: For an unknown strategy or a missing folder.
        CheckpointError: If the weights are damaged.
    """
    from dysl_vla_ros.errors import ConfigError
    from dysl_vla_ros.resources import resolve
    from dysl_vla_ros.skipping.policy import DySLPolicy
    policies: dict[str, DySLPolicy] = {}
    for checkpoint in checkpoints:
        folder = resolve(checkpoint)
        if not folder.is_dir():
            raise ConfigError(f'checkpoint folder {folder} does not exist')
        for strategy in strategies:
            name = strategy if len(checkpoints) == 1 else f'{folder.name}/{strategy}'
            while name in policies:
                name += "'"
            policies[name] = DySLPolicy.from_pretrained(folder, strategy, device)  # type: ignore[arg-type]
    return policies


def unique_names(paths: list[Path]) -> list[str]:
    """Names of the bags: the last part of the path, numbered where it repeats."""
    stems = [path.resolve().name.removesuffix('.zstd').removesuffix('.mcap').removesuffix('.db3')
             for path in paths]
    return [stem if stems.count(stem) == 1 else f'{stem}_{index}'
            for index, stem in enumerate(stems)]


def run(args: argparse.Namespace) -> int:
    """Evaluate, print, write; 1 if no bag could be evaluated."""
    import resource

    import torch

    from dysl_vla_ros.bags.topics import remapped
    from dysl_vla_ros.errors import ConfigError
    from dysl_vla_ros.evaluation.manifest import build_manifest
    from dysl_vla_ros.evaluation.offline import OfflineEvaluation
    from dysl_vla_ros.evaluation.offline_report import write_offline_report
    from dysl_vla_ros.evaluation.replay_events import ReplaySettings
    from dysl_vla_ros.resources import resolve

    out = Path(args.out or f'runs/offline-{time.strftime("%Y%m%d-%H%M%S")}')
    if (out / 'offline.json').exists() or (out / 'predictions').exists():
        raise ConfigError(f'{out} already holds an evaluation; choose another --out folder or '
                          'delete it')
    names = remapped(args.topic)
    torch.set_num_threads(args.threads)
    policies = load_policies(args.checkpoint, args.strategy, args.device)
    manifest = build_manifest(vars(args), resolve(args.checkpoint[0]), renderer='none')
    settings = ReplaySettings(
        args.trigger, args.rate, args.max_age, args.max_spread, args.instruction,
        any(policy.model.config.head.use_state for policy in policies.values()))
    paths = [Path(bag) for bag in args.bags]
    storage = None if args.output_bag == 'none' else args.output_bag
    results: list[BagResult] = []
    with OfflineEvaluation(policies, out, settings, names, storage) as evaluation:
        for path, name in zip(paths, unique_names(paths), strict=True):
            results.append(_with_progress(evaluation, path, name))
        # Kilobytes on Linux.
        manifest['peak_memory_mb'] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        index = write_offline_report(out, evaluation, results, manifest)
    _show(results, list(policies))
    print(f'peak memory {manifest["peak_memory_mb"]:.0f} MB')
    print(f'report: {index}; numbers: {out}/offline.json; every step: {out}/steps.csv')
    return 0 if any(not result.failure for result in results) else 1


def _with_progress(evaluation: Any, path: Path, name: str) -> 'BagResult':
    from rich import progress
    columns = (progress.TextColumn('{task.description}'), progress.SpinnerColumn(),
               progress.TextColumn('{task.completed} steps'), progress.TimeElapsedColumn())
    with progress.Progress(*columns) as bar:
        task = bar.add_task(name, total=None)
        return evaluation.evaluate(path, name, lambda made: bar.update(task, completed=made))


def _show(results: list['BagResult'], names: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    from dysl_vla_ros.evaluation.html import number
    from dysl_vla_ros.evaluation.offline_result import pooled
    console = Console()
    for result in results:
        for text in [*([result.failure] if result.failure else []), *result.problems]:
            console.print(f'{result.name}: {text}', highlight=False, markup=False,
                          style='red' if text == result.failure else 'yellow')
    table = Table(title=f'Open loop, {sum(not r.failure for r in results)} of {len(results)} bags')
    for column in ('policy', 'steps', 'MAE mm', 'MAE mrad', 'cosine', 'gripper F1',
                   'drift 1 s, mm', 'layers', 'decoder ms'):
        table.add_column(column)
    for name in names:
        s = pooled(results, name).summary()
        errors = s['errors']
        table.add_row(
            name, str(errors['count']), number(errors['mae_mm']), number(errors['mae_mrad']),
            number((errors['cosine'] or {}).get('pose'), 3),
            number((errors['gripper'] or {}).get('f1'), 3),
            number(s['drift']['after_1s']['mm']['p50'], 1), number(s['layers']['total']['mean']),
            number(s['timing_ms']['decoder_ms']['p50']))
    console.print(table)
    for result in results:
        if not result.failure:
            steps = max(p.steps for p in result.policies.values())
            print(f'{result.name}: {steps} steps in {result.wall_s:.1f} s, '
                  f'{steps / result.wall_s:.1f} per second, all policies together')
