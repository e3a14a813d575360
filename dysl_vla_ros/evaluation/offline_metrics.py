# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far predicted actions are from recorded ones: running sums, one step at a time.

All in the units of ``control/action_spec.py``. Open loop: the prediction never moved anything,
so a small error is no promise of success.
"""

from dataclasses import dataclass, field
import heapq
import itertools
from typing import Any

import numpy as np

from dysl_vla_ros.control.action_spec import (
    CONTROL_RATE_HZ,
    MAX_POSITION_STEP_M,
    MAX_ROTATION_STEP_RAD,
)
from dysl_vla_ros.evaluation.timing import summarise

AXES = ('x', 'y', 'z', 'roll', 'pitch', 'yaw')
SCALE = np.array([MAX_POSITION_STEP_M] * 3 + [MAX_ROTATION_STEP_RAD] * 3)
_STILL = 1e-3  # a motion shorter than this (action units) has no direction
_DRIFT_STEPS = CONTROL_RATE_HZ  # one second


class ActionErrors:
    """MAE, RMSE, cosine and gripper F1 over pairs of actions."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.count = 0
        self.largest = 0.0
        self._absolute = np.zeros(6)
        self._squared = np.zeros(6)
        self._cosines = {'translation': [0.0, 0], 'rotation': [0.0, 0], 'pose': [0.0, 0]}
        self._gripper = np.zeros((2, 2), dtype=np.int64)  # [recorded is closed, predicted is]

    def add(self, predicted: np.ndarray, recorded: np.ndarray) -> float:
        """Add one pair of (7,) actions; returns the step's score (see ``step_error``)."""
        difference = predicted[:6] - recorded[:6]
        self.count += 1
        self._absolute += np.abs(difference)
        self._squared += difference ** 2
        self.largest = max(self.largest, float(np.abs(difference).max()))
        for name, part in (('translation', slice(0, 3)), ('rotation', slice(3, 6)),
                           ('pose', slice(0, 6))):
            p, r = predicted[part], recorded[part]
            lengths = float(np.linalg.norm(p)), float(np.linalg.norm(r))
            if min(lengths) > _STILL:
                self._cosines[name][0] += float(p @ r) / (lengths[0] * lengths[1])
                self._cosines[name][1] += 1
        self._gripper[int(recorded[6] < 0), int(predicted[6] < 0)] += 1
        return step_error(predicted, recorded)

    def merge(self, other: 'ActionErrors') -> None:
        """Add everything that the other one has seen."""
        self.count += other.count
        self.largest = max(self.largest, other.largest)
        self._absolute += other._absolute
        self._squared += other._squared
        self._gripper += other._gripper
        for name, (total, count) in other._cosines.items():
            self._cosines[name][0] += total
            self._cosines[name][1] += count

    def summary(self) -> dict[str, Any]:
        """JSON-ready; None where nothing could be compared.

        ``mae`` and ``rmse`` by axis in action units, ``mae_mm`` and ``mae_mrad`` the means over
        the axes of a kind, ``cosine`` the mean over steps in which both move, ``gripper`` F1 of
        closing, of opening, their mean (of those that occur) and the share of equal commands.
        """
        n = self.count
        if not n:
            return {'count': 0, 'mae': None, 'rmse': None, 'mae_mm': None, 'mae_mrad': None,
                    'largest': None, 'cosine': None, 'gripper': None}
        mae = self._absolute / n
        millis = 1e3 * mae * SCALE
        return {
            'count': n, 'mae': dict(zip(AXES, mae.tolist(), strict=True)),
            'rmse': dict(zip(AXES, np.sqrt(self._squared / n).tolist(), strict=True)),
            'mae_mm': float(millis[:3].mean()), 'mae_mrad': float(millis[3:].mean()),
            'largest': self.largest,
            'cosine': {name: total / count if count else None
                       for name, (total, count) in self._cosines.items()},
            'gripper': self._gripper_summary()}

    def _gripper_summary(self) -> dict[str, Any]:
        table = self._gripper

        def f1(which: int) -> float | None:
            hit = int(table[which, which])
            seen = int(table[which].sum() + table[:, which].sum())
            return 2 * hit / seen if seen else None

        close, opened = f1(1), f1(0)
        known = [v for v in (close, opened) if v is not None]
        return {'f1_close': close, 'f1_open': opened, 'f1': sum(known) / len(known),
                'equal': float(np.trace(table) / table.sum()),
                'recorded_closed_steps': int(table[1].sum())}


