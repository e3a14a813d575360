# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla governor``: does the compute governor hold its budget on a busy machine?

    dysl-vla governor --budget 25 --loops 2 --count 16 --out runs/governor

Runs the furniture tasks live, with busy-loop processes beside the two nodes, once without and once
with the governor, and compares the age of the actions with the budget. Exit code 1 if the governor
neither holds the budget nor says so on /diagnostics.
"""

import argparse
from collections.abc import Mapping
import json
import os
from pathlib import Path
import time
from typing import Any

from dysl_vla_ros.cli.evaluate import DEFAULT_CHECKPOINT

CANNOT = 'the latency budget cannot be held'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--budget', type=float, default=25.0,
                        help='milliseconds from observation to action (default: %(default)s)')
    parser.add_argument('--min-threshold', type=float, default=0.0,
                        help='floor of the skip threshold (default: half the calibrated one)')
    parser.add_argument('--loops', type=int, default=2,
                        help='busy-loop processes beside the nodes (default: %(default)s)')
    parser.add_argument('--count', type=int, default=16,
                        help='episodes of furniture-singles (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the suite')
    parser.add_argument('--max-steps', type=int, default=360, help='control steps per episode')
    parser.add_argument('--checkpoint', default=DEFAULT_CHECKPOINT,
                        help='weights folder (default: %(default)s)')
    parser.add_argument('--out', help='new results folder (default: runs/governor-<time>)')


def summary(results: Mapping[str, Any], budget_ms: float, reports: int,
            cannot: int) -> dict[str, Any]:
    """The row of one run.

    Args:
        results: Content of its results.json.
        budget_ms: The budget.
        reports: Diagnostics of the policy's inference that arrived.
        cannot: How many of them said that the budget cannot be held.

    Returns:
        JSON-ready; ``verdict`` is 'held', 'reported' or 'missed'.
    """
    age, success = results['timing_ms']['latency_ms'], results['metrics']['success_rates'][0]
    is_held = bool(age['count']) and age['p95'] <= budget_ms
    return {
        'age_ms': age, 'model_ms': results['timing_ms']['total_ms'],
        'layers': results['layers'].get('total', {}).get('mean'),
        'n_layers': results['layers']['n_layers'], 'success': success,
        'held_steps_share': results['control']['held_share'], 'reports': reports,
        'reports_cannot_hold': cannot,
        'verdict': 'held' if is_held else 'reported' if cannot else 'missed'}


def run(args: argparse.Namespace) -> int:
    """Run both, print the table; 1 if the governor misses the budget silently."""
    from dysl_vla_ros.cli.busy_loops import busy_loops
    from dysl_vla_ros.cli.closed_loop import require_ros
    from dysl_vla_ros.cli.evaluate import run_suite
    from dysl_vla_ros.evaluation.suites import build_suite
    require_ros('governor')
    from dysl_vla_ros.nodes.soak_observer import SoakObserver
    out = Path(args.out or f'runs/governor-{time.strftime("%Y%m%d-%H%M%S")}')
    suite = build_suite('furniture-singles', args.count, args.seed, args.max_steps)
    rows = {}
    # The nodes inherit it, the observer must be in it.
    os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 101))
    for name, parameters in (('without', {}), ('with', {
            'governor.budget_ms': args.budget, 'governor.min_threshold': args.min_threshold})):
        observer = SoakObserver(int(os.environ['ROS_DOMAIN_ID']))
        try:
            with busy_loops(args.loops):
                results = run_suite(suite, out / name, 'dysl', args.checkpoint, mode='live',
                                    policy_parameters=parameters)
        finally:
            observer.close()
        said = observer.said['policy_node: inference']
        rows[name] = summary(results, args.budget, sum(said.values()),
                             sum(n for text, n in said.items() if CANNOT in text))
    (out / 'governor.json').write_text(json.dumps(
        {'format': 1, 'budget_ms': args.budget, 'loops': args.loops, 'runs': rows,
         'manifest': results['manifest']}, indent=1), encoding='utf-8')
    _show(rows, args)
    print(f'numbers: {out}/governor.json')
    return 1 if rows['with']['verdict'] == 'missed' else 0


def _show(rows: Mapping[str, Mapping[str, Any]], args: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from dysl_vla_ros.cli.tables import rate_text
    table = Table(title=f'Live, {args.loops} busy loops, {args.count} episodes, budget '
                        f'{args.budget:g} ms')
    for name in ('governor', 'observation to action p50 / p95, ms', 'model p50 / p95',
                 'layers', 'success', 'steps held', 'said it cannot', 'p95 within budget'):
        table.add_column(name)
    for name, row in rows.items():
        age, model = row['age_ms'], row['model_ms']
        table.add_row(name, *('-' if not v['count'] else f'{v["p50"]:.1f} / {v["p95"]:.1f}'
                              for v in (age, model)),
                      '-' if row['layers'] is None else
                      f'{row["layers"]:.2f} of {row["n_layers"]}', rate_text(row['success']),
                      f'{row["held_steps_share"]:.1%}',
                      f'{row["reports_cannot_hold"]} of {row["reports"]}', row['verdict'])
    Console().print(table)
