# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A gate per layer, whole-sequence mode of FlexiDepth (arXiv 2503.23798).

An open gate scales the layer's update, a closed one replaces it by a small feed-forward adapter.
Per-token gates of the original save nothing here: all tokens pass together (method.md 16.6).
"""

import math
from typing import Any

import torch
from torch import nn

from dysl_vla_ros.model.fast_linear import FastLinear
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.executor import Pass
from dysl_vla_ros.skipping.strategy import Frame, PassStrategy, PolicyState

_SHARE = 16  # router and adapter are 1/16 as wide as the layer's parts
_INITIAL_LOGIT = 2.0  # start open: the frozen network works


class LayerGate(nn.Module):
    """Router and adapter of one layer."""

    def __init__(self, d_model: int, mlp_ratio: int) -> None:
        """Build both; the adapter starts as zero."""
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.down = FastLinear(d_model, max(4, d_model // _SHARE))
        self.out = FastLinear(max(4, d_model // _SHARE), 1)
        nn.init.constant_(self.out.bias, _INITIAL_LOGIT)
        width = max(4, mlp_ratio * d_model // _SHARE)
        self.adapter = nn.Sequential(nn.LayerNorm(d_model), FastLinear(d_model, width, bias=False),
                                     nn.GELU(), FastLinear(width, d_model, bias=False))
        nn.init.zeros_(self.adapter[-1].weight)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Logit of the gate, (B, S, d), mask (B, S) -> (B,)."""
        x = self.norm(x)
        if mask is None:
            pooled = x.mean(dim=1)
        else:
            pooled = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return self.out(torch.tanh(self.down(pooled))).squeeze(-1)


class LayerGates(nn.Module):
    """Gates of every layer but the first and the read-out."""

    def __init__(self, model: DySLVLA) -> None:
        """Build one gate per inner layer."""
        super().__init__()
        decoder = model.config.decoder
        self.gates = nn.ModuleDict({str(j): LayerGate(decoder.d_model, decoder.mlp_ratio)
                                    for j in range(1, model.n_layers - 1)})


class FlexiDepth(PassStrategy):
    """x + g (L(x) - x) if g > tau, else x + (1 - g) A(x)."""

    def __init__(self, model: DySLVLA, modules: LayerGates, threshold: float = 0.5) -> None:
        """Set tau, the gate value above which a layer runs."""
        super().__init__(model, 'flexidepth', modules, {'threshold': threshold})
        gates: dict[str, Any] = dict(modules.gates.items())
        self.gates = [gates.get(str(j)) for j in range(model.n_layers)]
        self.logit_threshold = math.log(threshold / (1 - threshold)) if 0 < threshold < 1 \
            else math.copysign(math.inf, threshold - 0.5)

    def run(self, frame: Frame, state: PolicyState) -> Pass:
        """Ask every gate in turn."""
        x, executed = frame.prompt, []
        for j, (layer, gate) in enumerate(zip(self.model.layers, self.gates, strict=True)):
            if gate is None:
                x = layer(x, frame.media)
                executed.append(j)
                continue
            logit = gate(x)
            value = logit.sigmoid()[:, None, None]
            if logit.item() > self.logit_threshold:
                x = torch.lerp(x, layer(x, frame.media), value)
                executed.append(j)
            else:
                x = x + (1 - value) * gate.adapter(x)
        return Pass(x, executed)