def step_error(predicted: np.ndarray, recorded: np.ndarray) -> float:
    """Error of one step: length of the difference in six axes, plus one if the gripper differs."""
    gripper = float(predicted[6] * recorded[6] < 0)
    return float(np.linalg.norm(predicted[:6] - recorded[:6])) + gripper


class Drift:
    """Where the arm's target would have gone: both action sequences summed up from equal starts.

    After each second the sums start again for ``after_1s``; ``at_end`` sums from instruction to
    instruction.
    """

    def __init__(self) -> None:
        """Start at nothing."""
        self._total, self._second = np.zeros(6), np.zeros(6)
        self._steps = 0
        self._after_1s: list[tuple[float, float]] = []
        self._at_end: list[tuple[float, float]] = []

    def restart(self) -> None:
        """A new instruction, or a break in the recording."""
        if self._steps:
            self._at_end.append(_lengths(self._total))
        self._total, self._second, self._steps = np.zeros(6), np.zeros(6), 0

    def add(self, predicted: np.ndarray, recorded: np.ndarray) -> float:
        """Add one pair; returns the drift in millimetres since the last restart."""
        difference = (predicted[:6] - recorded[:6]) * SCALE
        self._total += difference
        self._second += difference
        self._steps += 1
        if self._steps % _DRIFT_STEPS == 0:
            self._after_1s.append(_lengths(self._second))
            self._second = np.zeros(6)
        return _lengths(self._total)[0]

    def merge(self, other: 'Drift') -> None:
        """Add the finished stretches of the other one."""
        self._after_1s += other._after_1s
        self._at_end += other._at_end

    def summary(self) -> dict[str, Any]:
        """``summarise`` of millimetres and milliradians; call after the last ``restart``."""
        return {name: {'mm': summarise(mm for mm, _ in values),
                       'mrad': summarise(mrad for _, mrad in values)}
                for name, values in (('after_1s', self._after_1s), ('at_end', self._at_end))}


def _lengths(difference: np.ndarray) -> tuple[float, float]:
    return (1e3 * float(np.linalg.norm(difference[:3])),
            1e3 * float(np.linalg.norm(difference[3:])))


@dataclass(frozen=True)
class Moment:
    """One bad step, with what was seen; arrays are small copies.

    Attributes:
        score: ``step_error``.
        bag: Name of the bag.
        time_s: Seconds since the bag's first message.
        instruction: In force.
        step: Since the instruction.
        predicted: (7,).
        recorded: (7,).
        images: (H, W, 3) uint8 pictures by stream.
    """

    score: float
    bag: str
    time_s: float
    instruction: str
    step: int
    predicted: np.ndarray
    recorded: np.ndarray
    images: dict[str, np.ndarray]


@dataclass
class WorstMoments:
    """The steps with the largest error, at most one per ``apart_s`` seconds of a bag."""

    keep: int = 6
    apart_s: float = 1.0
    _heap: list[tuple[float, int, Moment]] = field(default_factory=list)
    _numbers: Any = field(default_factory=itertools.count)

    def is_among_them(self, score: float) -> bool:
        """Whether a step with this score would be kept; asked before pictures are made."""
        return len(self._heap) < self.keep or score > self._heap[0][0]

    def offer(self, moment: Moment) -> None:
        """Keep it if it is worse than what is kept."""
        near = [entry for entry in self._heap if entry[2].bag == moment.bag
                and abs(entry[2].time_s - moment.time_s) < self.apart_s]
        if any(entry[0] >= moment.score for entry in near):
            return
        self._heap = [entry for entry in self._heap if entry not in near]
        self._heap.append((moment.score, next(self._numbers), moment))
        heapq.heapify(self._heap)
        while len(self._heap) > self.keep:
            heapq.heappop(self._heap)

    @property
    def moments(self) -> list[Moment]:
        """Worst first."""
        return [moment for _, _, moment in sorted(self._heap, key=lambda e: (-e[0], e[1]))]
