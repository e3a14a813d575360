# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Options that trade start-up time or exactness for speed and memory: int8, compilation."""

import logging

import torch

from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model.vla import DySLVLA

_LOG = logging.getLogger(__name__)


def quantise_int8(model: DySLVLA) -> DySLVLA:
    """Store the decoder's matrices as int8 with a scale per output row (weight-only, torchao).

    Activations, vision tower, resampler and head keep their precision. Done in place.

    Raises:
        ConfigError: If torchao is not installed.
    """
    try:
        from torchao.quantization import Int8WeightOnlyConfig, quantize_
    except ImportError as error:
        raise ConfigError(f'int8 weights need torchao ({error}); pip install torchao==0.18.0 '
                          '--no-deps, or load without int8') from error
    quantize_(model.layers, Int8WeightOnlyConfig())
    return model


@torch.inference_mode()
def compile_model(model: DySLVLA, tokens: int = 11) -> str | None:
    """Compile vision tower, resampler and decoder layers, or leave the model eager.

    A first step is run to compile for batch one and ``tokens`` prompt tokens; other shapes
    compile when they first occur.

    Returns:
        None, or why the model stayed eager (also logged as a warning).
    """
    vision = model.config.vision
    parts = [model.vision_encoder, model.perceiver, *model.layers]
    pixels = torch.zeros(1, 2, 3, vision.image_size, vision.image_size, device=model.mean.device)
    ids = torch.zeros(1, tokens, dtype=torch.long, device=model.mean.device)
    try:
        for part in parts:
            part.compile()
        model.decode(model.embed(ids), model.encode_vision(pixels))
    except Exception as error:  # no compiler, no Python headers, unsupported device: many kinds
        for part in parts:
            part._compiled_call_impl = None
        reason = f'{type(error).__name__}: {str(error).strip().splitlines()[0]}'
        _LOG.warning('torch.compile failed, the model stays eager: %s', reason)
        return reason
    return None
