# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""DeeR's early exit: stop when two exits agree on the action (arXiv 2411.02359).

After every exit layer one shared head predicts an action without touching its state; the pass
ends when it differs little from the previous exit's (design/method.md 16.5). Criterion and
threshold solver are those of ``model/early_exit.py``; here they meet a head that was trained on
a frozen network which knew nothing of exits.
"""

from collections.abc import Sequence
import copy

import torch
from torch import nn

from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model.action_head import DeterministicDecoder
from dysl_vla_ros.model.early_exit import action_change
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.executor import Pass
from dysl_vla_ros.skipping.strategy import Frame, PassStrategy, PolicyState


class ExitHead(nn.Module):
    """One head for every exit, trained on the features of all of them."""

    lm_head: DeterministicDecoder

    def __init__(self, model: DySLVLA) -> None:
        """Start as the network's head."""
        super().__init__()
        self.lm_head = copy.deepcopy(model.lm_head).requires_grad_(True)


def default_exits(n_layers: int) -> tuple[int, ...]:
    """After every second block, as in the paper: 1, 3, 5, ...; the read-out is the last."""
    exits = list(range(1, n_layers, 2))
    if exits[-1] != n_layers - 1:
        exits.append(n_layers - 1)
    return tuple(exits)


class EarlyExit(PassStrategy):
    """Exit i if sqrt(mean_6 (a_i - a_{i-1})^2) <= T_i; the gripper is ignored.

    The reference of the first exit is the head on the output of layer 0.
    """

    def __init__(self, model: DySLVLA, head: ExitHead | None, exits: Sequence[int],
                 thresholds: Sequence[float]) -> None:
        """Set exits and thresholds; the last exit is always taken.

        Args:
            model: The frozen network.
            head: Trained exit head; None if the network's own was trained on exits (DeeR).
            exits: Ascending layer indexes.
            thresholds: One per exit.

        Raises:
            ConfigError: If the numbers do not fit.
        """
        if len(exits) != len(thresholds) or list(exits) != sorted(set(exits)) \
                or not 0 < exits[0] <= exits[-1] < model.n_layers:
            raise ConfigError(f'deer: exits {list(exits)} must increase within '
                              f'1..{model.n_layers - 1}, with one threshold each; got '
                              f'{list(thresholds)}')
        super().__init__(model, 'deer', head, {'exits': list(exits),
                                               'thresholds': list(thresholds)})
        self.thresholds = dict(zip(exits, thresholds, strict=True))
        self.last = exits[-1]

    def run(self, frame: Frame, state: PolicyState) -> Pass:
        """Run until two exits agree; the last exit needs no look at its action."""
        head = getattr(self.modules, 'lm_head', None) or self.model.lm_head
        # What the exits' heads have in common is computed once.
        shared = head.shared(state.head)
        x, first = frame.prompt, 0
        previous: torch.Tensor | None = None
        for j in (0, *self.thresholds):
            x, first = self.model.decode(x, frame.media, first, j + 1), j + 1
            if j == self.last:
                break
            pose = head.peek(self.model.pool(x, None, frame.robot_obs), state.head, shared).pose
            if previous is not None \
                    and action_change(pose, previous).item() <= self.thresholds[j]:
                break
            previous = pose
        return Pass(x, list(range(first)))
