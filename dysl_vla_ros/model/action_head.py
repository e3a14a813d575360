# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""LSTM action heads of RoboFlamingo and DeeR, with an explicit, immutable state.

``peek`` is a pure function: the caller commits the returned state or drops it. Window
semantics, layouts and parameter names are described in design/architecture.md section 7.
"""

from dataclasses import dataclass, field

import torch
from torch import nn

from dysl_vla_ros.model.config import HeadConfig
from dysl_vla_ros.model.fast_linear import StepLSTM

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


class LayerNormLSTM(nn.Module):
    """DeeR's recurrent part: LSTM layers with a layer norm between; called like ``nn.LSTM``.

    The next layer reads the normalised output, the carried (h, c) is not normalised.
    """

    def __init__(self, width: int, hidden: int, layers: int, dropout: float) -> None:
        """Build ``layers`` of LSTM, norm and (but for the last) dropout."""
        super().__init__()
        modules: list[nn.Module] = []
        for i in range(layers):
            modules += [StepLSTM(hidden if i else width, hidden, batch_first=True),
                        nn.LayerNorm(hidden)]
            if i < layers - 1:
                modules.append(nn.Dropout(dropout))
        self.layers = nn.ModuleList(modules)

    def forward(self, x: torch.Tensor, state: LSTMState | None = None,
                ) -> tuple[torch.Tensor, LSTMState]:
        """(B, T, width), (h, c) of (layers, B, hidden) -> (B, T, hidden) and the new (h, c)."""
        hidden: list[torch.Tensor] = []
        cell: list[torch.Tensor] = []
        for module in self.layers:
            if isinstance(module, nn.LSTM):
                i = len(hidden)
                x, (h, c) = module(
                    x, None if state is None else (state[0][i:i + 1], state[1][i:i + 1]))
                hidden.append(h)
                cell.append(c)
            else:
                x = module(x)
        return x, (torch.cat(hidden), torch.cat(cell))


class _MLPHead(nn.Module):
    """Hidden layers of linear, norm, ReLU; dropout modules count in the published names."""

    def __init__(self, config: HeadConfig, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = config.lstm_hidden
        for size in config.mlp_hidden:
            if config.dropout_mode in ('wo_last', 'layerwise'):
                layers.append(nn.Dropout(config.mlp_dropout))
            layers.append(nn.Linear(width, size))
            if config.mlp_layernorm:
                layers.append(nn.LayerNorm(size))
            layers.append(nn.ReLU())
            width = size
        if config.dropout_mode in ('layerwise', 'last'):
            layers.append(nn.Dropout(config.mlp_dropout))
        self.mlp = nn.Sequential(*layers, nn.Linear(width, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mlp(x)


class DeterministicDecoder(nn.Module):
    """The policy head; RoboFlamingo's or DeeR's by configuration."""

    def __init__(self, d_model: int, config: HeadConfig) -> None:
        """Build the LSTM and the two MLPs."""
        super().__init__()
        self.config = config
        self.rnn: nn.Module
        if config.lstm_layernorm:
            self.rnn = LayerNormLSTM(d_model, config.lstm_hidden, config.lstm_layers,
                                     config.dropout)
        else:
            self.rnn = StepLSTM(d_model, config.lstm_hidden, config.lstm_layers, batch_first=True,
                                dropout=config.dropout if config.lstm_layers > 1 else 0.0)
        self.actions = _MLPHead(config, 6)
        self.gripper = _MLPHead(config, 1)

    def initial_state(self) -> HeadState:
        """State at the start of an instruction."""
        return HeadState()

    def _decode(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # Actions are float32 whatever the precision of the network.
        return self.actions(hidden).tanh().float(), self.gripper(hidden).squeeze(-1).float()

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Training layout from zero state: (B, T, d) -> pose (B, T, 6), gripper logit (B, T)."""
        hidden, _ = self.rnn(features)
        return self._decode(hidden)

    def shared(self, state: HeadState) -> LSTMState | None:
        """What every candidate feature of the next step starts from: pass it to ``peek``.

        Past the window the LSTM re-reads its features; all but the newest are the same for every
        candidate, so they are run once here. Before, and with window mode 'carry', there is
        nothing to run. Results agree with a plain ``peek`` to rounding.
        """
        if not self._reruns(state):
            return state.lstm
        earlier = state.features[-(self.config.window - 1):] if self.config.window > 1 else ()
        if not earlier:
            return None
        return self.rnn(torch.stack(earlier, dim=1))[1]  # (B, window - 1, d)

    def _reruns(self, state: HeadState) -> bool:
        return self.config.window_mode == 'refresh' and state.steps >= self.config.window

    def peek(self, feature: torch.Tensor, state: HeadState,
             shared: LSTMState | None = None) -> HeadOutput:
        """Predict from one pooled feature (B, d) without changing any state.

        Args:
            feature: Read-out of this step.
            state: Committed state.
            shared: ``self.shared(state)``, where several features are tried in one step.
        """
        window = self.config.window
        if self.config.window_mode == 'carry':
            features: tuple[torch.Tensor, ...] = ()
        else:
            features = (*state.features, feature)[-window:]
        if self._reruns(state) and shared is None:
            # RoboFlamingo: past the window, re-run it from zero state; the carried state is gone.
            hidden, lstm = self.rnn(torch.stack(features, dim=1))  # (B, window, d)
        else:
            hidden, lstm = self.rnn(feature[:, None], state.lstm if shared is None else shared)
        pose, gripper = self._decode(hidden[:, -1])
        return HeadOutput(pose, gripper, HeadState(lstm, features, state.steps + 1))
