# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla bench-sim``: control steps per second of the simulated world, and where they go.

    dysl-vla bench-sim
    dysl-vla bench-sim --processes 1 --renderers tiny --out runs/sim_speed.json

Medians over alternating runs, with and without cameras, in one process and in two, as ratios to
the figures measured for the original environment. Nothing else should run meanwhile.
"""

import argparse
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--runs', type=int, default=5, help='runs (default: %(default)s)')
    parser.add_argument('--steps', type=int, default=720,
                        help='control steps per run without cameras (default: %(default)s)')
    parser.add_argument('--camera-steps', type=int, default=60,
                        help='control steps per run with both cameras (default: %(default)s)')
    parser.add_argument('--physics', nargs='+', default=['calvin', 'fast'], metavar='NAME',
                        help='without cameras (default: calvin fast); the first also with')
    parser.add_argument('--renderers', nargs='*', metavar='NAME',
                        help='with both cameras (default: tiny tiny_layered, and egl where it '
                             'works); none: state only')
    parser.add_argument('--processes', type=int, nargs='+', default=[1, 2], metavar='N',
                        help='worlds at once (default: 1 2)')
    parser.add_argument('--out', help='write the numbers to this JSON file')


def run(args: argparse.Namespace) -> int:
    """Measure with a progress bar, print the tables, write the numbers."""
    import json
    from pathlib import Path

    from rich.progress import track

    from dysl_vla_ros.evaluation import sim_speed
    from dysl_vla_ros.evaluation.manifest import build_manifest
    from dysl_vla_ros.sim import egl

    renderers, missing = args.renderers, {}
    if renderers is None:
        renderers = ['tiny', 'tiny_layered']
        if reason := egl.why_unavailable():
            missing['egl'] = reason
        else:
            renderers.append('egl')
    cases = sim_speed.cases(args.physics, renderers, args.processes)
    todo = [(case, args.steps if case.renderer is None else args.camera_steps) for case in cases]
    work = sim_speed.record_actions(max(steps for _, steps in todo))
    found: dict[sim_speed.Case, list[sim_speed.Run]] = {case: [] for case in cases}
    for case, result in track(sim_speed.measure(todo, work, args.runs), 'bench-sim',
                              total=len(todo) * args.runs):
        found[case].append(result)
    speeds = [sim_speed.summarize(case, runs) for case, runs in found.items()]
    one = [(case, steps) for case, steps in todo if case.processes == args.processes[0]]
    profiles = [{'physics': case.physics, 'renderer': case.renderer,
                 'shares': sim_speed.profile(case, work, steps)} for case, steps in one]
    _show(speeds, profiles)
    for name, reason in missing.items():
        print(f'{name}: not available here ({reason})')
    if args.out:
        content = {'format': 1, 'manifest': build_manifest(
            vars(args), renderer=', '.join(renderers) or 'none',
            physics=', '.join(args.physics)),
            'speed': speeds, 'profile': profiles, 'unavailable': missing}
        Path(args.out).write_text(json.dumps(content, indent=1), encoding='utf-8')
        print(f'numbers in {args.out}')
    return 0


def _name(entry: dict[str, Any]) -> str:
    return entry['renderer'] or 'none'


def _show(speeds: list[dict[str, Any]], profiles: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    console = Console()
    table = Table(title=f'Control steps per second, medians of {speeds[0]["runs"]} runs')
    for column in ('images', 'physics', 'processes', 'per CPU second', 'range', 'per wall second',
                   'original', 'ratio'):
        table.add_column(column)
    for s in speeds:
        low, high = (f'{v:.1f}' for v in s['ratio'])
        slow, fast = (f'{v:g}' for v in s['original'])
        table.add_row(
            _name(s), s['physics'], str(s['processes']), f'{s["steps_per_s"]:.0f}',
            '{:.0f} to {:.0f}'.format(*s['steps_per_s_range']), f'{s["steps_per_s_wall"]:.0f}',
            slow if slow == fast else f'{slow} to {fast}',
            low if low == high else f'{low} to {high}')
    console.print(table)
    parts = Table(title='Where a step goes, share of CPU time')
    for column in ('images', 'physics', *profiles[0]['shares']):
        parts.add_column(column)
    for p in profiles:
        parts.add_row(_name(p), p['physics'],
                      *(f'{100 * share:.0f} %' for share in p['shares'].values()))
    console.print(parts)
