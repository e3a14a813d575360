# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CALVIN's numbers with intervals: chain success rates, average length, per-task rates.

An *episode result* is the mapping of ``EpisodeRunner.summary``: ``succeeded`` (number of
subtasks done in order), ``subtasks`` (names) and ``steps`` (of the attempted ones).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import math
from typing import Any

import numpy as np

from dysl_vla_ros.errors import ContractError

_Z95 = 1.959963984540054  # 0.975 quantile of the normal distribution
_RESAMPLES = 10_000

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval and the count it rests on."""

    value: float
    low: float
    high: float
    count: int

    def to_mapping(self) -> dict[str, float | int]:
        """JSON-ready form."""
        return {'value': self.value, 'low': self.low, 'high': self.high, 'count': self.count}


def wilson(successes: int, count: int) -> Estimate:
    """A rate with Wilson's score interval (95 %).

    Source: E. B. Wilson, JASA 22 (1927) 209. It stays inside [0, 1] and is not empty at 0 or
    ``count`` successes, which the usual normal interval is.

    Raises:
        ContractError: Unless 0 <= successes <= count and count > 0.
    """
    if not 0 <= successes <= count or count < 1:
        raise ContractError(f'cannot make a rate of {successes} successes in {count} trials')
    rate = successes / count
    denominator = 1 + _Z95**2 / count
    centre = (rate + _Z95**2 / (2 * count)) / denominator
    half = _Z95 / denominator * math.sqrt(rate * (1 - rate) / count + _Z95**2 / (4 * count**2))
    # Rounding must not push a bound past the rate itself.
    return Estimate(rate, max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half)),
                    count)


def bootstrap_mean(values: Sequence[float], seed: int = 0) -> Estimate:
    """A mean with the percentile bootstrap interval (95 %, seeded).

    Raises:
        ContractError: If there are no values.
    """
    array = np.asarray(values, dtype=np.float64)
    if not array.size:
        raise ContractError('cannot average nothing: no episode has finished')
    rng = np.random.default_rng(seed)
    means = array[rng.integers(array.size, size=(_RESAMPLES, array.size))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    mean = float(array.mean())
    return Estimate(mean, min(mean, float(low)), max(mean, float(high)), int(array.size))


@dataclass(frozen=True)
class ChainMetrics:
    """Scores of one run.

    Attributes:
        success_rates: Rate of episodes with at least 1, 2, ... subtasks done in order.
        average_length: Mean number of subtasks done in order.
        per_task: Rate per task among attempted subtasks, by name.
        mean_steps: Mean control steps of successful subtasks; NaN if none succeeded.
    """

    success_rates: tuple[Estimate, ...]
    average_length: Estimate
    per_task: dict[str, Estimate]
    mean_steps: float

    def to_mapping(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            'success_rates': [e.to_mapping() for e in self.success_rates],
            'average_length': self.average_length.to_mapping(),
            'per_task': {name: e.to_mapping() for name, e in self.per_task.items()},
            'mean_steps': None if math.isnan(self.mean_steps) else self.mean_steps}


def chain_metrics(results: Sequence[Result], seed: int = 0) -> ChainMetrics:
    """Score a run; ``seed`` is the bootstrap's.

    Raises:
        ContractError: If there are no results.
    """
    if not results:
        raise ContractError('no episode has finished: nothing to score')
    lengths = [int(r['succeeded']) for r in results]
    longest = max(len(r['subtasks']) for r in results)
    rates = tuple(wilson(sum(n >= i for n in lengths), len(lengths))
                  for i in range(1, longest + 1))
    steps = [s for r in results for s in list(r['steps'])[:int(r['succeeded'])]]
    return ChainMetrics(
        rates, bootstrap_mean(lengths, seed),
        {name: wilson(good, total) for name, (good, total) in sorted(_per_task(results).items())},
        float(np.mean(steps)) if steps else math.nan)


def calvin_result(name: str, results: Sequence[Result]) -> dict[str, Any]:
    """The content of CALVIN's result file (design/calvin.md section 5.1)."""
    metrics = chain_metrics(results)
    return {name: {
        'avg_seq_len': metrics.average_length.value,
        'chain_sr': {str(i): e.value for i, e in enumerate(metrics.success_rates, 1)},
        'task_info': {task: {'success': good, 'total': total}
                      for task, (good, total) in sorted(_per_task(results).items())}}}


def paired_difference(first: Sequence[Result], second: Sequence[Result],
                      seed: int = 0) -> Estimate:
    """Mean difference (first - second) of the chain lengths over the same episodes.

    Pairs by ``episode_id``; episodes that only one run has are left out.

    Raises:
        ContractError: If no episode is in both runs.
    """
    other = {r['episode_id']: int(r['succeeded']) for r in second}
    differences = [int(r['succeeded']) - other[r['episode_id']] for r in first
                   if r['episode_id'] in other]
    return bootstrap_mean(differences, seed)


def _per_task(results: Sequence[Result]) -> dict[str, tuple[int, int]]:
    counts: dict[str, tuple[int, int]] = {}
    for result in results:
        for i, task in enumerate(result['subtasks'][:len(result['steps'])]):
            good, total = counts.get(task, (0, 0))
            counts[task] = (good + (i < int(result['succeeded'])), total + 1)
    return counts
