# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla verify-reference``: our network against recorded outputs of the originals.

    dysl-vla verify-reference ../shared/reference/roboflamingo_tiny
    dysl-vla verify-reference ../shared/reference/deer_tiny

Exit code 0 if every expected tensor is within its tolerance, 2 if one is not or could not be
compared.
"""

import argparse

NOT_MET = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('folders', nargs='+', metavar='DIR',
                        help='folder with checkpoint.pth, clip_visual.safetensors, config.json '
                             'and expected.safetensors')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads')


def run(args: argparse.Namespace) -> int:
    """Print one row per expected tensor."""
    from pathlib import Path

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table
    import torch

    from dysl_vla_ros.evaluation.reference import verify_folder

    torch.set_num_threads(args.threads)
    console, all_met = Console(), True
    for folder in args.folders:
        with console.status(f'running {folder}'):
            checks = list(verify_folder(Path(folder)))
        table = Table(title=f'{folder} (float32, CPU)')
        table.add_column('expected', no_wrap=True)
        for column in ('worst error', 'tolerance', '', 'remark'):
            table.add_column(column)
        for check in checks:
            table.add_row(
                escape(check.name), '-' if check.error is None else f'{check.error:.2e}',
                'equal' if check.tolerance == 0 else f'{check.tolerance:.1e}',
                'ok' if check.is_met else '[red]FAILED', escape(check.remark))
        console.print(table)
        failed = [check.name for check in checks if not check.is_met]
        all_met &= not failed
        print(f'{folder}: {len(checks) - len(failed)} of {len(checks)} expected tensors agree'
              + (f'; not met: {", ".join(failed)}' if failed else ''))
    return 0 if all_met else NOT_MET
