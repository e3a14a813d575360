# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Thresholds of the skipping policy from open-loop replay, with one knob: ``budget``.

The policy itself is replayed over held-out demonstrations, so that warm-up, prior guidance and
verification count exactly as they do at run time (design/method.md sections 7 and 15.3).
"""

from collections.abc import Callable
import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from dysl_vla_ros.errors import DatasetError
from dysl_vla_ros.model.tokenizer import InstructionTokenizer
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.config import SkippingConfig
from dysl_vla_ros.skipping.modules import SkipModules
from dysl_vla_ros.skipping.policy import DySLPolicy
from dysl_vla_ros.training.distill_config import DistillConfig
from dysl_vla_ros.training.skip_data import MediaCache

_LOGIT_RANGE = (-12.0, 12.0)
_BISECTIONS = 10
_HALVINGS = 3
_SMALLEST_THRESHOLD = 1e-4


@dataclass(frozen=True)
class Replay:
    """Outcome of one open-loop replay over N steps.

    Attributes:
        actions, labels: (N, 7) predicted and demonstrated.
        layers: (N,) layers that ran, verification included.
        changes: Defined continuity changes.
        verified_share: Share of steps predicted again.
        verified_changes: Action change of each of them, see ``SkipTrace.verified_change``.
        decoder_ms: (N,) wall time of the decoder.
        jump_counts: Jumps per layer.
        n_layers: Layers of a dense step.
    """

    actions: np.ndarray
    labels: np.ndarray
    layers: np.ndarray
    changes: np.ndarray
    verified_share: float
    verified_changes: np.ndarray
    decoder_ms: np.ndarray
    jump_counts: dict[int, int]
    n_layers: int

    @property
    def share(self) -> float:
        """Mean share of decoder layers that ran."""
        return float(self.layers.mean()) / self.n_layers

    def false_alarm_share(self, change: float) -> float | None:
        """Share of the verifications that changed the action by less; None without any."""
        if not len(self.verified_changes):
            return None
        return float((self.verified_changes < change).mean())

    def summary(self, dense: 'Replay') -> dict[str, Any]:
        """Figures against the dense replay of the same frames, JSON-ready."""
        difference = self.actions - dense.actions
        return {
            'steps': len(self.layers), 'mean_share': self.share,
            'median_layers': float(np.median(self.layers)), 'n_layers': self.n_layers,
            'pose_mae': float(np.abs(self.actions - self.labels)[:, :6].mean()),
            'pose_mae_dense': float(np.abs(dense.actions - dense.labels)[:, :6].mean()),
            'pose_mae_to_dense': float(np.abs(difference)[:, :6].mean()),
            'gripper_disagreement': float((difference[:, 6] != 0).mean()),
            'verified_share': self.verified_share,
            'decoder_ms_median': float(np.median(self.decoder_ms)),
            'decoder_ms_median_dense': float(np.median(dense.decoder_ms)),
            'jumps_per_layer': {str(k): v for k, v in sorted(self.jump_counts.items())}}


def replay(policy: DySLPolicy, cache: MediaCache) -> Replay:
    """Run the policy over the held-out episodes, each from a reset, on recorded observations.

    Raises:
        DatasetError: If there is no held-out episode.
    """
    if not cache.held_out:
        raise DatasetError('no episodes to calibrate on')
    actions, layers, changes, times = [], [], [], []
    jumps: dict[int, int] = {}
    verified: list[float] = []
    uses_state = policy.model.config.head.use_state
    for episode in cache.held_out:
        policy.reset(episode.instructions[0])
        for frame in range(episode.start, episode.end):
            robot_obs = cache.robot_obs[frame:frame + 1] if uses_state else None
            step = policy.act_on_media(cache.media[frame:frame + 1].float(), robot_obs)
            actions.append(step.action)
            layers.append(step.trace.n_executed_total)
            times.append(step.timing.decoder_ms)
            if step.trace.is_verified:
                verified.append(step.trace.verified_change)
            if np.isfinite(step.trace.continuity_change):
                changes.append(step.trace.continuity_change)
            for group in step.trace.groups:
                if group.jump_from >= 0:
                    jumps[group.jump_from] = jumps.get(group.jump_from, 0) + 1
    labels = np.concatenate([cache.actions[e.start:e.end].numpy() for e in cache.held_out])
    return Replay(np.stack(actions), labels, np.array(layers), np.array(changes),
                  len(verified) / len(layers), np.array(verified), np.array(times), jumps,
                  policy.model.n_layers)


def continuity_thresholds(skipping: SkippingConfig, changes: np.ndarray,
                         config: DistillConfig) -> SkippingConfig:
    """Set eta1, eta2 and eta from the distribution of the continuity change.

    Raises:
        DatasetError: If the episodes are too short to define a change.
    """
    if not len(changes):
        raise DatasetError('episodes too short: the continuity change is undefined everywhere')
    low, high = np.percentile(changes, [config.drop_percentile, config.recovery_percentile])
    return dataclasses.replace(
        skipping, drop_threshold=min(float(low), -_SMALLEST_THRESHOLD),
        recovery_threshold=max(float(high), _SMALLEST_THRESHOLD),
        stride=max(config.stride_deviations * float(changes.std()), _SMALLEST_THRESHOLD))


def calibrate(model: DySLVLA, tokenizer: InstructionTokenizer, modules: SkipModules,
              skipping: SkippingConfig, cache: MediaCache, config: DistillConfig,
              report: Callable[[str], None] = lambda text: None,
              ) -> tuple[SkippingConfig, dict[str, Any]]:
    """Choose tau as high as the budget allows and the continuity thresholds.

    A higher tau runs more layers. If even tau = 0 exceeds the budget, forced layers and
    verifications alone cost more: the drop percentile, which sets how often they happen, is
    halved up to three times. The report states what was used and whether the budget was met.

    Returns:
        The calibrated configuration and a report.
    """

    def run(candidate: SkippingConfig) -> Replay:
        return replay(DySLPolicy(model, tokenizer, candidate, modules), cache)

    dense = replay(DySLPolicy(model, tokenizer, strategy='dense'), cache)
    # A threshold above 1 closes the controllers: the dense policy, but with its continuity.
    skipping = dataclasses.replace(skipping, skip_threshold=2.0)
    percentile = config.drop_percentile
    for number in range(config.calibration_rounds):
        # Changes of the proposals themselves: without guidance and before any verification.
        free = run(dataclasses.replace(skipping, use_prior=False, use_post=False))
        for halvings in range(_HALVINGS + 1):
            percentile = config.drop_percentile / 2 ** halvings
            skipping = continuity_thresholds(
                skipping, free.changes, dataclasses.replace(config, drop_percentile=percentile))
            skipping, result = _search(skipping, run, config.budget)
            if result.share <= config.budget:
                break
        report(f'calibration {number + 1}/{config.calibration_rounds}: share {result.share:.3f} '
               f'tau {skipping.skip_threshold:.4f} eta1 {skipping.drop_threshold:.4f} '
               f'(percentile {percentile:g}) verified {result.verified_share:.3f}')
    summary = {'budget': config.budget, 'budget_met': result.share <= config.budget,
               'drop_percentile': percentile, **result.summary(dense)}
    return skipping, summary


def _search(skipping: SkippingConfig, run: Callable[[SkippingConfig], Replay],
            budget: float) -> tuple[SkippingConfig, Replay]:
    """Bisection on the logit of tau; the mean share grows with tau."""
    best = dataclasses.replace(skipping, skip_threshold=0.0)
    result = run(best)
    if result.share > budget:
        return best, result
    low, high = _LOGIT_RANGE
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        candidate = dataclasses.replace(skipping,
                                        skip_threshold=float(1 / (1 + np.exp(-middle))))
        outcome = run(candidate)
        if outcome.share <= budget:
            low, best, result = middle, candidate, outcome
        else:
            high = middle
    return best, result
