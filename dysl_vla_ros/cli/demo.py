# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla demo``: three furniture chains over ROS, skipping and dense, with a report.

    make demo            or: scripts/with_ros.sh .venv/bin/dysl-vla demo

The chains are fixed by a seed. Both strategies run the same chains with the same weights, one
after the other; with --expert the scripted expert runs them too, as the upper bound. Writes
<runs>/dysl, <runs>/dense, <runs>/expert and <out>/index.html.
"""

import argparse

from dysl_vla_ros.cli.evaluate import DEFAULT_CHECKPOINT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--checkpoint', default=DEFAULT_CHECKPOINT,
                        help='weights folder (default: %(default)s)')
    parser.add_argument('--chains', type=int, default=3, help='number of chains')
    parser.add_argument('--dense-chains', type=int,
                        help='chains of the dense comparison (default: as many)')
    parser.add_argument('--expert', action='store_true',
                        help='also the scripted expert (privileged state): the upper bound')
    parser.add_argument('--device', default='cpu', help='torch device')
    parser.add_argument('--out', default='report', help='folder of the report')
    parser.add_argument('--runs', default='runs/demo',
                        help='results folder; its parts of these names are replaced')
    parser.add_argument('--in-process', action='store_true', help='without ROS')
    parser.add_argument('--no-videos', action='store_true', help='save the encoding time')


def run(args: argparse.Namespace) -> int:
    """Run both strategies, print the tables, write the report."""
    from pathlib import Path
    import shutil
    import time

    from dysl_vla_ros.cli import tables
    from dysl_vla_ros.cli.evaluate import run_suite
    from dysl_vla_ros.evaluation.manifest import EXPERT, describe_checkpoint
    from dysl_vla_ros.evaluation.report import write_report
    from dysl_vla_ros.evaluation.suites import build_suite
    from dysl_vla_ros.resources import resolve

    begin = time.perf_counter()
    counts = {'dysl': args.chains,
              'dense': args.dense_chains if args.dense_chains is not None else args.chains}
    if args.expert:
        counts[EXPERT] = args.chains
    counts = {strategy: count for strategy, count in counts.items() if count > 0}
    describe_checkpoint(resolve(args.checkpoint))  # before an old result is removed
    folders, results = [], []
    for strategy, count in counts.items():
        folder = Path(args.runs) / strategy
        shutil.rmtree(folder, ignore_errors=True)
        folders.append(folder)
        results.append(run_suite(
            build_suite('demo', count), folder, strategy, args.checkpoint, args.device,
            'in-process' if args.in_process else 'ros', videos=not args.no_videos))
    tables.show_scores(results)
    tables.show_costs(results)
    notes = [f'Only {args.chains} chains per strategy: the intervals are wide. Measured success '
             'rates come from dysl-vla evaluate with more episodes.']
    if len(set(counts.values())) > 1:
        notes.append(f'The dense comparison ran {counts.get("dense", 0)} of {args.chains} chains.')
    index = write_report(folders, args.out, 'Three furniture chains, with and without skipping',
                         notes)
    print(f'report: {index}  ({time.perf_counter() - begin:.0f} s)')
    return 0
