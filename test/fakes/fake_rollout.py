# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A world, an oracle and a policy for the evaluator: no physics, no torch, but real shapes."""

from dataclasses import dataclass

import numpy as np

from dysl_vla_ros.skipping.step import GroupReason, GroupTrace, SkipTrace, Step, StepTiming

STATIC, N_LAYERS = (0, 5, 9), 10
GROUPS = ((1, 4), (6, 8))


class NumberedWorld:
    """Counts its steps; images are gradients that move with the count."""

    def __init__(self):
        self.count = self.resets = 0
        self.actions = []
        self.is_closed = False

    def reset(self, robot_obs=None, scene_obs=None):
        self.resets += 1
        self.count = 0
        return self.get_obs()

    def step(self, action):
        self.actions.append(np.array(action))
        self.count += 1
        return self.get_obs(), 0.0, False, self.get_info()

    def get_obs(self):
        row = (np.arange(200)[None, :, None] + 3 * self.count) % 256
        image = np.broadcast_to(row, (200, 200, 3)).astype(np.uint8).copy()
        image[80:120, 80:120] = (200, 60, 60)
        return {'rgb_obs': {'rgb_static': image, 'rgb_gripper': image[:84, :84].copy()},
                'depth_obs': {}, 'robot_obs': np.full(15, float(self.count)),
                'scene_obs': np.zeros(24)}

    def get_info(self):
        return {'count': self.count}

    def close(self):
        self.is_closed = True


class CountingOracle:
    """Every task is done ``steps`` control steps after its start, except ``never_*``."""

    def __init__(self, steps=30):
        self.steps = steps
        self.asked = []

    def get_task_info_for_set(self, start_info, end_info, tasks):
        self.asked.append((frozenset(tasks), start_info['count'], end_info['count']))
        is_done = end_info['count'] - start_info['count'] >= self.steps
        return {t for t in tasks if is_done and not t.startswith('never')}


class SkippingPolicy:
    """Plausible traces by a fixed rule; ``strategy`` dense runs everything."""

    def __init__(self, strategy='dysl'):
        self.strategy = strategy
        self.instructions = []
        self.index = 0

    def reset(self, instruction):
        self.instructions.append(instruction)
        self.index = 0

    def act(self, observation):
        i, self.index = self.index, self.index + 1
        rng = np.random.default_rng((i, len(self.instructions)))
        executed = np.ones(N_LAYERS, bool)
        verified = self.strategy == 'dysl' and i % 23 == 22
        groups = []
        for first, last in GROUPS:
            jump = -1
            if self.strategy == 'dense':
                reason = GroupReason.DENSE
            elif i < 6:
                reason = GroupReason.WARMUP
            elif verified:
                reason = GroupReason.VERIFIED
            elif rng.random() < 0.8:
                reason, jump = GroupReason.SKIPPED, int(rng.integers(first, last + 1))
                executed[jump:last + 1] = False
            else:
                reason = GroupReason.KEPT
            groups.append(GroupTrace(first, last, reason, jump, first))
        action = np.append(rng.uniform(-1, 1, 6), 1.0 if (i // 12) % 2 == 0 else -1.0)
        ran = int(executed.sum())
        continuity = 0.6 + 0.3 * np.sin(i / 9) if i >= 5 else np.nan
        return Step(action.astype(np.float32), 0.9, i, SkipTrace(
            executed, ran + 4 * verified, tuple(groups), float(continuity), 0.01, verified),
            StepTiming(0.3, 4.0, 0.5 * ran, 0.2, 4.5 + 0.5 * ran + float(rng.random())))


@dataclass(frozen=True)
class FakeFactory:
    """Picklable factory for ``evaluate_parallel``."""

    strategy: str = 'dysl'
    task_steps: int = 30

    def policy(self):
        return SkippingPolicy(self.strategy)

    def world(self):
        return NumberedWorld(), CountingOracle(self.task_steps)
