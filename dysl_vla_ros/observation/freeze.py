# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A camera that delivers the same picture under new stamps: looks alive and shows the past.

Real cameras have noise, so the very same bytes again and again mean a stuck driver. A renderer
has none and repeats a picture lawfully: while nothing moves, and while the arm moves outside the
picture (12 cm in CALVIN's furniture tasks, measured). Hence two verdicts. The slow one counts
pictures. The quick one is for a moving tool, and only for a camera whose noise has been seen: its
pictures differed while the tool was at rest, as before every start of a robot.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dysl_vla_ros.control.target import Pose
from dysl_vla_ros.observation.ring import StampRing

_SUBSET = 4096               # bytes looked at first: moving pictures differ there already
_NOISE_IMAGES = 30           # so many different pictures of a tool at rest: that is noise
_SPAN_NS = 10_000_000_000    # how long ago the first of the same pictures may be


@dataclass(frozen=True)
class FreezeLimits:
    """When the same picture is once too often.

    Attributes:
        images: So many pictures with the same bytes are a frozen camera; 0 does not look.
        moving_images: So many are, if the tool has moved since the first and the camera is known
            to have noise; 0 does not look.
        moved_m: What counts as moved: translation in metres,
        moved_rad: or rotation in radians.
    """

    images: int = 0
    moving_images: int = 0
    moved_m: float = 0.0005
    moved_rad: float = 0.005


@dataclass
class _Run:
    """Pictures of one stream with the same bytes."""

    data: Any
    first_ns: int
    newest_ns: int
    count: int = 1
    problem: str = ''


@dataclass
class _Rest:
    """Pictures that all differed, since the tool was at rest."""

    first_ns: int
    count: int = 1


class FreezeWatch:
    """Watches every camera and the tool. Not thread-safe; the owner holds the lock.

    Where the tool is comes from ``measured`` and, as long as nothing is measured, from
    ``commanded``. Both are looked up by stamp: a picture that arrives late must not be held
    against a motion that began after its exposure.
    """

    def __init__(self, limits: FreezeLimits) -> None:
        """Start with nothing seen."""
        self._limits = limits
        self._runs: dict[str, _Run] = {}
        self._rests: dict[str, _Rest] = {}
        self._noisy: set[str] = set()   # streams; for ever: a camera does not lose its noise
        self._measured: StampRing[Pose] = StampRing(_SPAN_NS, 1000)
        self._commanded: StampRing[Pose] = StampRing(_SPAN_NS, 1000)

    @property
    def problem(self) -> str:
        """Which camera is frozen, or ''."""
        return '; '.join(run.problem for run in self._runs.values() if run.problem)

    def measured(self, stamp_ns: int, pose: Pose) -> None:
        """Remember where the tool was."""
        self._measured.push(stamp_ns, pose)

    def commanded(self, stamp_ns: int, action: np.ndarray) -> None:
        """Remember a (7,) action that was sent for the observation of ``stamp_ns``."""
        last = self._commanded.latest()
        before = last.value if last is not None else Pose(np.zeros(3), np.zeros(3))
        if last is None:
            self._commanded.push(stamp_ns, before)
        self._commanded.push(stamp_ns + 1, before.added(action))  # the motion follows the exposure

    def image(self, stream: str, stamp_ns: int, data: Any) -> str:
        """Look at a picture.

        Args:
            stream: Name of the camera.
            stamp_ns: Time of exposure.
            data: Bytes-like object, as received; kept until the next picture.

        Returns:
            Why the camera counts as frozen, or ''.
        """
        if not self._limits.images and not self._limits.moving_images:
            return ''
        run = self._runs.get(stream)
        if run is not None and stamp_ns <= run.newest_ns:
            return run.problem  # out of order, or sent again: says nothing about the camera
        if run is None or not _are_same(run.data, data):
            self._runs[stream] = _Run(data, stamp_ns, stamp_ns)
            if self._limits.moving_images and stream not in self._noisy:
                self._learn(stream, stamp_ns)
            return ''
        self._rests.pop(stream, None)
        run.count, run.newest_ns = run.count + 1, stamp_ns
        if not run.problem:
            run.problem = self._judge(stream, run)
        return run.problem

    def _learn(self, stream: str, stamp_ns: int) -> None:
        rest = self._rests.setdefault(stream, _Rest(stamp_ns, 0))
        if self._has_moved(*self._motion(rest.first_ns, stamp_ns)):
            rest = self._rests[stream] = _Rest(stamp_ns, 0)
        rest.count += 1
        if rest.count >= _NOISE_IMAGES:
            self._noisy.add(stream)

    def _has_moved(self, shift_m: float, turn_rad: float) -> bool:
        return shift_m > self._limits.moved_m or turn_rad > self._limits.moved_rad

    def _judge(self, stream: str, run: _Run) -> str:
        limits = self._limits
        said = f'{stream}: frozen, {run.count} images with the same bytes'
        if limits.images and run.count >= limits.images:
            return said
        if stream in self._noisy and run.count >= limits.moving_images:
            shift_m, turn_rad = self._motion(run.first_ns, run.newest_ns)
            if self._has_moved(shift_m, turn_rad):
                return (f'{said} while the tool moved {1e3 * shift_m:.1f} mm and '
                        f'{turn_rad:.3f} rad')
        return ''

    def _motion(self, first_ns: int, last_ns: int) -> tuple[float, float]:
        """Translation and rotation between two moments."""
        poses = self._measured if len(self._measured) else self._commanded
        before, after = poses.at_or_before(first_ns), poses.at_or_before(last_ns)
        if before is None or after is None:
            return 0.0, 0.0
        shift, turn = before.value.step_to(after.value)
        return float(np.linalg.norm(shift)), float(np.linalg.norm(turn))

    def clear(self) -> None:
        """Time was set back: forget everything that has a stamp."""
        self._runs.clear()
        self._rests.clear()
        self._measured.clear()
        self._commanded.clear()


def _are_same(one: Any, other: Any) -> bool:
    """Whether two buffers hold the same bytes; the usual answer, no, costs a small subset."""
    if len(one) != len(other):
        return False
    a, b = np.frombuffer(one, np.uint8), np.frombuffer(other, np.uint8)
    stride = 1 + a.size // _SUBSET
    return bool(np.array_equal(a[::stride], b[::stride]) and np.array_equal(a, b))
