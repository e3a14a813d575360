# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reader of one split of CALVIN's dataset, the published ones and ours alike.

    split = CalvinSplit('task_D_D/training')
    split.annotations[0], split.frame(split.annotations[0].start)

Source: design/calvin.md sections 6.1 to 6.3.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
import functools
from pathlib import Path
from typing import Any

import numpy as np

from dysl_vla_ros.datasets.frames import REQUIRED, frame_name, read_frame
from dysl_vla_ros.datasets.restricted_pickle import load_object_array
from dysl_vla_ros.datasets.statistics import Statistics, read_statistics
from dysl_vla_ros.errors import DatasetError, FrameError

SPANS_FILE, LENGTHS_FILE = 'ep_start_end_ids.npy', 'ep_lens.npy'
LANGUAGE_FILE = 'lang_annotations/auto_lang_ann.npy'
SCENES_FILE, STATISTICS_FILE = 'scene_info.npy', 'statistics.yaml'
SPLITS = ('training', 'validation')


@dataclass(frozen=True)
class Annotation:
    """A stretch of frames with its sentence.

    Attributes:
        start, end: First and last frame number, ``end`` included.
        task: CALVIN's task name.
        sentence: The instruction.
    """

    start: int
    end: int
    task: str
    sentence: str


def is_calvin_folder(folder: str | Path) -> bool:
    """Whether ``folder`` is a split, or a dataset with its training split."""
    folder = Path(folder)
    return any((f / SPANS_FILE).is_file() for f in (folder, folder / 'training'))


class CalvinSplit:
    """One split; frames are read when asked for."""

    def __init__(self, folder: str | Path, split: str = 'training') -> None:
        """Open the split and check its index.

        Args:
            folder: A split folder, or a dataset folder with ``training`` and ``validation``.
            split: Which one, if ``folder`` is a dataset.

        Raises:
            DatasetError: If the index of episodes is missing or malformed.
        """
        self.folder = Path(folder)
        if not (self.folder / SPANS_FILE).is_file() and (self.folder / split).is_dir():
            self.folder = self.folder / split
        self.spans = self._spans()

    def _array(self, name: str) -> np.ndarray:
        path = self.folder / name
        try:
            return np.load(path, allow_pickle=False)
        except FileNotFoundError as error:
            raise DatasetError(f"{path}: no such file; expected a split of CALVIN's dataset "
                               '(training or validation)') from error
        except (OSError, ValueError, EOFError) as error:
            raise DatasetError(f'{path}: not a readable array: {error}') from error

    def _spans(self) -> np.ndarray:
        """(n, 2) int64: first and last frame of every episode."""
        spans = np.atleast_2d(self._array(SPANS_FILE))
        path = self.folder / SPANS_FILE
        is_index = spans.ndim == 2 and spans.shape[1] == 2 and spans.dtype.kind in 'iu'
        if not is_index or not len(spans):
            raise DatasetError(f'{path}: expected integers of shape (n, 2), got {spans.shape} of '
                               f'{spans.dtype}')
        spans = spans.astype(np.int64)
        bad = np.flatnonzero((spans[:, 0] < 0) | (spans[:, 1] < spans[:, 0]))
        if len(bad):
            raise DatasetError(f'{path}: row {bad[0]}: {spans[bad[0]].tolist()} is no stretch of '
                               'frames (first, last)')
        return spans

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """(n,) contents of ep_lens.npy."""
        return self._array(LENGTHS_FILE)

    @functools.cached_property
    def statistics(self) -> Statistics:
        """Contents of statistics.yaml."""
        return read_statistics(self.folder / STATISTICS_FILE)

    @functools.cached_property
    def scenes(self) -> dict[str, tuple[int, int]]:
        """Scene name to (first, last) frame; empty if there is no scene_info.npy (validation)."""
        path = self.folder / SCENES_FILE
        if not path.is_file():
            return {}
        content = _single(load_object_array(path), path)
        try:
            return {str(name): (int(first), int(last)) for name, (first, last) in content.items()}
        except (TypeError, ValueError) as error:
            raise DatasetError(f'{path}: expected scene names with [first, last]: {error}') \
                from error

    @functools.cached_property
    def annotations(self) -> list[Annotation]:
        """All language annotations, in the file's order."""
        path = self.folder / LANGUAGE_FILE
        content = _single(load_object_array(path), path)
        try:
            sentences, tasks = content['language']['ann'], content['language']['task']
            indices = content['info']['indx']
            result = [Annotation(_integer(start), _integer(end), str(task), str(sentence))
                      for sentence, task, (start, end)
                      in zip(sentences, tasks, indices, strict=True)]
        except KeyError as error:
            raise DatasetError(f'{path}: no key {error}; expected language.ann, language.task and '
                               'info.indx') from error
        except (TypeError, ValueError) as error:
            raise DatasetError(f'{path}: language.ann, language.task and info.indx do not fit '
                               f'together: {error}') from error
        for number, entry in enumerate(result):
            if not 0 <= entry.start <= entry.end:
                raise DatasetError(f'{path}: annotation {number}: frames {entry.start} to '
                                   f'{entry.end}')
        return result

    def path(self, number: int) -> Path:
        """File of frame ``number``."""
        return self.folder / frame_name(number)

    def frame(self, number: int, keys: Iterable[str] = REQUIRED) -> dict[str, np.ndarray]:
        """Read a frame; raises FrameError, see ``read_frame``."""
        return read_frame(self.path(number), keys)

    def verify(self, keys: Iterable[str] = REQUIRED,
               report: Callable[[int, int], None] | None = None) -> list[FrameError]:
        """Read every frame of every episode; returns what is wrong, by file.

        Args:
            keys: Arrays to read.
            report: Called with (frames read, frames in total).
        """
        keys = tuple(keys)
        problems = []
        total, done = int((self.spans[:, 1] - self.spans[:, 0] + 1).sum()), 0
        for first, last in self.spans.tolist():
            for number in range(first, last + 1):
                try:
                    self.frame(number, keys)
                except FrameError as error:
                    problems.append(error)
                done += 1
                if report is not None:
                    report(done, total)
        return problems


def _single(array: np.ndarray, path: Path) -> dict[Any, Any]:
    content = array.item() if array.shape == () else None
    if not isinstance(content, dict):
        raise DatasetError(f'{path}: expected one mapping, got an array of shape {array.shape}')
    return content


def _integer(value: Any) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f'{value!r} is no frame number')
    return int(value)
