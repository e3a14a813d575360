# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla faults``: break things around a running policy node and watch the wire.

    dysl-vla faults                      # the whole table, about a minute and a half
    dysl-vla faults --only camera        # cases whose group or name contains the word

The node runs the scripted policy with Servo twists and bounded safety; no robot is needed. Prints
for each case whether the arm stopped, how long after the injection the last motion was commanded,
and how long the motion took to come back. Exit code 1 if a case fails.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--only', default='', help='run cases whose group or name contains this')
    parser.add_argument('--out', help='write the table to this JSON file')


def run(args: argparse.Namespace) -> int:
    """Run the cases and print the table."""
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from dysl_vla_ros.cli.closed_loop import ros_prefix
    from dysl_vla_ros.errors import ConfigError
    if ros_prefix():
        raise ConfigError('dysl-vla faults needs ROS in this process; start it through '
                          'scripts/with_ros.sh or source the install space')
    from dysl_vla_ros.nodes.fault_cases import CASES, run_case
    from dysl_vla_ros.nodes.fault_rig import FaultRig
    cases = [case for case in CASES if args.only in case.group or args.only in case.name]
    if not cases:
        raise ConfigError(f'--only {args.only!r}: no such case; groups: '
                          f'{sorted({case.group for case in CASES})}')
    rig = FaultRig(int(os.environ.get('ROS_DOMAIN_ID', '0')))
    rows: list[dict[str, Any]] = []
    try:
        for case in track(cases, description='faults'):
            result = run_case(rig, case)
            rows.append({'group': case.group, 'case': case.name, 'must_stop': case.stops,
                         'diagnostics': case.words, 'last_motion_ms': result.stop_ms,
                         'recovery_ms': result.recovery_ms, 'problem': result.problem})
    finally:
        rig.close()
    table = Table('group', 'fault', 'must', 'diagnostics says', 'last motion', 'back after', '')
    for row in rows:
        table.add_row(row['group'], row['case'], 'stop' if row['must_stop'] else 'go on',
                      row['diagnostics'] or '-',
                      f'{row["last_motion_ms"]:.0f} ms' if row['must_stop'] else '-',
                      f'{row["recovery_ms"]:.0f} ms',
                      f'[red]{row["problem"].splitlines()[0]}' if row['problem'] else '[green]ok')
    console = Console()
    console.print(table)
    failed = sum(bool(row['problem']) for row in rows)
    console.print(f'{len(rows) - failed} of {len(rows)} cases passed')
    if args.out:
        Path(args.out).write_text(json.dumps(rows, indent=1), encoding='utf-8')
    return 1 if failed else 0
