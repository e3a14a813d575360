# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Precision and speed: half precision, int8 weights, torch.compile, CUDA graphs.

What cannot be done here (no compiler, no GPU) is left out, and the reason is kept: the policy
then runs as it would without the option. What would change results silently is an error.
"""

from dataclasses import dataclass
import importlib
import logging
from types import ModuleType

import torch
from torch import nn

from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model.checkpoint import DTYPES
from dysl_vla_ros.model.graphs import GraphCache
from dysl_vla_ros.model.vla import DySLVLA

_LOG = logging.getLogger(__name__)
STORED = 'stored'
DTYPE_NAMES = (STORED, *DTYPES)


@dataclass(frozen=True)
class Acceleration:
    """How a network is loaded and run; the default is as it is stored, eager.

    Attributes:
        dtype: Precision of weights and activations: 'stored' (the file's), 'fp32', 'bf16', 'fp16'.
            Actions are float32 in any case.
        int8: Keep the decoder's matrices as int8 with a scale per output row (torchao).
        compile: Compile vision tower, resampler and decoder layers.
        cuda_graphs: Replay frequent decoder paths as CUDA graphs.
    """

    dtype: str = STORED
    int8: bool = False
    compile: bool = False
    cuda_graphs: bool = False

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown precision."""
        if self.dtype not in DTYPE_NAMES:
            raise ConfigError(f'dtype: got {self.dtype!r}, expected one of {list(DTYPE_NAMES)}')

    @property
    def torch_dtype(self) -> torch.dtype | None:
        """The precision to load in; None keeps the stored one."""
        return DTYPES.get(self.dtype)


AS_STORED = Acceleration()


def accelerate(model: DySLVLA, options: Acceleration) -> dict[str, str]:
    """Apply everything but ``dtype``, which is chosen while loading, in place.

    Call it last: modules copied from the network afterwards would be copies of the changed ones.

    Returns:
        What was left out, by option, with the reason.

    Raises:
        ConfigError: If int8 is wanted and torchao is not installed.
    """
    left_out: dict[str, str] = {}
    if options.int8:
        quantise_int8(model)
    if options.compile:
        reason = compile_model(model)
        if reason is not None:
            left_out['compile'] = reason
    if options.cuda_graphs:
        device = model.mean.device
        if device.type == 'cuda':
            model.graphs = GraphCache.for_device(device)
        else:
            left_out['cuda_graphs'] = f'needs a CUDA device, this policy runs on {device}'
            _LOG.warning('cuda_graphs: %s', left_out['cuda_graphs'])
    return left_out


def quantise_int8(model: DySLVLA) -> DySLVLA:
    """Store the decoder's matrices as int8 with a scale per output row (weight-only, torchao).

    Activations, vision tower, resampler and head keep their precision. Done in place.

    Raises:
        ConfigError: If torchao is not installed.
    """
    quantization = _torchao()
    quantization.quantize_(model.layers, quantization.Int8WeightOnlyConfig())
    return model


def check_available(options: Acceleration) -> None:
    """Raise ConfigError now for what ``accelerate`` could not do later, in another process."""
    if options.int8:
        _torchao()


def _torchao() -> ModuleType:
    try:
        return importlib.import_module('torchao.quantization')
    except ImportError as error:
        raise ConfigError(f'int8 weights need torchao ({error}); pip install torchao==0.18.0 '
                          '--no-deps, or load without int8') from error


@torch.inference_mode()
def compile_model(model: DySLVLA, tokens: int = 11) -> str | None:
    """Compile vision tower, resampler and decoder layers, or leave the model eager.

    Every path through the layers is made of compiled ones. A first step is run to compile for
    batch one and ``tokens`` prompt tokens; other shapes compile when they first occur.

    Returns:
        None, or why the model stayed eager (also logged as a warning).
    """
    config, device = model.config, model.mean.device
    has_vision = not isinstance(model.vision_encoder, nn.Identity)  # a bench may leave it out
    parts = [*([model.vision_encoder, model.perceiver] if has_vision else []), *model.layers]
    size = config.vision.image_size
    pixels = torch.zeros(1, 2, 3, size, size, device=device)
    media = torch.zeros(1, 2 * config.resampler.latents, config.vision.width, dtype=model.dtype,
                        device=device)
    ids = torch.zeros(1, tokens, dtype=torch.long, device=device)
    try:
        for part in parts:
            part.compile()
        model.decode(model.embed(ids), model.encode_vision(pixels) if has_vision else media)
    except Exception as error:  # no compiler, no Python headers, unsupported device: many kinds
        for part in parts:
            part._compiled_call_impl = None
        reason = f'{type(error).__name__}: {str(error).strip().splitlines()[0]}'
        _LOG.warning('torch.compile failed, the model stays eager: %s', reason)
        return reason
    return None
