# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scripted policies with the interface of DySLPolicy; no torch."""

import numpy as np

from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.skipping.step import GroupReason, GroupTrace, SkipTrace, Step, StepTiming


class FakePolicy:
    """Answers with what it saw: x = red / 255 of the static image's first pixel.

    Step counter in the y component (times 1e-3), length of the instruction in z (times 1e-2): a
    test can read from an action which image, step and instruction it came from.
    """

    def __init__(self, fail_at=-1, nan_at=-1):
        self._fail_at, self._nan_at = fail_at, nan_at
        self._instruction = None
        self._index = 0

    def reset(self, instruction):
        if 'unknown' in instruction:
            raise ContractError('I do not know these words')
        self._instruction, self._index = instruction, 0

    def act(self, observation):
        if self._instruction is None:
            raise ContractError('act() before reset()')
        if self._instruction != 'warm up' and self._index == self._fail_at:
            raise RuntimeError('scripted failure')
        action = np.zeros(7, np.float32)
        action[0] = observation.rgb_static[0, 0, 0] / 255
        action[1] = 1e-3 * self._index
        action[2] = 1e-2 * len(self._instruction)
        action[6] = 1.0
        if self._instruction != 'warm up' and self._index == self._nan_at:
            action[3] = np.nan
        executed = np.array([True, True, False, True])
        trace = SkipTrace(executed, 3, (GroupTrace(1, 2, GroupReason.SKIPPED, 2, 2),),
                          float('nan'), float('nan'), False)
        self._index += 1
        return Step(action, 0.9, self._index - 1, trace, StepTiming(0.1, 0.2, 0.3, 0.1, 0.7))

    def describe(self):
        return {'model': {'head': {'use_state': False}}, 'strategy': 'fake'}


def create(parameters):
    return FakePolicy()


def create_failing(parameters):
    """Raises at the fourth step of every instruction."""
    return FakePolicy(fail_at=3)


def create_nan(parameters):
    """Returns a NaN at the fourth step of every instruction."""
    return FakePolicy(nan_at=3)
