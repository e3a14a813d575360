# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an offline evaluation has found: per policy, per bag, and over all bags."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dysl_vla_ros.evaluation.offline_metrics import ActionErrors, Drift
from dysl_vla_ros.evaluation.timing import summarise
from dysl_vla_ros.skipping.step import Step

STAGES = ('preprocess_ms', 'vision_ms', 'decoder_ms', 'head_ms', 'total_ms')


@dataclass
class Curves:
    """One number per step for the report's plots."""

    time_s: array = field(default_factory=lambda: array('f'))
    error: array = field(default_factory=lambda: array('f'))
    predicted: array = field(default_factory=lambda: array('f'))  # seven per step
    recorded: array = field(default_factory=lambda: array('f'))   # seven per step
    layers: array = field(default_factory=lambda: array('f'))


@dataclass
class PolicyOnBag:
    """What one policy did on one bag."""

    errors: ActionErrors = field(default_factory=ActionErrors)
    drift: Drift = field(default_factory=Drift)
    curves: Curves = field(default_factory=Curves)
    times_ms: dict[str, array] = field(
        default_factory=lambda: {stage: array('f') for stage in STAGES})
    layers_total: array = field(default_factory=lambda: array('f'))
    executed: np.ndarray | None = None  # (n_layers,) steps in which each ran
    verified: int = 0
    steps: int = 0
    limited: int = 0

    def add_step(self, step: Step, was_limited: bool) -> None:
        """Count one prediction; the first step after a reset is left out of the times."""
        self.steps += 1
        self.limited += was_limited
        self.verified += bool(step.trace.is_verified)
        self.layers_total.append(step.trace.n_executed_total)
        ran = np.asarray(step.trace.executed, dtype=np.int64)
        self.executed = ran if self.executed is None else self.executed + ran
        if step.index:
            for stage in STAGES:
                self.times_ms[stage].append(getattr(step.timing, stage))

    def merge(self, other: 'PolicyOnBag') -> None:
        """Add another bag's numbers (not its curves)."""
        self.errors.merge(other.errors)
        self.drift.merge(other.drift)
        for stage, values in other.times_ms.items():
            self.times_ms[stage].extend(values)
        self.layers_total.extend(other.layers_total)
        if other.executed is not None:
            self.executed = (other.executed if self.executed is None
                             else self.executed + other.executed)
        self.steps += other.steps
        self.verified += other.verified
        self.limited += other.limited

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        layers = self.executed
        return {
            'steps': self.steps, 'limited': self.limited, 'errors': self.errors.summary(),
            'drift': self.drift.summary(),
            'timing_ms': {stage: summarise(values) for stage, values in self.times_ms.items()},
            'layers': {
                'n_layers': int(layers.size) if layers is not None else 0,
                'total': summarise(self.layers_total),
                'verified_share': self.verified / self.steps if self.steps else None,
                'share_per_layer': (layers / self.steps).tolist() if layers is not None else []}}


@dataclass
class BagResult:
    """One evaluated bag.

    Attributes:
        name: Unique among the bags of a call.
        path: Where it is.
        problems: What was wrong with it; empty for a good bag.
        failure: Why it could not be evaluated at all, or ''.
        trigger: How steps were found.
        topics: (type, messages) by name.
        duration_s: From first to last message read.
        instructions: In order.
        policies: By name.
        wall_s: Time it took, all policies together.
        unpaired: Recorded commands without a prediction.
        paired_by_age: Pairs without an equal stamp: the next command within 0.1 s.
    """

    name: str
    path: str
    problems: list[str] = field(default_factory=list)
    failure: str = ''
    trigger: str = ''
    topics: dict[str, tuple[str, int]] = field(default_factory=dict)
    duration_s: float = 0.0
    instructions: list[str] = field(default_factory=list)
    policies: dict[str, PolicyOnBag] = field(default_factory=dict)
    wall_s: float = 0.0
    unpaired: int = 0
    paired_by_age: int = 0

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        steps = max((p.steps for p in self.policies.values()), default=0)
        return {
            'name': self.name, 'path': self.path, 'failure': self.failure,
            'problems': self.problems, 'trigger': self.trigger, 'duration_s': self.duration_s,
            'topics': {n: {'type': t, 'count': c} for n, (t, c) in self.topics.items()},
            'instructions': self.instructions, 'steps': steps, 'wall_s': self.wall_s,
            'steps_per_s': steps / self.wall_s if self.wall_s else None,
            'unpaired_commands': self.unpaired, 'paired_by_age': self.paired_by_age,
            'policies': {name: p.summary() for name, p in self.policies.items()}}


def pooled(results: Sequence[BagResult], name: str) -> PolicyOnBag:
    """One policy's numbers over all bags together."""
    total = PolicyOnBag()
    for result in results:
        total.merge(result.policies[name])
    return total
