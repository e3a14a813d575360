# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A fixed set of layers: static truncation and static drop (design/method.md 16.2 and 16.3).

The layers that stay keep the frozen blocks; cross-attention and head are fine-tuned copies, one
set per size, because what is left of the network must learn to live without the rest.
"""

from collections.abc import Sequence
import copy

import torch
from torch import nn

from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.executor import Pass
from dysl_vla_ros.skipping.strategy import Frame, PassStrategy, PolicyState


class Recovery(nn.Module):
    """Fine-tuned copies of the cross-attention of the kept layers and of the head."""

    def __init__(self, model: DySLVLA, kept: Sequence[int]) -> None:
        """Start as the network is."""
        super().__init__()
        self.kept = tuple(kept)
        # Layers without cross-attention (the 4B and 9B layouts) have nothing to fine-tune.
        found = {str(j): getattr(model.layers[j], 'gated_cross_attn_layer', None) for j in kept}
        self.cross_attention = nn.ModuleDict(
            {j: copy.deepcopy(block) for j, block in found.items() if block is not None})
        self.lm_head = copy.deepcopy(model.lm_head)
        self.requires_grad_(True)

    def decode(self, model: DySLVLA, x: torch.Tensor, media: torch.Tensor) -> torch.Tensor:
        """Kept layers in order: (B, S, d) -> (B, S, d)."""
        for j in self.kept:
            if str(j) in self.cross_attention:
                x = self.cross_attention[str(j)](x, media)
            x = model.layers[j].decoder_layer(x)  # type: ignore[operator,union-attr]
        return x


class FixedLayers(PassStrategy):
    """Runs ``kept`` layers; with a ``Recovery`` as its modules, in fine-tuned form."""

    def __init__(self, model: DySLVLA, name: str, kept: Sequence[int],
                 recovery: Recovery | None = None) -> None:
        """Choose the layers.

        Raises:
            ConfigError: If an index is out of range, repeated or out of order.
        """
        if not kept or list(kept) != sorted(set(kept)) or kept[0] < 0 \
                or kept[-1] >= model.n_layers:
            raise ConfigError(f'{name}: kept layers {list(kept)} must be increasing and lie in '
                              f'0..{model.n_layers - 1}')
        super().__init__(model, name, recovery, {'kept': list(kept),
                                                 'fine_tuned': recovery is not None})
        self.kept = list(kept)

    def run(self, frame: Frame, state: PolicyState) -> Pass:
        """Run the kept layers."""
        return Pass(self.model.run_path(('kept', self.modules, *self.kept), self._decode,
                                        frame.prompt, frame.media), self.kept)

    def _decode(self, x: torch.Tensor, media: torch.Tensor) -> torch.Tensor:
        if isinstance(self.modules, Recovery):
            return self.modules.decode(self.model, x, media)
        return self.model.run_layers(self.kept, x, media)


def kept_by_score(scores: Sequence[float], count: int) -> tuple[int, ...]:
    """The ``count`` layers with the highest score; layer 0 and the read-out always stay.

    Args:
        scores: Importance per layer (1 - cosine, or the gradient score).
        count: Layers to keep, at least 2.

    Raises:
        ConfigError: If the count does not fit.
    """
    n = len(scores)
    if not 2 <= count <= n:
        raise ConfigError(f'cannot keep {count} of {n} layers; expected 2..{n}')
    order = sorted(range(1, n - 1), key=lambda j: -scores[j])
    return tuple(sorted({0, n - 1, *order[:count - 2]}))
