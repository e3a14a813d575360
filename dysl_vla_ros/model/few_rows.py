# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Matrix products of large weights with few rows, as one prompt or one control step has.

On a CPU the usual call orders such a product badly: (W x^T)^T takes about half the time of
x W^T for 8 to 48 rows, and an LSTM step as matrix times vector a small part of ``nn.LSTM``'s.
Results agree to rounding. Small networks and other devices keep the usual path, bit for bit.
"""

import torch
from torch import nn
from torch.nn import functional

MIN_WEIGHTS = 1 << 19  # below, the call itself costs more than the product
_ROWS = range(5, 49)


def _is_large(weight: torch.Tensor) -> bool:
    return weight.numel() >= MIN_WEIGHTS and weight.device.type == 'cpu' \
        and weight.dtype == torch.float32


def few_rows_linear(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """``functional.linear`` without bias: (..., in), (out, in) -> (..., out)."""
    if not _is_large(weight) or x.numel() // x.shape[-1] not in _ROWS:
        return functional.linear(x, weight)
    rows = x.reshape(-1, x.shape[-1])
    return torch.mm(weight, rows.t()).t().contiguous().view(*x.shape[:-1], -1)


class TokenLinear(nn.Linear):
    """A linear layer without bias that usually sees one prompt's tokens."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Build it like ``nn.Linear(inputs, outputs, bias=False)``."""
        super().__init__(inputs, outputs, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) -> (..., out)."""
        if type(self.weight) is not nn.Parameter:  # quantised
            return super().forward(x)
        return few_rows_linear(x, self.weight)


class StepLSTM(nn.LSTM):
    """``nn.LSTM`` (batch first), faster for one sequence of a few steps without gradient."""

    def forward(self, x: torch.Tensor,  # type: ignore[override]
                state: tuple[torch.Tensor, torch.Tensor] | None = None,
                ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """(B, T, in), (h, c) each (layers, B, hidden) -> (B, T, hidden), (h, c)."""
        if x.dim() != 3 or x.shape[0] != 1 or torch.is_grad_enabled() or self.training \
                or not _is_large(self.weight_hh_l0):  # type: ignore[arg-type]
            return super().forward(x, state)
        rows, last_h, last_c = x[0], [], []  # (T, in)
        for i in range(self.num_layers):
            weights = [getattr(self, f'{name}_l{i}')
                       for name in ('weight_ih', 'weight_hh', 'bias_ih', 'bias_hh')]
            h = state[0][i, 0] if state is not None else None
            c = state[1][i, 0] if state is not None else None
            rows, h, c = _lstm_layer(rows, weights, h, c)
            last_h.append(h)
            last_c.append(c)
        return rows[None], (torch.stack(last_h)[:, None], torch.stack(last_c)[:, None])


def _lstm_layer(rows: torch.Tensor, weights: list[torch.Tensor], h: torch.Tensor | None,
                c: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One layer: (T, in) -> (T, hidden) and the last h, c; gate order i, f, g, o."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    # (4 * hidden, T): the inputs' part of every step at once.
    inputs = torch.addmm((bias_ih + bias_hh)[:, None], weight_ih, rows.t()).t()
    outputs = []
    for gates in inputs.unbind():
        if h is not None:
            gates = torch.addmv(gates, weight_hh, h)
        i, f, g, o = gates.chunk(4)
        new = i.sigmoid() * g.tanh()
        c = new if c is None else f.sigmoid() * c + new
        h = o.sigmoid() * c.tanh()
        outputs.append(h)
    assert h is not None
    assert c is not None
    return torch.stack(outputs), h, c
