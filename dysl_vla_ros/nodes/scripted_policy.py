# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A policy without weights: a slow circle, and on request every way a policy can fail.

For a first run on an arm (`policy_factory:=dysl_vla_ros.nodes.scripted_policy:create`) and for
fault injection (``faults.py``): an instruction ``fault: NAME`` fails from the tenth step on.
"""

import math
import time
from typing import Any

import numpy as np

from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.observation.observation import Observation
from dysl_vla_ros.skipping.step import GroupReason, GroupTrace, SkipTrace, Step, StepTiming

FAULT, FAULT_LINE = 'fault: ', 'scripted fault at ns '
_FIRST_FAULT, _PERIOD_STEPS, _SIZE = 10, 60, 0.1


class ScriptedPolicy:
    """Draws a horizontal circle; the gripper stays open."""

    def __init__(self) -> None:
        """Wait for an instruction."""
        self._instruction: str | None = None
        self._index = 0
        self._has_failed = False

    def reset(self, instruction: str) -> None:
        """Start anew.

        Raises:
            ContractError: For the instruction ``fault: unknown``.
        """
        if instruction == FAULT + 'unknown':
            raise ContractError('these words are not in the vocabulary')
        self._instruction, self._index, self._has_failed = instruction, 0, False

    def act(self, observation: Observation) -> Step:
        """Return the next point of the circle, or fail as told."""
        if self._instruction is None:
            raise ContractError('act() before reset(instruction)')
        phase = 2 * math.pi * self._index / _PERIOD_STEPS
        x, y = _SIZE * math.cos(phase), _SIZE * math.sin(phase)
        action = np.array([x, y, 0, 0, 0, 0, 1.0], np.float32)
        probability = 0.9
        if self._index >= _FIRST_FAULT and self._instruction.startswith(FAULT):
            action, probability = self._fail(action, self._instruction.removeprefix(FAULT))
        executed = np.array([True, self._index % 2 == 0, self._index % 3 == 0, True])
        trace = SkipTrace(executed, int(executed.sum()),
                          (GroupTrace(1, 2, GroupReason.SKIPPED, 1, 1),), math.nan, math.nan,
                          False)
        self._index += 1
        timing = StepTiming(0.0, 0.0, 0.0, 0.0, 0.0)
        return Step(action, probability, self._index - 1, trace, timing)

    def _fail(self, action: np.ndarray, fault: str) -> tuple[np.ndarray, float]:
        probability = 0.9
        if not self._has_failed:
            self._has_failed = True
            # Fault injection measures from here.
            print(f'{FAULT_LINE}{time.time_ns()}', flush=True)
        if fault == 'exception':
            raise RuntimeError('scripted exception')
        if fault == 'memory':
            raise MemoryError('scripted: out of memory')
        if fault == 'slow':
            time.sleep(0.6)
        elif fault == 'shape':
            action = action[:6]
        elif fault in ('nan', 'inf'):
            action[self._index % 6] = float(fault)
        elif fault == 'huge':
            action[:6] *= 1e6
        elif fault == 'wall':
            action[:3] = (1.0, 0.0, -1.0)
        elif fault == 'chatter':
            probability = float(self._index % 2)
            action[6] = 2 * probability - 1
        return action, probability

    def describe(self) -> dict[str, Any]:
        """What runs here, JSON-ready."""
        return {'model': {'head': {'use_state': False}}, 'strategy': 'scripted'}


def create(parameters: Any) -> ScriptedPolicy:
    """Build one (``policy_factory``)."""
    return ScriptedPolicy()
