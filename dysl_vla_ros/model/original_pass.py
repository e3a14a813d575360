# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The control step as RoboFlamingo's code performs it, eager, for comparison only.

Cameras one by one; attention from explicit products with masks; the prompt embedded anew; the
block after the read-out, the final norm and the logits computed and thrown away; ``nn.LSTM``;
every product is PyTorch's own ``linear``.
The actions equal ``DySLVLA``'s. Source: design/architecture.md sections 1 to 6.
"""

import torch
from torch import nn
from torch.nn import functional

from dysl_vla_ros.model.action_head import HeadOutput, HeadState
from dysl_vla_ros.model.cross_attention import GatedCrossAttentionBlock
from dysl_vla_ros.model.mpt import FlamingoLayer, MPTBlock, attention_bias
from dysl_vla_ros.model.resampler import PerceiverAttention, merge_heads, split_heads
from dysl_vla_ros.model.vision import VisionBlock
from dysl_vla_ros.model.vla import DySLVLA


class OriginalPass:
    """Runs the weights of a network the original's way; batch of one."""

    def __init__(self, model: DySLVLA, read_out: int) -> None:
        """Wrap a network with every layer built; the head reads layer ``read_out``."""
        self.model, self.read_out = model, read_out

    def step(self, pixel_values: torch.Tensor, input_ids: torch.Tensor,
             state: HeadState) -> HeadOutput:
        """One control step: (1, 2, 3, H, W), (1, S) -> action; commit ``output.state``."""
        model = self.model
        media = torch.cat([self._resample(self._vision(pixel_values[:, camera]))
                           for camera in range(2)], dim=1)
        x = functional.embedding(input_ids, model.wte.weight)
        image = torch.zeros_like(input_ids, dtype=torch.bool)
        image[:, 0] = True
        feature = x
        for j, layer in enumerate(model.layers):
            assert isinstance(layer, FlamingoLayer)
            if layer.gated_cross_attn_layer is not None:
                x = self._cross(layer.gated_cross_attn_layer, x, media, image)
            x = self._block(layer.decoder_layer, x)
            if j == self.read_out:
                feature = x
        functional.linear(functional.layer_norm(x, x.shape[-1:]), model.wte.weight)  # logits
        return self._head(feature.amax(dim=1), state)

    def _vision(self, x: torch.Tensor) -> torch.Tensor:
        """One camera through open_clip's tower, whose attention is one fused call."""
        tower = self.model.vision_encoder
        x = tower.embed(x)
        for block in tower.transformer.resblocks:
            assert isinstance(block, VisionBlock)
            part, mlp = block.attn, block.mlp
            q, k, v = functional.linear(block.ln_1(x), part.in_proj_weight,
                                        part.in_proj_bias).chunk(3, dim=-1)
            out = functional.scaled_dot_product_attention(
                split_heads(q, part.heads), split_heads(k, part.heads), split_heads(v, part.heads))
            x = x + functional.linear(merge_heads(out), part.out_proj.weight, part.out_proj.bias)
            hidden = functional.linear(block.ln_2(x), mlp.c_fc.weight, mlp.c_fc.bias)
            x = x + functional.linear(hidden * torch.sigmoid(1.702 * hidden),
                                      mlp.c_proj.weight, mlp.c_proj.bias)
        return x[:, 1:]

    def _resample(self, tokens: torch.Tensor) -> torch.Tensor:
        perceiver = self.model.perceiver
        latents = perceiver.latents.expand(tokens.shape[0], -1, -1)
        for layer in perceiver.layers:
            attention, feed = layer[0], layer[1]  # type: ignore[index]
            latents = latents + self._latent_attention(attention, tokens, latents)
            latents = latents + _feed_forward(feed, latents)
        return perceiver.norm(latents)

    @staticmethod
    def _latent_attention(part: PerceiverAttention, media: torch.Tensor,
                          latents: torch.Tensor) -> torch.Tensor:
        media, latents = part.norm_media(media), part.norm_latents(latents)
        q = split_heads(functional.linear(latents, part.to_q.weight), part.heads)
        both = torch.cat((media, latents), dim=-2)
        k, v = functional.linear(both, part.to_kv.weight).chunk(2, dim=-1)
        k, v = split_heads(k, part.heads), split_heads(v, part.heads)
        scores = torch.einsum('bhid,bhjd->bhij', q * q.shape[-1] ** -0.5, k)
        scores = scores - scores.amax(dim=-1, keepdim=True).detach()
        out = torch.einsum('bhij,bhjd->bhid', scores.softmax(dim=-1), v)
        return functional.linear(merge_heads(out), part.to_out.weight)

    @staticmethod
    def _cross(part: GatedCrossAttentionBlock, x: torch.Tensor, media: torch.Tensor,
               image: torch.Tensor) -> torch.Tensor:
        attention = part.attn
        q = split_heads(functional.linear(attention.norm(x), attention.to_q.weight),
                        attention.heads)
        k, v = functional.linear(media, attention.to_kv.weight).chunk(2, dim=-1)
        k, v = split_heads(k, attention.heads), split_heads(v, attention.heads)
        scores = torch.einsum('bhid,bhjd->bhij', q * q.shape[-1] ** -0.5, k)
        seen = image.cumsum(dim=-1)[:, None, :, None]  # images up to each token
        own = torch.ones(media.shape[1], dtype=torch.long, device=x.device)
        scores = scores.masked_fill(~(seen == own), -torch.finfo(scores.dtype).max)
        scores = scores - scores.amax(dim=-1, keepdim=True).detach()
        weights = scores.softmax(dim=-1).masked_fill(seen == 0, 0.0)
        out = merge_heads(torch.einsum('bhij,bhjd->bhid', weights, v))
        x = functional.linear(out, attention.to_out.weight) * part.attn_gate.tanh() + x
        return _feed_forward(part.ff, x) * part.ff_gate.tanh() + x

    @staticmethod
    def _block(part: MPTBlock, x: torch.Tensor) -> torch.Tensor:
        attention = part.attn
        q, k, v = functional.linear(part.ln_1(x), attention.Wqkv.weight).chunk(3, dim=-1)
        q = split_heads(attention.q_ln(q), attention.heads)
        k = split_heads(attention.k_ln(k), attention.heads)
        scores = torch.matmul(q, k.transpose(-2, -1)) * q.shape[-1] ** -0.5
        scores = scores + attention_bias(attention.heads, x.shape[1], x.device, x.dtype)
        out = torch.matmul(scores.softmax(dim=-1), split_heads(v, attention.heads))
        x = x + functional.linear(merge_heads(out), attention.out_proj.weight)
        hidden = functional.gelu(functional.linear(part.ln_2(x), part.mlp.mlp_up.weight))
        return x + functional.linear(hidden, part.mlp.mlp_down.weight)

    def _head(self, feature: torch.Tensor, state: HeadState) -> HeadOutput:
        """RoboFlamingo's window of the last features, with ``nn.LSTM`` itself."""
        head = self.model.lm_head
        assert isinstance(head.rnn, nn.LSTM)
        window = head.config.window
        features = (*state.features, feature)[-window:]
        if state.steps >= window:
            hidden, lstm = nn.LSTM.forward(head.rnn, torch.stack(features, dim=1))
        else:
            hidden, lstm = nn.LSTM.forward(head.rnn, feature[:, None], state.lstm)
        last = hidden[:, -1]
        return HeadOutput(head.actions(last).tanh(), head.gripper(last).squeeze(-1),
                          HeadState(lstm, features, state.steps + 1))


def _feed_forward(part: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    hidden = functional.linear(part[0](x), part[1].weight)  # type: ignore[arg-type]
    return functional.linear(functional.gelu(hidden), part[3].weight)  # type: ignore[arg-type]
