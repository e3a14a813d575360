# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames of a dataset in CALVIN's layout, indexed like the long arrays of a packed folder.

A frame file is read and its images resized when one of its arrays is first asked for; what was
read lies in a sparse scratch file, so a large split needs neither memory nor a conversion.
"""

from collections.abc import Sequence
from pathlib import Path
import tempfile
from typing import Any

import numpy as np

from dysl_vla_ros.datasets.calvin import Annotation, CalvinSplit
from dysl_vla_ros.errors import FrameError
from dysl_vla_ros.observation.preprocess import ResizeMode, resize

_LABEL = 'rel_actions'
_KEYS = ('rgb_static', 'rgb_gripper', 'robot_obs', 'scene_obs', _LABEL)


class CalvinFrames:
    """The annotated frames of a split, numbered 0 .. len - 1."""

    def __init__(self, split: CalvinSplit, annotations: Sequence[Annotation], image_size: int,
                 mode: ResizeMode) -> None:
        """Prepare; reads nothing.

        Args:
            split: Where the frames are.
            annotations: Their frames, which may overlap, are this source.
            image_size: Side in pixels of the square images wanted.
            mode: How they are resized, see ``resize``.
        """
        self.split = split
        self._size, self._mode = image_size, mode
        ranges = [np.arange(a.start, a.end + 1) for a in annotations]
        self.numbers = np.unique(np.concatenate(ranges)) if ranges else np.empty(0, np.int64)
        count = len(self.numbers)
        image = (image_size, image_size, 3)
        shapes: dict[str, tuple[tuple[int, ...], Any]] = {
            'rgb_static': (image, np.uint8), 'rgb_gripper': (image, np.uint8),
            'robot_obs': ((15,), np.float64), 'scene_obs': ((24,), np.float64),
            'actions': ((7,), np.float32)}
        self._columns = {name: _scratch((count, *shape), dtype)
                         for name, (shape, dtype) in shapes.items()}
        self._is_read = np.zeros(count, dtype=bool)

    def __len__(self) -> int:
        """Frames."""
        return len(self.numbers)

    def positions(self, annotation: Annotation) -> tuple[int, int]:
        """First and one past the last position of an annotation's frames."""
        start = int(np.searchsorted(self.numbers, annotation.start))
        return start, start + annotation.end - annotation.start + 1

    def take(self, name: str, positions: np.ndarray) -> np.ndarray:
        """Array ``name`` at ``positions``, of any shape; raises FrameError."""
        for position in np.unique(positions):
            if not self._is_read[position]:
                self._read(int(position))
        return self._columns[name][positions]

    def damaged(self, annotation: Annotation) -> FrameError | None:
        """Read an annotation's frames; returns the first problem."""
        start, end = self.positions(annotation)
        try:
            self.take('actions', np.arange(start, end))
        except FrameError as error:
            return error
        return None

    def _read(self, position: int) -> None:
        frame = self.split.frame(int(self.numbers[position]), _KEYS)
        for name in ('rgb_static', 'rgb_gripper'):
            self._columns[name][position] = resize(frame[name], self._size, self._mode)
        for name in ('robot_obs', 'scene_obs'):
            self._columns[name][position] = frame[name]
        self._columns['actions'][position] = frame[_LABEL]
        self._is_read[position] = True


def _scratch(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array in a nameless sparse file: pages that are never written take no space."""
    if not np.prod(shape):
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile(prefix='dysl_vla_frames_') as stream:
        return np.memmap(stream, dtype=dtype, mode='w+', shape=shape)


class Column:
    """One array over several sources; indexed with an integer array like a plain one."""

    def __init__(self, name: str, parts: Sequence[np.ndarray | CalvinFrames]) -> None:
        """Join ``parts`` in order."""
        self._name, self._parts = name, list(parts)
        self._bounds = np.cumsum([0, *(len(p) for p in parts)])

    def __len__(self) -> int:
        """Frames of all parts."""
        return int(self._bounds[-1])

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        """Values at the positions ``index`` (...) -> (..., *shape of one value)."""
        index = np.asarray(index)
        owner = np.searchsorted(self._bounds, index, side='right') - 1
        result: np.ndarray | None = None
        for number in np.unique(owner):
            chosen = owner == number
            part, local = self._parts[number], index[chosen] - self._bounds[number]
            values = part.take(self._name, local) if isinstance(part, CalvinFrames) \
                else part[local]
            if result is None:
                result = np.empty((*index.shape, *values.shape[1:]), values.dtype)
            result[chosen] = values
        if result is None:
            raise IndexError(f'{self._name}: no positions given')
        return result


def split_folders(folder: Path) -> tuple[Path, Path | None]:
    """Training and, if there is one, validation split of a dataset or a single split."""
    if (folder / 'training').is_dir():
        validation = folder / 'validation'
        return folder / 'training', validation if validation.is_dir() else None
    return folder, None
