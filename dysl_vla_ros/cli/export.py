# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla export``: demonstrations as rosbag2 recordings or a LeRobot dataset."""

import argparse
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('data', help="dataset folder, packed or in CALVIN's layout")
    parser.add_argument('--to', choices=('rosbag2', 'lerobot'), required=True,
                        help='one bag (mcap) per demonstration, or one LeRobotDataset v3')
    parser.add_argument('--out', required=True, help='new output folder')
    parser.add_argument('--split', choices=('training', 'validation'), default='training',
                        help="split of a dataset in CALVIN's layout")
    parser.add_argument('--limit', type=int, help='only the first so many demonstrations')
    parser.add_argument('--skip-damaged', action='store_true',
                        help='leave out demonstrations with a damaged frame and list them')


def run(args: argparse.Namespace) -> int:
    """Export, showing progress; lists what was left out."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from dysl_vla_ros.datasets.demonstrations import open_demonstrations
    from dysl_vla_ros.errors import DatasetError, FrameError

    demonstrations = open_demonstrations(args.data, args.split)[:args.limit]
    out = Path(args.out)
    if out.exists() and any(out.iterdir()):
        raise DatasetError(f'{out}: not empty; choose another output folder or delete it')
    skipped: list[FrameError] = []
    target: Any = _Bags(out) if args.to == 'rosbag2' else _lerobot(out)
    with target, Progress(TextColumn('export'), BarColumn(), MofNCompleteColumn()) as bar:
        for demonstration in bar.track(demonstrations):
            try:
                target.add(demonstration)
            except FrameError as error:
                if not args.skip_damaged:
                    raise
                skipped.append(error)
    for problem in skipped:
        print(f'skipped: {problem}')
    size = sum(p.stat().st_size for p in out.rglob('*') if p.is_file())
    print(f'{out}: {len(demonstrations) - len(skipped)} demonstrations, {size / 1e6:.1f} MB')
    return 0


class _Bags:
    """One bag per demonstration, with the interface of LeRobotWriter."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> '_Bags':
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def add(self, demonstration: Any) -> None:
        from dysl_vla_ros.datasets.rosbag2 import write_bag
        write_bag(demonstration, self._folder / demonstration.name)


def _lerobot(folder: Path) -> Any:
    from dysl_vla_ros.datasets.lerobot import LeRobotWriter
    return LeRobotWriter(folder)
