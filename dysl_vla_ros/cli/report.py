# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla report``: rebuild the HTML report from result folders.

dysl-vla report runs/demo/dysl runs/demo/dense --out report
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('folders', nargs='+', help='--out folders of dysl-vla evaluate')
    parser.add_argument('--out', default='report', help='folder of the report')
    parser.add_argument('--title', default='DySL-VLA in closed loop', help='heading')


def run(args: argparse.Namespace) -> int:
    """Write the report."""
    from dysl_vla_ros.evaluation.report import write_report
    print(f'report: {write_report(args.folders, args.out, args.title)}')
    return 0
