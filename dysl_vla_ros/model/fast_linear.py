# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Matrix products of large float32 weights on a CPU: the networks of real size.

A control step has few rows (one prompt's tokens, two images' patches), and the usual call, MKL's,
reads such weights at a fraction of what the memory could give. oneDNN's product, the one that
torch.compile's CPU backend calls, takes less than half the time for 5 to 16 rows and somewhat less
for two images. Where it is missing, and with gradients, (W x^T)^T stands in for few rows, and an
LSTM step is matrix times vector. Results agree to rounding. Small networks and other devices keep
the usual path, bit for bit.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

MIN_WEIGHTS = 1 << 19  # below, the call itself costs more than the product
_ROWS = range(5, 49)


def _find_onednn() -> Any:
    """OneDNN's product of plain tensors, or None; not a public interface, so it is tried."""
    if not torch.backends.mkldnn.is_available():
        return None
    try:
        product = torch.ops.mkldnn._linear_pointwise
        product(torch.zeros(1, 8), torch.zeros(8, 8), torch.zeros(8), 'none', [], '')
    except (AttributeError, RuntimeError, TypeError):
        return None
    return product


_ONEDNN = _find_onednn()


def _is_large(weight: torch.Tensor) -> bool:
    return weight.numel() >= MIN_WEIGHTS and weight.device.type == 'cpu' \
        and weight.dtype == torch.float32


def fast_linear(x: torch.Tensor, weight: torch.Tensor,
                bias: torch.Tensor | None = None) -> torch.Tensor:
    """``functional.linear``: (..., in), (out, in), (out) -> (..., out)."""
    if not _is_large(weight) or torch.compiler.is_compiling():
        return functional.linear(x, weight, bias)
    if _ONEDNN is not None and not torch.is_grad_enabled():
        return _ONEDNN(x.contiguous(), weight, bias, 'none', [], '')
    rows = x.reshape(-1, x.shape[-1])
    if len(rows) not in _ROWS:
        return functional.linear(x, weight, bias)
    result = torch.mm(weight, rows.t()).t().contiguous().view(*x.shape[:-1], -1)
    return result if bias is None else result + bias


class FastLinear(nn.Linear):
    """``nn.Linear`` by ``fast_linear``; a weight that torchao quantised keeps its own product."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) -> (..., out)."""
        if type(self.weight) is not nn.Parameter:  # quantised
            return super().forward(x)
        return fast_linear(x, self.weight, self.bias)


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
    # (T, 4 * hidden): the inputs' part of every step at once.
    inputs = fast_linear(rows, weight_ih, bias_ih + bias_hh)
    outputs = []
    for gates in inputs.unbind():
        if h is not None:
            gates = gates + fast_linear(h[None], weight_hh)[0]
        i, f, g, o = gates.chunk(4)
        new = i.sigmoid() * g.tanh()
        c = new if c is None else f.sigmoid() * c + new
        h = o.sigmoid() * c.tanh()
        outputs.append(h)
    assert h is not None
    assert c is not None
    return torch.stack(outputs), h, c
