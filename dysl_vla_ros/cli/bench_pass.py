# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla bench-pass``: the whole dense step against the original's way of doing it.

    dysl-vla bench-pass --size roboflamingo-3b --threads 2 --steps 10     # 10.5 GB of memory
    dysl-vla bench-pass --size roboflamingo-mid

Random weights, CPU, float32; both run in alternation on equal inputs and must give equal actions.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--size', default='roboflamingo-mid', help='default: %(default)s')
    parser.add_argument('--steps', type=int, default=20, help='control steps timed')
    parser.add_argument('--tokens', type=int, default=11, help='prompt length')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads')
    parser.add_argument('--out', help='write the numbers to this JSON file')


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    import json
    from pathlib import Path
    import resource

    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table
    import torch

    from dysl_vla_ros.errors import ConfigError
    from dysl_vla_ros.evaluation.manifest import build_manifest
    from dysl_vla_ros.evaluation.pass_speed import compare_passes
    from dysl_vla_ros.model.config import VLAConfig

    if args.steps < 1 or args.tokens < 1:
        raise ConfigError(f'--steps {args.steps} and --tokens {args.tokens} must be positive')
    torch.set_num_threads(args.threads)
    with Progress() as progress:
        task = progress.add_task(f'bench-pass {args.size}', total=args.steps + 1)
        result = compare_passes(VLAConfig.from_name(args.size), args.steps, args.tokens,
                                lambda: progress.advance(task))
    table = Table(title=f'{args.size}, {args.threads} thread(s), {args.tokens} tokens, ms over '
                        f'{args.steps} steps')
    for column in ('', 'median', 'p95'):
        table.add_column(column)
    for name, timing in result['timing_ms'].items():
        table.add_row(f'ours: {name}' if name not in ('ours', 'original') else f'{name}, whole',
                      f'{timing["p50"]:.1f}', f'{timing["p95"]:.1f}')
    Console().print(table)
    result['peak_memory_bytes'] = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f'ours is {result["ratio"]:.2f} times faster; actions differ by at most '
          f'{result["worst_error"]:.1e}; peak memory {result["peak_memory_bytes"] / 1e9:.2f} GB')
    if args.out:
        report = {'format': 1, 'manifest': build_manifest(vars(args)), **result}
        Path(args.out).write_text(json.dumps(report, indent=1), encoding='utf-8')
        print(f'numbers in {args.out}')
    return 0
