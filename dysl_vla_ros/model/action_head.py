# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""LSTM action head with an explicit, immutable state.

``peek`` is a pure function: the caller commits the returned state or drops it. Window
semantics are described in design/architecture.md section 7.
"""

from dataclasses import dataclass, field

import torch
from torch import nn

from dysl_vla_ros.model.config import HeadConfig

LSTMState = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class HeadState:
    """Recurrent state between control steps.

    Attributes:
        lstm: (h, c) of all layers, or None for zeros.
        features: The last pooled features, each (B, d), oldest first; at most ``window``.
        steps: Control steps committed since the reset.
    """

    lstm: LSTMState | None = None
    features: tuple[torch.Tensor, ...] = field(default_factory=tuple)
    steps: int = 0


@dataclass(frozen=True)
class HeadOutput:
    """One step's prediction: pose (B, 6) in [-1, 1], gripper logit (B,), state if committed."""

    pose: torch.Tensor
    gripper_logit: torch.Tensor
    state: HeadState


def _mlp(width: int, hidden: tuple[int, ...], outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(width, size), nn.ReLU()]
        width = size
    return nn.Sequential(*layers, nn.Linear(width, outputs))


class _MLPHead(nn.Module):
    def __init__(self, width: int, hidden: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.mlp = _mlp(width, hidden, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mlp(x)


class DeterministicDecoder(nn.Module):
    """RoboFlamingo's policy head."""

    def __init__(self, d_model: int, config: HeadConfig) -> None:
        """Build the LSTM and the two MLPs."""
        super().__init__()
        self.config = config
        self.rnn = nn.LSTM(d_model, config.lstm_hidden, config.lstm_layers, batch_first=True,
                           dropout=config.dropout if config.lstm_layers > 1 else 0.0)
        self.actions = _MLPHead(config.lstm_hidden, config.mlp_hidden, 6)
        self.gripper = _MLPHead(config.lstm_hidden, config.mlp_hidden, 1)

    def initial_state(self) -> HeadState:
        """State at the start of an instruction."""
        return HeadState()

    def _decode(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.actions(hidden).tanh(), self.gripper(hidden).squeeze(-1)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Training layout from zero state: (B, T, d) -> pose (B, T, 6), gripper logit (B, T)."""
        hidden, _ = self.rnn(features)
        return self._decode(hidden)

    def peek(self, feature: torch.Tensor, state: HeadState) -> HeadOutput:
        """Predict from one pooled feature (B, d) without changing any state."""
        window = self.config.window
        if self.config.window_mode == 'carry':
            features: tuple[torch.Tensor, ...] = ()
        else:
            features = (*state.features, feature)[-window:]
        if self.config.window_mode == 'refresh' and state.steps >= window:
            # RoboFlamingo: past the window, re-run it from zero state; the carried state is gone.
            hidden, lstm = self.rnn(torch.stack(features, dim=1))  # (B, window, d)
        else:
            hidden, lstm = self.rnn(feature[:, None], state.lstm)
        pose, gripper = self._decode(hidden[:, -1])
        return HeadOutput(pose, gripper, HeadState(lstm, features, state.steps + 1))
