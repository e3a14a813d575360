# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Demonstrations one by one, whatever layout they lie in: what the exporters read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dysl_vla_ros.datasets.calvin import Annotation, CalvinSplit, is_calvin_folder
from dysl_vla_ros.datasets.packed import open_packed

Frame = dict[str, np.ndarray]
KEYS = ('rgb_static', 'rgb_gripper', 'robot_obs', 'scene_obs', 'rel_actions')


@dataclass(frozen=True)
class Demonstration:
    """One instruction carried out.

    Attributes:
        name: Unique in its dataset, fit for a file name.
        task: CALVIN's task name.
        sentence: The instruction.
        length: Frames, 1/30 s each.
        success: Whether the task was achieved; a learner's failures are kept for training.
        frames: Reads the frames in order, each with the arrays of ``KEYS``.
    """

    name: str
    task: str
    sentence: str
    length: int
    success: bool
    frames: Callable[[], Iterator[Frame]]


def open_demonstrations(folder: str | Path, split: str = 'training') -> list[Demonstration]:
    """List the demonstrations of a dataset; their frames are read later.

    Args:
        folder: A packed folder, a dataset or a split in CALVIN's layout.
        split: Which split of a dataset in CALVIN's layout.

    Raises:
        DatasetError: If an index file is missing or malformed.
    """
    folder = Path(folder)
    if is_calvin_folder(folder):
        opened = CalvinSplit(folder, split)
        return [_from_annotation(opened, number, annotation)
                for number, annotation in enumerate(opened.annotations)]
    index, arrays, _ = open_packed(folder)
    return [_from_packed(arrays, number, entry)
            for number, entry in enumerate(index['episodes'])]


def _from_annotation(split: CalvinSplit, number: int, annotation: Annotation) -> Demonstration:
    def frames() -> Iterator[Frame]:
        for frame in range(annotation.start, annotation.end + 1):
            yield split.frame(frame, KEYS)

    return Demonstration(f'{number:06d}_{_file_name(annotation.task)}', annotation.task,
                         annotation.sentence, annotation.end - annotation.start + 1, True, frames)


def _from_packed(arrays: dict[str, np.ndarray], number: int, entry: dict) -> Demonstration:
    def frames() -> Iterator[Frame]:
        for frame in range(entry['start'], entry['end']):
            values = {name: np.array(array[frame]) for name, array in arrays.items()}
            values['rel_actions'] = values.pop('actions').astype(np.float64)
            yield values

    # The wordings of a packed folder are alternatives: take them in turn.
    sentence = entry['instructions'][number % len(entry['instructions'])]
    return Demonstration(f'{number:06d}_{_file_name(entry["task"])}', entry['task'], sentence,
                         entry['end'] - entry['start'], bool(entry.get('success', True)), frames)


def _file_name(task: str) -> str:
    return ''.join(c if c.isalnum() else '_' for c in task)
