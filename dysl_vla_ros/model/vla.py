# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``DySLVLA``: the whole network, from images and an instruction to an action."""

from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

import torch
from torch import nn

from dysl_vla_ros.model import checkpoint
from dysl_vla_ros.model.action_head import DeterministicDecoder
from dysl_vla_ros.model.config import VLAConfig
from dysl_vla_ros.model.graphs import GraphCache, Tensors
from dysl_vla_ros.model.mpt import FlamingoLayer
from dysl_vla_ros.model.resampler import PerceiverResampler
from dysl_vla_ros.model.vision import VisionEncoder


class DySLVLA(nn.Module):
    """RoboFlamingo-style vision-language-action network."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, config: VLAConfig) -> None:
        """Build the network with random weights; layers after the read-out are not built."""
        super().__init__()
        self.config = config
        self.graphs: GraphCache | None = None  # set by acceleration.accelerate
        decoder = config.decoder
        self.vision_encoder = VisionEncoder(config.vision)
        self.perceiver = PerceiverResampler(config.vision.width, config.resampler)
        self.wte = nn.Embedding(decoder.vocab_size, decoder.d_model)
        self.layers = nn.ModuleList(
            FlamingoLayer(decoder, config.vision.width, j)
            for j in range(decoder.feature_layer + 1))
        self.lm_head = DeterministicDecoder(decoder.d_model, config.head)
        if config.exits is not None and config.exits.has_auxiliary_heads:
            self.exit_heads = nn.ModuleList(DeterministicDecoder(decoder.d_model, config.head)
                                            for _ in config.exits.layers)
        if config.head.use_state:
            self.embed_state = nn.Sequential(nn.Linear(8, decoder.d_model), nn.ReLU(),
                                             nn.Linear(decoder.d_model, decoder.d_model))
        # Not part of the weights: real even if everything else is built on the meta device.
        scale = torch.tensor(config.vision.std, device='cpu').view(3, 1, 1)
        mean = torch.tensor(config.vision.mean, device='cpu').view(3, 1, 1)
        self.register_buffer('mean', mean / scale, False)
        self.register_buffer('std', 1.0 / (255.0 * scale), False)

    @property
    def n_layers(self) -> int:
        """Decoder layers up to the read-out."""
        return len(self.layers)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return self.wte.weight.dtype

    @classmethod
    def from_pretrained(cls, path_or_hub_id: str | Path, revision: str | None = None, *,
                        device: torch.device | str = 'cpu', dtype: torch.dtype | None = None,
                        offline: bool = True) -> 'DySLVLA':
        """Load a weights folder in evaluation mode, straight to its device and precision.

        Args:
            path_or_hub_id: Folder, or ``owner/name`` on the Hugging Face hub.
            revision: Branch, tag or commit of a hub id.
            device: Torch device.
            dtype: float32, bfloat16 or float16; None keeps the stored precision.
            offline: Take hub snapshots from the local cache only.

        Raises:
            CheckpointError: If files or keys are missing, unexpected, mis-shaped or not finite.
        """
        folder = checkpoint.locate(path_or_hub_id, revision, offline)
        with checkpoint.shapes_only():
            model = cls(checkpoint.load_config(folder))
        checkpoint.load_weights(model, folder, device, dtype)
        model.mean, model.std = model.mean.to(device), model.std.to(device)
        return model.eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors."""
        checkpoint.save(self, folder)

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """(..., 3, H, W) uint8 -> float32, CLIP mean and standard deviation."""
        return images.float() * self.std - self.mean

    def encode_vision(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(B, 2, 3, H, W) static and gripper -> media (B, 2 * latents, width), static first.

        Both cameras go through the tower in one batch.
        """
        batch = pixel_values.shape[0]
        pixels = pixel_values.flatten(0, 1).to(self.dtype)  # (2 * B, 3, H, W)
        latents = self.perceiver(self.vision_encoder(pixels))
        return latents.reshape(batch, -1, latents.shape[-1])  # (B, 2 * latents, width)

    def embed(self, input_ids: torch.Tensor) -> torch.Tensor:
        """(B, S) int64 -> (B, S, d)."""
        return self.wte(input_ids)

    def pool(self, x: torch.Tensor, attention_mask: torch.Tensor | None = None,
             robot_obs: torch.Tensor | None = None) -> torch.Tensor:
        """Maximum over real tokens: (B, S, d), mask (B, S) -> (B, d).

        With ``head.use_state`` the embedding of TCP pose, width and gripper of ``robot_obs``
        (B, 15) is added.
        """
        if attention_mask is not None:
            x = x.masked_fill(~attention_mask[..., None], torch.finfo(x.dtype).min)
        feature = x.amax(dim=1)
        if self.config.head.use_state:
            if robot_obs is None:
                raise ValueError('this model uses proprioception: robot_obs is required')
            feature = feature + self.embed_state(
                torch.cat((robot_obs[..., :7], robot_obs[..., 14:15]), dim=-1).to(feature.dtype))
        return feature

    def decode(self, x: torch.Tensor, media: torch.Tensor, first: int = 0,
               stop: int | None = None) -> torch.Tensor:
        """Run decoder layers ``first`` to ``stop`` - 1 (None: all): (B, S, d) -> (B, S, d)."""
        indexes = range(self.n_layers)[first:stop]
        return self.run_path(('layers', first, stop),
                             lambda x, media: self.run_layers(indexes, x, media), x, media)

    def run_layers(self, indexes: Iterable[int], x: torch.Tensor,
                   media: torch.Tensor) -> torch.Tensor:
        """Run some decoder layers in the given order: (B, S, d) -> (B, S, d)."""
        layers = list(self.layers)
        for j in indexes:
            x = layers[j](x, media)
        return x

    def run_path(self, path: Hashable, function: Callable[..., Tensors],
                 *inputs: torch.Tensor) -> Tensors:
        """``function(*inputs)``, a CUDA graph where those are in use; see ``GraphCache.run``."""
        if self.graphs is None or torch.is_grad_enabled():
            return function(*inputs)
        return self.graphs.run(path, function, *inputs)

    def forward_window(self, pixel_values: torch.Tensor, input_ids: torch.Tensor,
                       attention_mask: torch.Tensor | None = None,
                       robot_obs: torch.Tensor | None = None,
                       ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Training layout from zero head state.

        Args:
            pixel_values: (B, T, 2, 3, H, W) normalised.
            input_ids: (B, S); the same prompt at each of the T steps.
            attention_mask: (B, S) bool.
            robot_obs: (B, T, 15), only with ``head.use_state``.

        Returns:
            Pose (B, T, 6), gripper logit (B, T), media (B * T, latents, width).
        """
        batch, steps = pixel_values.shape[:2]
        media = self.encode_vision(pixel_values.flatten(0, 1))
        x = self.embed(input_ids).repeat_interleave(steps, dim=0)  # (B * T, S, d)
        mask = attention_mask.repeat_interleave(steps, dim=0) if attention_mask is not None \
            else None
        state = robot_obs.flatten(0, 1) if robot_obs is not None else None
        feature = self.pool(self.decode(x, media), mask, state)
        pose, gripper = self.lm_head(feature.view(batch, steps, -1))
        return pose, gripper, media
