# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Options of skip-aware distillation (design/method.md sections 3, 10 and 15.3)."""

from dataclasses import dataclass
from typing import Literal

StageName = Literal['adapters', 'jumps', 'controllers', 'plans']


@dataclass(frozen=True)
class Stage:
    """One stage of distillation.

    Attributes:
        name: 'adapters' regresses hidden states; 'jumps' (our addition) trains the adapters on
            actions with one certain jump per group; 'controllers' trains with one jump per step;
            'plans' (our addition) with one jump per group, as at run time.
        steps: Optimiser steps.
        batch: Frames per batch for 'adapters', windows for the others.
        learning_rate: Peak; linear warm-up, then cosine to 5 %.
    """

    name: StageName
    steps: int
    batch: int
    learning_rate: float

    def __post_init__(self) -> None:
        """Raise ValueError for sizes that cannot run."""
        if self.steps < 0 or self.batch < 1 or self.learning_rate <= 0:
            raise ValueError(f'stage {self.name}: expected steps >= 0, batch >= 1 and '
                             'learning_rate > 0')


@dataclass(frozen=True)
class DistillConfig:
    """Distillation of a frozen network.

    Attributes:
        data: Packed folders.
        start_from: Folder whose adapters and controllers to go on training, with its static
            layers; its sizes must be those of this configuration. None starts anew.
        static_share: Share of static layers; the paper finds 20 % best.
        scoring_frames: Frames the layers are scored on.
        max_frames: Frames of whole training episodes whose media latents are kept in memory.
        adapter_rank, controller_hidden: Sizes of the added modules.
        stages: In order; the paper has adapters, then controllers.
        skip_reward: lambda, weight of (1 - c)(nxt - i) per frame.
        huber_delta, gripper_weight: Task loss, as in behaviour cloning of the base.
        teacher_weight: Weight of the same loss against the frozen network's own action (ours):
            the aim is to act like the dense network; 0 gives the paper's loss.
        feature_weight: Weight of the relative error of the pooled feature against the dense one
            (ours; 0 gives the paper's loss).
        warmup_steps: Learning-rate warm-up at the start of every stage.
        budget: Wanted mean share of decoder layers per step, verification and warm-up included.
        drop_percentile, recovery_percentile: Of the continuity change; give eta1 and eta2. The
            first is roughly the rate of verifications, each of which costs a whole pass.
        stride_deviations: eta in standard deviations of the continuity change.
        calibration_episodes: Held-out episodes the thresholds are calibrated on.
        calibration_rounds: Alternations of continuity percentiles and threshold search.
        checkpoint_minutes: Minutes between checkpoints.
        log_every: Steps between points of the curves.
        threads: CPU threads.
        seed: Seed of everything.
    """

    data: tuple[str, ...] = ('data/demos',)
    start_from: str | None = None
    static_share: float = 0.25
    scoring_frames: int = 512
    max_frames: int = 40000
    adapter_rank: int = 48
    controller_hidden: int = 32
    stages: tuple[Stage, ...] = (Stage('adapters', 1500, 128, 2e-3),
                                 Stage('controllers', 1500, 12, 1e-3),
                                 Stage('plans', 1000, 12, 1e-3))
    skip_reward: float = 0.003
    huber_delta: float = 0.1
    gripper_weight: float = 0.05
    teacher_weight: float = 1.0
    feature_weight: float = 0.0
    warmup_steps: int = 50
    budget: float = 0.4
    drop_percentile: float = 5.0
    recovery_percentile: float = 75.0
    stride_deviations: float = 1.0
    calibration_episodes: int = 24
    calibration_rounds: int = 2
    checkpoint_minutes: float = 1.0
    log_every: int = 25
    threads: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for values that cannot work."""
        if not 0 < self.budget <= 1:
            raise ValueError(f'budget {self.budget} must lie in (0, 1]')
        if not 0 < self.drop_percentile < self.recovery_percentile < 100:
            raise ValueError('expected 0 < drop_percentile < recovery_percentile < 100')
        if min(self.skip_reward, self.teacher_weight, self.feature_weight) < 0:
            raise ValueError('skip_reward, teacher_weight and feature_weight must be >= 0')
        if min(self.scoring_frames, self.max_frames, self.calibration_episodes,
               self.calibration_rounds, self.log_every) < 1:
            raise ValueError('scoring_frames, max_frames, calibration_episodes, '
                             'calibration_rounds and log_every must be >= 1')

    @property
    def total_steps(self) -> int:
        """Optimiser steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> tuple[int, int]:
        """(stage index, step inside it); (len(stages), 0) after the last."""
        for index, stage in enumerate(self.stages):
            if step < stage.steps:
                return index, step
            step -= stage.steps
        return len(self.stages), 0
