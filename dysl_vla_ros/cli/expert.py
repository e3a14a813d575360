# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla expert``: what the scripted expert reaches, the upper bound of every results table.

    dysl-vla expert --scenes ABCD --starts 100 --out runs/expert-singles
    dysl-vla expert --chains 1000 --out runs/expert-chains
    dysl-vla expert --episode D.stack_block.17

State only. An interrupted run continues where it stopped; the ids in the table of failures are
those that --episode takes.
"""

import argparse
import json
from pathlib import Path
import time
from typing import Any

EPISODES_FILE, RESULTS_FILE = 'episodes.jsonl', 'expert.json'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--chains', type=int, metavar='N',
                      help="the first N of CALVIN's 1000 chains instead of single tasks")
    what.add_argument('--episode', metavar='ID', help='replay one episode and print its result')
    parser.add_argument('--scenes', default='D', help='letters of the scenes (default: D)')
    parser.add_argument('--tasks', nargs='+', metavar='TASK', help='default: all 34')
    parser.add_argument('--starts', type=int, default=100,
                        help='random start states per task and scene (default: %(default)s)')
    parser.add_argument('--workers', type=int, default=2, help='processes')
    parser.add_argument('--assets-dir', help='calvin_env data folder; default: built-in scenes')
    parser.add_argument('--physics', default='calvin',
                        help='calvin (default) or fast: two thirds of the time, recorded')
    parser.add_argument('--out', help='results folder (default: runs/expert-<time>)')


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the tables and write the results."""
    from dysl_vla_ros.evaluation import expert
    if args.episode:
        spec, scene = expert.episode_by_id(args.episode)
        print(json.dumps(expert.run_expert(spec, scene, args.assets_dir, args.physics),
                         indent=1))
        return 0
    if args.chains is not None:
        episodes = [(spec, 'calvin_scene_D') for spec in expert.chain_episodes(0, args.chains)]
    else:
        episodes = list(expert.single_episodes(args.scenes, args.tasks, args.starts))
    folder = Path(args.out or f'runs/expert-{time.strftime("%Y%m%d-%H%M%S")}')
    results = _run(episodes, folder, args.workers, args.assets_dir, args.physics)
    summary = {'kind': 'chains' if args.chains is not None else 'singles',
               'assets_dir': args.assets_dir, 'physics': args.physics, **expert.provenance(),
               **expert.summarize(results), 'episodes': results}
    path = folder / RESULTS_FILE
    path.write_text(json.dumps(summary, indent=1, allow_nan=False), encoding='utf-8')
    _show(summary)
    print(f'results in {path}')
    return 0


def _run(episodes: list[tuple[Any, str]], folder: Path, workers: int,
         assets_dir: str | None, physics: str) -> list[dict[str, Any]]:
    """Run what the folder does not hold yet, with a progress bar."""
    from rich import progress

    from dysl_vla_ros.errors import ConfigError
    from dysl_vla_ros.evaluation import expert
    from dysl_vla_ros.sim.physics import CALVIN, get_physics
    get_physics(physics)  # an unknown one is an error before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / EPISODES_FILE
    done = expert.read_episodes(file)
    if other := {r.get('physics', CALVIN) for r in done.values()} - {physics}:
        raise ConfigError(f'{folder} holds results of physics {sorted(other)}, not {physics!r}; '
                          'choose another --out folder')
    # Without the torn line of a killed run, to which the next one would be appended.
    file.write_text(''.join(json.dumps(r) + '\n' for r in done.values()), encoding='utf-8')
    columns = (progress.TextColumn('{task.description}'), progress.BarColumn(),
               progress.MofNCompleteColumn(), progress.TextColumn('{task.fields[info]}'),
               progress.TimeRemainingColumn())
    with progress.Progress(*columns) as bar, file.open('a', encoding='utf-8') as stream:
        task = bar.add_task('expert', total=len(episodes), info='')
        failed = 0

        def finish(result: dict[str, Any]) -> None:
            nonlocal failed
            failed += result['succeeded'] < len(result['subtasks'])
            bar.update(task, advance=1, info=f'{failed} failed')

        def keep(result: dict[str, Any]) -> None:
            stream.write(json.dumps(result) + '\n')
            stream.flush()
            finish(result)

        missing = []
        for spec, scene in episodes:
            if spec.episode_id in done:
                finish(done[spec.episode_id])
            else:
                missing.append((spec, scene))
        for result in expert.evaluate_expert(missing, workers, assets_dir, keep, physics):
            done[result['episode_id']] = result
    return [done[spec.episode_id] for spec, _ in episodes]


def _show(summary: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    console = Console()
    metrics = summary['metrics']
    if summary['kind'] == 'chains':
        for scene, values in metrics.items():
            rates = '  '.join(f'{i}: {100 * r["value"]:.1f} %'
                              for i, r in enumerate(values['success_rates'], 1))
            length = values['average_length']
            console.print(f'{scene}, {length["count"]} chains, subtasks in a row: {rates}')
            console.print(f'average length {length["value"]:.3f} '
                          f'[{length["low"]:.3f}, {length["high"]:.3f}]')
    table = Table(title='Success per attempted task, with 95 % Wilson intervals')
    table.add_column('task')
    for scene in metrics:
        table.add_column(scene.removeprefix('calvin_'))
    for name in sorted({t for values in metrics.values() for t in values['per_task']}):
        cells = []
        for values in metrics.values():
            rate = values['per_task'].get(name)
            cells.append('-' if rate is None else
                         f'{round(rate["value"] * rate["count"])}/{rate["count"]}  '
                         f'{100 * rate["low"]:.0f}-{100 * rate["high"]:.0f} %')
        table.add_row(name, *cells)
    console.print(table)
    lost = Table(title=f'{len(summary["failures"])} failures')
    for name in ('episode', 'at', 'task', 'reason'):
        lost.add_column(name)
    for failure in summary['failures']:
        lost.add_row(failure['episode_id'], str(failure['position']), failure['task'],
                     failure['reason'])
    console.print(lost)
