# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Summaries of latencies and of executed layers over the steps of a run."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dysl_vla_ros.evaluation.recording import Recording

STAGES = ('preprocess_ms', 'vision_ms', 'decoder_ms', 'head_ms', 'total_ms', 'latency_ms',
          'observation_age_ms')
# The first step after a reset pays for caches; it is real, but not what a control loop repeats.
_SKIPPED_FIRST_STEPS = 1


def summarise(values: Iterable[float]) -> dict[str, Any]:
    """Count, mean, median, p95, p99 and maximum; NaN are left out, no value gives None."""
    array = np.asarray(list(values), dtype=np.float64)
    array = array[np.isfinite(array)]
    if not array.size:
        return {'count': 0, **dict.fromkeys(('mean', 'p50', 'p95', 'p99', 'max'))}
    p50, p95, p99 = np.percentile(array, [50, 95, 99])
    return {'count': int(array.size), 'mean': float(array.mean()), 'p50': float(p50),
            'p95': float(p95), 'p99': float(p99), 'max': float(array.max())}


def stage_values(recordings: Sequence[Recording], stage: str) -> np.ndarray:
    """(N,) milliseconds of one stage over all steps but the first after each reset."""
    parts = [r.steps[stage][r.steps['subtask_step'] >= _SKIPPED_FIRST_STEPS] for r in recordings]
    values = np.concatenate(parts) if parts else np.zeros(0)
    return values[np.isfinite(values)]


def timing_summary(recordings: Sequence[Recording]) -> dict[str, Any]:
    """``summarise`` of every stage, in milliseconds."""
    return {stage: summarise(stage_values(recordings, stage)) for stage in STAGES}


def control_summary(recordings: Sequence[Recording]) -> dict[str, Any]:
    """How steadily the world was stepped.

    Returns:
        ``period_ms``, ``summarise`` of the wall time between steps of one subtask, and
        ``held_share``, the share of steps without a fresh action (live mode holds the arm then).
    """
    periods = []
    for r in recordings:
        inside = np.diff(r.steps['subtask']) == 0
        periods.append(1e3 * np.diff(r.steps['wall_s'])[inside])
    held = np.concatenate([~r.steps['has_stats'] for r in recordings])
    return {'period_ms': summarise(np.concatenate(periods)),
            'held_share': float(held.mean()) if held.size else 0.0}


def layer_summary(recordings: Sequence[Recording]) -> dict[str, Any]:
    """Decoder layers per step: committed and total, verified share, and share per layer.

    ``committed`` counts the pass whose action was used; ``total`` also counts what an abandoned
    skipped pass had computed, and is the honest cost.
    """
    with_stats = [r for r in recordings if r.steps['executed'].shape[1]]
    if not with_stats:
        return {'n_layers': 0}
    executed = np.concatenate([r.steps['executed'][r.steps['has_stats']] for r in with_stats])
    total = np.concatenate([r.steps['executed_total'][r.steps['has_stats']] for r in with_stats])
    verified = np.concatenate([r.steps['is_verified'][r.steps['has_stats']] for r in with_stats])
    return {
        'n_layers': int(executed.shape[1]), 'steps': int(executed.shape[0]),
        'committed': summarise(executed.sum(axis=1)), 'total': summarise(total),
        'verified_share': float(verified.mean()),
        'share_per_layer': [float(v) for v in executed.mean(axis=0)]}
