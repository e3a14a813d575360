# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Networks of any size with random weights, for timing and memory without published files."""

import torch
from torch import nn

from dysl_vla_ros.model import checkpoint
from dysl_vla_ros.model.config import VLAConfig
from dysl_vla_ros.model.vla import DySLVLA


def random_model(size: str | VLAConfig, dtype: torch.dtype = torch.float32,
                 device: torch.device | str = 'cpu', seed: int = 0,
                 decoder_only: bool = False) -> DySLVLA:
    """Build a network with random weights, in evaluation mode.

    Parameters are allocated once, in the target precision: roboflamingo-3b takes 10.1 GB in
    float32 and 5.1 GB in bfloat16. Matrices are scaled by their fan-in and gates are half open,
    so that activations stay of order one through every layer.

    Args:
        size: Name for ``VLAConfig.from_name``, or a configuration.
        dtype: float32, bfloat16 or float16.
        device: Torch device.
        seed: Of the values.
        decoder_only: Build no vision tower and no resampler (roboflamingo-3b in float32: 8.4 GB).
    """
    config = VLAConfig.from_name(size) if isinstance(size, str) else size
    with checkpoint.shapes_only():
        model = DySLVLA(config)
    if decoder_only:
        model.vision_encoder = nn.Identity()  # type: ignore[assignment]
        model.perceiver = nn.Identity()  # type: ignore[assignment]
    generator = torch.Generator(device).manual_seed(seed)
    for name, parameter in list(model.named_parameters()):
        owner, _, leaf = name.rpartition('.')
        values = torch.empty(parameter.shape, dtype=dtype, device=device)
        if 'gate' in leaf:
            values.fill_(0.5)
        elif parameter.dim() > 1:
            bound = (3.0 / parameter[0].numel()) ** 0.5
            values.uniform_(-bound, bound, generator=generator)
        else:
            values.fill_(1.0 if leaf == 'weight' else 0.0)
        setattr(model.get_submodule(owner), leaf, nn.Parameter(values, requires_grad=False))
    model.mean, model.std = model.mean.to(device), model.std.to(device)
    return model.eval()
