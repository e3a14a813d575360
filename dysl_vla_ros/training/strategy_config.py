# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Options of training and calibrating skip strategies (design/method.md sections 15 and 16)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StrategyConfig:
    """Training of one strategy's added modules over the frozen network.

    Attributes:
        data: Packed folders.
        max_frames: Training frames whose media latents are kept in memory.
        scoring_frames: Frames the layers are scored on.
        calibration_episodes: Held-out episodes the budgets are calibrated on.
        budgets: Wanted mean shares of decoder layers; one setting is written for each.
        default_budget: The one in force when none is asked for.
        bisections: Replays per budget at most.
        steps: Optimiser steps; strategies without modules take none.
        batch: Windows per step.
        learning_rate: Peak; linear warm-up, then cosine to 5 %.
        warmup_steps: Learning-rate warm-up.
        huber_delta, gripper_weight: Task loss, as in behaviour cloning of the base.
        teacher_weight: Weight of the same loss against the dense network's action.
        skip_reward: DySL's lambda, for its ablations.
        gate_penalty: FlexiDepth's weight of the mean gate.
        balance_weight: The one-shot router's weight of an even use of layers.
        static_share: Share of static layers, where the weights folder has no skipping.json.
        adapter_rank, hidden: Sizes of added modules.
        plans: Plans of DySL-joint, the dense one included.
        gate_steps: Optimiser steps of its gate.
        gate_windows: Windows on which the error gain of every plan is measured.
        quantile: Of the error gain; the gate predicts it.
        gripper_error: Weight of a wrong gripper in the measured error.
        max_skipped, dense_on_events, stale_s: DySL-joint's caps, see ``JointSafety``.
        alarm_rate: Share of its skipped passes that its alarms may verify; a third for each
            signal, whose threshold is that percentile on the calibration episodes; 0: no alarms.
        false_alarm_change: Action change (RMS of the pose) below which a verification was vain.
        checkpoint_minutes: Minutes between checkpoints.
        log_every: Steps between points of the curves.
        threads: CPU threads.
        seed: Seed of everything.
    """

    data: tuple[str, ...] = ('data/demos',)
    max_frames: int = 24000
    scoring_frames: int = 256
    calibration_episodes: int = 12
    budgets: tuple[float, ...] = (0.4, 0.5, 0.65)
    default_budget: float = 0.5
    bisections: int = 6
    steps: int = 500
    batch: int = 12
    learning_rate: float = 1e-3
    warmup_steps: int = 25
    huber_delta: float = 0.1
    gripper_weight: float = 0.05
    teacher_weight: float = 2.0
    skip_reward: float = 0.003
    gate_penalty: float = 0.1
    balance_weight: float = 0.1
    static_share: float = 0.34
    adapter_rank: int = 96
    hidden: int = 64
    plans: int = 7
    gate_steps: int = 400
    gate_windows: int = 400
    quantile: float = 0.9
    gripper_error: float = 0.5
    max_skipped: int = 15
    dense_on_events: bool = True
    stale_s: float = 0.5
    alarm_rate: float = 0.0
    false_alarm_change: float = 0.02
    checkpoint_minutes: float = 1.0
    log_every: int = 25
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for values that cannot work."""
        if not self.budgets or any(not 0 < b <= 1 for b in self.budgets):
            raise ValueError(f'budgets {list(self.budgets)} must lie in (0, 1]')
        if list(self.budgets) != sorted(set(self.budgets)):
            raise ValueError(f'budgets {list(self.budgets)} must increase')
        if self.default_budget not in self.budgets:
            raise ValueError(f'default_budget {self.default_budget} must be one of the budgets '
                             f'{list(self.budgets)}')
        if not 0 < self.quantile < 1:
            raise ValueError(f'quantile {self.quantile} must lie in (0, 1)')
        if not 0 <= self.alarm_rate < 1 or self.false_alarm_change < 0:
            raise ValueError(f'alarm_rate {self.alarm_rate} must lie in [0, 1) and '
                             f'false_alarm_change {self.false_alarm_change} must not be negative')
        if min(self.max_frames, self.scoring_frames, self.calibration_episodes, self.bisections,
               self.batch, self.gate_windows, self.log_every) < 1 or self.plans < 2:
            raise ValueError('max_frames, scoring_frames, calibration_episodes, bisections, '
                             'batch, gate_windows and log_every must be >= 1, plans >= 2')
