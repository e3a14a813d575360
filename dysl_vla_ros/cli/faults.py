# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla faults``: break things around running nodes and watch the wire.

    dysl-vla faults --out faults         # the whole table, three to four minutes
    dysl-vla faults --only camera        # cases whose group or name contains the word

The policy node runs the scripted policy with Servo twists and bounded safety; no robot is needed.
Required of every case: no command that is NaN, beyond the bounds or too old; zero commands within
100 ms and one period of Servo where the arm must stop; a report that names the cause; motion again
when the fault is over. Exit code 1 if a case fails. ``--out`` gets faults.json, .md and .html.
"""

import argparse
from collections.abc import Iterable, Iterator
from importlib.resources import files
import json
import os
from pathlib import Path
import tempfile
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--only', default='', help='run cases whose group or name contains this')
    parser.add_argument('--out', help='write the table into this folder')


def run(args: argparse.Namespace) -> int:
    """Run the cases and print the table."""
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from dysl_vla_ros.cli import fault_table
    from dysl_vla_ros.cli.closed_loop import require_ros
    from dysl_vla_ros.errors import ConfigError
    require_ros('faults')
    from dysl_vla_ros.nodes.fault_cases import CASES
    from dysl_vla_ros.nodes.fault_loop import LOOP_CASES
    from dysl_vla_ros.nodes.fault_parameters import PARAMETER_CASES

    def wanted(cases: Iterable[Any]) -> list[Any]:
        return [case for case in cases if args.only in case.group or args.only in case.name]

    on_rig, in_loop = wanted((*CASES, *PARAMETER_CASES)), wanted(LOOP_CASES)
    if not on_rig and not in_loop:
        groups = sorted({case.group for case in CASES} | {'parameter'})
        raise ConfigError(f'--only {args.only!r}: no such case; groups: {groups}')
    domain_id = int(os.environ.get('ROS_DOMAIN_ID', '0'))
    rows = list(track(_rows(domain_id, on_rig, in_loop), description='faults',
                      total=len(on_rig) + len(in_loop)))
    table = Table(*fault_table.HEAD)
    for row in rows:
        *line, verdict = fault_table.cells(row)
        table.add_row(*map(_plain, line), _plain(verdict),
                      style='red' if row['problem'] else None)
    console = Console()
    console.print(table)
    console.print(fault_table.headline(rows))
    if args.out:
        folder = Path(args.out)
        folder.mkdir(parents=True, exist_ok=True)
        style = files('dysl_vla_ros.evaluation').joinpath('report_style.css').read_text('utf-8')
        content = {'summary': fault_table.summary(rows), 'rows': rows}
        (folder / 'faults.json').write_text(json.dumps(content, indent=1, allow_nan=False),
                                            encoding='utf-8')
        (folder / 'faults.md').write_text(fault_table.to_markdown(rows), encoding='utf-8')
        (folder / 'faults.html').write_text(fault_table.to_html(rows, style), encoding='utf-8')
        console.print(f'written to {folder}')
    return 1 if any(row['problem'] for row in rows) else 0


def _rows(domain_id: int, on_rig: list[Any], in_loop: list[Any]) -> Iterator[dict[str, Any]]:
    """Run the cases, one rig after the other: they must not hear each other."""
    from dysl_vla_ros.nodes.fault_loop import LoopRig, row
    from dysl_vla_ros.nodes.fault_rig import FaultRig
    from dysl_vla_ros.nodes.fault_run import run_case
    if on_rig:
        rig = FaultRig(domain_id)
        try:
            for case in on_rig:
                yield run_case(rig, case).to_row(case)
        finally:
            rig.close()
    if in_loop:
        with tempfile.TemporaryDirectory() as folder:
            loop = LoopRig(domain_id, Path(folder))
            try:
                for case in in_loop:
                    yield row(loop.run(case), case)
            finally:
                loop.close()


def _plain(text: str) -> str:
    from rich.markup import escape
    return escape(text)
