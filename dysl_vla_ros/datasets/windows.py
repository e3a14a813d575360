# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Windows of consecutive frames as RoboFlamingo and CALVIN's own loader cut them.

RoboFlamingo: windows of exactly 12 frames that start at every frame of
``range(start, end + 1 - 12)`` of an annotation, never across its end and so never padded; the
label of a frame is the ``rel_actions`` of the same frame. CALVIN: windows of ``min_window`` to
``max_window`` frames, padded to the longest.

Sources: design/architecture.md section 8, design/calvin.md sections 5.4 and 6.6.
"""

from dataclasses import dataclass

import numpy as np

from dysl_vla_ros.calvin_hash import fnv1
from dysl_vla_ros.errors import DatasetError


@dataclass(frozen=True)
class Windowing:
    """Lengths of windows in frames.

    Attributes:
        min_window: Shortest; decides where windows may start.
        max_window: Longest; equal to ``min_window`` for RoboFlamingo.
    """

    min_window: int = 12
    max_window: int = 12

    def __post_init__(self) -> None:
        """Raise ValueError unless 1 <= min_window <= max_window."""
        if not 1 <= self.min_window <= self.max_window:
            raise ValueError(f'expected 1 <= min_window <= max_window, got {self.min_window} and '
                             f'{self.max_window}')

    def starts(self, start: int, end: int) -> range:
        """First frames of the windows of an annotation ``start`` .. ``end`` (inclusive).

        The last possible start is left out, as in both originals: frame ``end`` is in no
        window of ``min_window`` frames.
        """
        return range(start, max(start, end + 1 - self.min_window))

    def length(self, first: int, end: int, rng: np.random.Generator | None = None) -> int:
        """Frames of the window that starts at ``first``; it never passes ``end``.

        Args:
            first: One of ``starts``.
            end: Last frame of the annotation, inclusive.
            rng: Draws the length (training). None: the length depends on ``first`` alone
                (validation), so that every run sees the same windows.

        Raises:
            DatasetError: If fewer than ``min_window`` frames are left.
        """
        longest = min(self.max_window, end - first + 1)
        if longest < self.min_window:
            raise DatasetError(f'only {longest} frames from {first} to {end}; a window has at '
                               f'least {self.min_window}')
        choices = longest - self.min_window + 1
        drawn = fnv1(str(first)) % choices if rng is None else int(rng.integers(choices))
        return self.min_window + drawn


ROBOFLAMINGO = Windowing(12, 12)
CALVIN_VISION = Windowing(16, 32)


def pad(values: np.ndarray, length: int, key: str) -> np.ndarray:
    """Pad the arrays of a window to ``length`` frames as CALVIN's loader does.

    Args:
        values: (T, ...) with 1 <= T <= length.
        length: Wanted number of frames.
        key: Name of the array. The last frame is repeated; ``rel_actions`` ask for no motion
            (zeros) but keep their last gripper command.

    Raises:
        DatasetError: If there is nothing to repeat or too much already.
    """
    missing = length - len(values)
    if missing < 0 or len(values) == 0:
        raise DatasetError(f'{key}: cannot pad {len(values)} frames to {length}')
    tail = np.repeat(values[-1:], missing, axis=0)
    if key.endswith('rel_actions'):
        tail[:, :-1] = 0
    return np.concatenate([values, tail])
