# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One router before layer 0 chooses the layers of the pass (MoLe, arXiv 2503.20384).

It sees the media latents and the embedded instruction only. Unlike the released code, layers
that are not chosen really do not run (design/method.md 16.7).
"""

import copy

import torch
from torch import nn

from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.executor import Pass
from dysl_vla_ros.skipping.strategy import Frame, PassStrategy, PolicyState


class Router(nn.Module):
    """Media and instruction to one logit per layer, with a fine-tuned copy of the head."""

    def __init__(self, model: DySLVLA, hidden: int) -> None:
        """Build the two branches; the last layers start at zero."""
        super().__init__()
        d, width = model.config.decoder.d_model, model.config.vision.width
        self.media = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(),
                                   nn.Linear(hidden, model.n_layers))
        self.text = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, hidden), nn.GELU(),
                                  nn.Linear(hidden, model.n_layers))
        self.lm_head = copy.deepcopy(model.lm_head).requires_grad_(True)

    def forward(self, x: torch.Tensor, media: torch.Tensor,
                mask: torch.Tensor | None = None) -> torch.Tensor:
        """(B, S, d), (B, M, width), mask (B, S) -> logits (B, n_layers)."""
        if mask is None:
            text = x.mean(dim=1)
        else:
            text = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return self.media(media.mean(dim=1)) + self.text(text)


class OneShotRouter(PassStrategy):
    """Runs the ``keep`` layers with the highest logits."""

    def __init__(self, model: DySLVLA, router: Router, keep: int) -> None:
        """Set the number of layers.

        Raises:
            ConfigError: If it is not within the stack.
        """
        if not 1 <= keep <= model.n_layers:
            raise ConfigError(f'one_shot_router: keep {keep} must lie in 1..{model.n_layers}')
        super().__init__(model, 'one_shot_router', router, {'keep': keep})
        self.router, self.keep = router, keep

    def run(self, frame: Frame, state: PolicyState) -> Pass:
        """Choose once, then run."""
        logits = self.router(frame.prompt, frame.media)
        chosen = sorted(logits[0].topk(self.keep).indices.tolist())
        x = self.model.run_path(('kept', None, *chosen),
                                lambda x, media: self.model.run_layers(chosen, x, media),
                                frame.prompt, frame.media)
        return Pass(x, chosen)
