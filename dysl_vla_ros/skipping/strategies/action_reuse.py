# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Extrapolates smooth motion instead of running the model, vision included (SP-VLA style).

While the arm moves fast and enough actions of the model are known, the next one is read off a
ridge regression over time. Such a step leaves the head's state alone (design/method.md 16.8).
"""

from dataclasses import replace
import math

import numpy as np
import torch

from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model.action_head import HeadOutput
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.step import SkipTrace
from dysl_vla_ros.skipping.strategy import Dense, Frame, PolicyState, Proposal


class ActionReuse:
    """Dense, or no model at all.

    ``PolicyState.actions`` holds the last actions of the model as (8,): step index, pose (6,),
    gripper logit.
    """

    name, modules = 'action_reuse', None

    def __init__(self, model: DySLVLA, speed_threshold: float, buffer: int = 4,
                 max_consecutive: int = 2, ridge: float = 1.0) -> None:
        """Set when to extrapolate.

        Args:
            model: The frozen network.
            speed_threshold: Mean length of the translation part, in action units, above which
                the motion counts as smooth.
            buffer: Actions of the model that the regression needs.
            max_consecutive: Reused steps in a row at most.
            ridge: Weight of the penalty on the slope.

        Raises:
            ConfigError: For counts below 1 or a negative weight.
        """
        if buffer < 2 or max_consecutive < 1 or ridge < 0:
            raise ConfigError(f'action_reuse: expected buffer >= 2, max_consecutive >= 1 and '
                              f'ridge >= 0, got {buffer}, {max_consecutive}, {ridge}')
        self.model, self.dense = model, Dense(model, 'dense')
        self.speed_threshold, self.buffer = speed_threshold, buffer
        self.max_consecutive, self.ridge = max_consecutive, ridge

    def initial_state(self) -> PolicyState:
        """No action known."""
        return self.dense.initial_state()

    def describe(self) -> dict[str, float]:
        """Options in force."""
        return {'speed_threshold': self.speed_threshold, 'buffer': self.buffer,
                'max_consecutive': self.max_consecutive, 'ridge': self.ridge}

    def propose(self, frame: Frame, state: PolicyState) -> Proposal:
        """Extrapolate if allowed, else run the model."""
        if self._is_smooth(state):
            values = self._extrapolate(state)
            # Actions are float32 whatever the precision of the network.
            action = torch.from_numpy(values.astype(np.float32)).to(frame.prompt.device)
            pose, logit = action[None, :6], action[6:]
            trace = SkipTrace(np.zeros(self.model.n_layers, dtype=bool), 0, (), math.nan,
                              math.nan, False)
            return Proposal(HeadOutput(pose, logit, state.head),
                            replace(state, reused=state.reused + 1), trace, 0.0, 0.0)
        proposal = self.dense.propose(frame, state)
        values = np.concatenate(([state.index], proposal.output.pose[0].cpu().numpy(),
                                 proposal.output.gripper_logit.cpu().numpy()))
        actions = (*state.actions, values)[-self.buffer:]
        return replace(proposal, state=replace(proposal.state, actions=actions, reused=0))

    def _is_smooth(self, state: PolicyState) -> bool:
        if len(state.actions) < self.buffer or state.reused >= self.max_consecutive:
            return False
        known = np.stack(state.actions)
        if len(set(known[:, 7] > 0)) > 1:
            return False  # the gripper just moved
        return float(np.linalg.norm(known[:, 1:4], axis=1).mean()) > self.speed_threshold

    def _extrapolate(self, state: PolicyState) -> np.ndarray:
        """Pose (6,) and gripper logit at the next step: mean plus a damped slope."""
        known = np.stack(state.actions)
        time = known[:, 0] - known[:, 0].mean()
        mean = known[:, 1:7].mean(axis=0)
        slope = time @ (known[:, 1:7] - mean) / (time @ time + self.ridge)
        pose = mean + slope * (state.index - known[:, 0].mean())
        return np.append(pose.clip(-1.0, 1.0), known[-1, 7])
