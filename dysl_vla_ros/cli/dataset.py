# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla dataset``: what a dataset in CALVIN's layout holds, and whether it is whole.

Exit code 1 if a frame is missing, truncated or malformed; each is named.
"""

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dysl_vla_ros.datasets.calvin import CalvinSplit
    from dysl_vla_ros.errors import FrameError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('folder', help='dataset folder, or one split of it')
    parser.add_argument('--index-only', action='store_true',
                        help='do not read the frames (half a million in a published split)')


def run(args: argparse.Namespace) -> int:
    """Print a table per split, then the damaged frames."""
    from dysl_vla_ros.datasets.calvin import SPANS_FILE, SPLITS, CalvinSplit

    root = Path(args.folder)
    found = [root / name for name in SPLITS if (root / name / SPANS_FILE).is_file()]
    problems: list[FrameError] = []
    for folder in found or [root]:
        split = CalvinSplit(folder)
        _describe(split)
        if not args.index_only:
            problems += _verify(split)
    for problem in problems:
        print(f'damaged: {problem}')
    return 1 if problems else 0


def _describe(split: 'CalvinSplit') -> None:
    from rich.console import Console
    from rich.table import Table
    frames = int((split.spans[:, 1] - split.spans[:, 0] + 1).sum())
    tasks = Counter(a.task for a in split.annotations)
    wordings = {t: len({a.sentence for a in split.annotations if a.task == t}) for t in tasks}
    table = Table(title=f'{split.folder}: {len(split.spans)} episodes, {frames} frames, '
                        f'{len(split.annotations)} annotations')
    for title in ('task', 'annotations', 'wordings'):
        table.add_column(title)
    for task in sorted(tasks):
        table.add_row(task, str(tasks[task]), str(wordings[task]))
    console = Console()
    console.print(table)
    for scene, (first, last) in split.scenes.items():
        console.print(f'{scene}: frames {first} to {last}')


def _verify(split: 'CalvinSplit') -> 'list[FrameError]':
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    with Progress(TextColumn('frames'), BarColumn(), MofNCompleteColumn()) as bar:
        task = bar.add_task('read', total=None)
        return split.verify(report=lambda done, total: bar.update(task, completed=done,
                                                                  total=total))
