# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla conformance``: compare the simulated world with recorded vectors of CALVIN.

    dysl-vla conformance ../shared/reference/calvin
    dysl-vla conformance DIR --assets-dir ~/calvin_env/data

Exit code 0 if every check is met, 2 if one is not.
"""

import argparse

NOT_MET = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('folder', help='folder with vector files')
    parser.add_argument('--assets-dir', help='official CALVIN assets (default: our furniture)')
    parser.add_argument('--physics', default='calvin',
                        help='calvin (default) or fast, to see what it costs')


def run(args: argparse.Namespace) -> int:
    """Print one row per check as it is done."""
    from pathlib import Path

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from dysl_vla_ros.evaluation.conformance import check_folder

    table = Table(title=f'{args.folder} against '
                        f'{args.assets_dir or "the built-in furniture"}, physics '
                        f'{args.physics}')
    for column in ('file', 'check', 'passed', 'worst', 'limit', ''):
        table.add_column(column)
    all_met = True
    console = Console()
    with console.status('checking'):
        for check in check_folder(Path(args.folder),
                                  Path(args.assets_dir) if args.assets_dir else None,
                                  args.physics):
            all_met &= check.is_met
            needed = '' if check.required == 1.0 else f' (>= {check.required:.0%})'
            table.add_row(
                check.file, escape(check.name), f'{check.passed}/{check.total}{needed}',
                '' if check.worst is None else f'{check.worst:.2g}',
                '' if check.limit is None else f'{check.limit:g}',
                'ok' if check.is_met else '[red]FAILED')
    console.print(table)
    return 0 if all_met else NOT_MET
