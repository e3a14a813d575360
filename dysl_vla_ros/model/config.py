# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes of the network: one set of dataclasses for every variant.

Source of the roboflamingo-3b numbers: design/architecture.md sections 1 to 7.
"""

from dataclasses import dataclass
from typing import Literal

from dysl_vla_ros.errors import ConfigError


@dataclass(frozen=True)
class VisionConfig:
    """CLIP-style vision tower.

    Attributes:
        image_size: Side of the square input in pixels.
        patch_size: Side of a patch in pixels.
        width: Hidden width.
        layers: Transformer layers.
        heads: Attention heads.
        resize: How camera images reach ``image_size``: 'area' averages, which suits a small
            network trained here; 'bicubic' is what CLIP was trained with.
        mean, std: Normalisation of RGB values in [0, 1]; CLIP's.
    """

    image_size: int = 224
    patch_size: int = 14
    width: int = 1024
    layers: int = 24
    heads: int = 16
    resize: Literal['area', 'bicubic'] = 'bicubic'
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)

    def __post_init__(self) -> None:
        """Raise ValueError for sizes that do not fit together."""
        if self.width % self.heads or self.image_size % self.patch_size:
            raise ValueError(f'heads {self.heads} must divide width {self.width}, and patch_size '
                             f'{self.patch_size} must divide image_size {self.image_size}')
        if min(self.std) <= 0:
            raise ValueError(f'std must be positive, got {list(self.std)}')


@dataclass(frozen=True)
class ResamplerConfig:
    """Perceiver resampler, shared by both cameras."""

    depth: int = 6
    heads: int = 8
    head_dim: int = 64
    latents: int = 64
    ff_mult: int = 4


@dataclass(frozen=True)
class DecoderConfig:
    """MPT decoder with a gated cross-attention block before each layer.

    Attributes:
        d_model: Hidden width.
        n_heads: Attention heads; a power of two, so that ALiBi slopes are MPT's.
        n_layers: Layers of the full decoder.
        feature_layer: Layer whose output the head reads; later layers are never built.
        mlp_ratio: MLP expansion of a block.
        vocab_size: Rows of the token embedding.
        qk_norm: Layer norm on whole queries and keys; MPT-1B has it, MPT-7B has not.
        cross_every: A cross-attention block stands before layer j iff (j + 1) is a multiple.
        cross_heads, cross_head_dim, cross_ff_mult: Sizes of the cross-attention block.
        initial_gate: Start value of the tanh gates; 0 keeps a pretrained language model intact
            (Flamingo), a positive value lets a network trained from scratch see at once.
    """

    d_model: int = 2048
    n_heads: int = 16
    n_layers: int = 24
    feature_layer: int = 22
    mlp_ratio: int = 4
    vocab_size: int = 50280
    qk_norm: bool = True
    cross_every: int = 1
    cross_heads: int = 8
    cross_head_dim: int = 64
    cross_ff_mult: int = 4
    initial_gate: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for sizes that do not fit together."""
        if self.d_model % self.n_heads or self.n_heads & (self.n_heads - 1):
            raise ValueError(f'n_heads {self.n_heads} must be a power of two that divides '
                             f'd_model {self.d_model}')
        if not 0 <= self.feature_layer < self.n_layers:
            raise ValueError(f'feature_layer {self.feature_layer} must lie in '
                             f'0..{self.n_layers - 1}')
        if not 1 <= self.cross_every <= self.n_layers:
            raise ValueError(f'cross_every {self.cross_every} must lie in 1..{self.n_layers}')

    def has_cross_attention(self, layer: int) -> bool:
        """Whether a gated cross-attention block stands before the layer."""
        return (layer + 1) % self.cross_every == 0


@dataclass(frozen=True)
class HeadConfig:
    """LSTM action head.

    Attributes:
        lstm_hidden, lstm_layers, dropout: Recurrent part.
        lstm_layernorm: Layer norm on the output of each LSTM layer; (h, c) stay un-normalised
            (DeeR).
        mlp_hidden: Hidden widths of the pose and the gripper MLP.
        mlp_layernorm: Layer norm after each hidden linear layer (DeeR).
        mlp_dropout, dropout_mode: Where the MLPs drop out; the mode also fixes the parameter
            names, because dropout modules count in them (design/architecture.md section 7).
        window: Features the head sees; also the training window.
        window_mode: 'refresh' re-runs the LSTM over the last ``window`` features from zero state
            once more than ``window`` steps have passed (RoboFlamingo); 'carry' never does (DeeR).
        use_state: Add an embedding of the proprioception to the pooled feature.
    """

    lstm_hidden: int = 1024
    lstm_layers: int = 4
    dropout: float = 0.1
    lstm_layernorm: bool = False
    mlp_hidden: tuple[int, ...] = (1024, 512, 256)
    mlp_layernorm: bool = False
    mlp_dropout: float = 0.0
    dropout_mode: Literal['none', 'wo_last', 'layerwise', 'last'] = 'none'
    window: int = 12
    window_mode: Literal['refresh', 'carry'] = 'refresh'
    use_state: bool = False


@dataclass(frozen=True)
class ExitConfig:
    """DeeR's early exits: one head shared by all, and heads of single exits for training.

    Attributes:
        layers: Decoder layers after which the network may stop, ascending.
        has_auxiliary_heads: Whether the training-only head of each exit is part of the network.
    """

    layers: tuple[int, ...]
    has_auxiliary_heads: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for exits out of order."""
        if not self.layers or list(self.layers) != sorted(set(self.layers)) or self.layers[0] < 0:
            raise ValueError(f'exits must be ascending layer indexes, got {list(self.layers)}')


@dataclass(frozen=True)
class VLAConfig:
    """The whole network; ``exits`` is None for networks without early exits."""

    name: str = 'roboflamingo-3b'
    vision: VisionConfig = VisionConfig()
    resampler: ResamplerConfig = ResamplerConfig()
    decoder: DecoderConfig = DecoderConfig()
    head: HeadConfig = HeadConfig()
    exits: ExitConfig | None = None

    def __post_init__(self) -> None:
        """Raise ValueError if an exit lies behind the read-out."""
        if self.exits is not None and self.exits.layers[-1] > self.decoder.feature_layer:
            raise ValueError(f'exit {self.exits.layers[-1]} lies behind feature_layer '
                             f'{self.decoder.feature_layer}')

    @staticmethod
    def from_name(name: str) -> 'VLAConfig':
        """Return a known size, such as 'roboflamingo-3b' or 'dysl-mini'.

        Raises:
            ConfigError: If the name is unknown.
        """
        if name not in KNOWN_SIZES:
            raise ConfigError(f'unknown model size {name!r}; expected one of '
                              f'{sorted(KNOWN_SIZES)}')
        return KNOWN_SIZES[name]


KNOWN_SIZES: dict[str, VLAConfig] = {
    'roboflamingo-3b': VLAConfig(),
    'deer-3b': VLAConfig(
        name='deer-3b',
        decoder=DecoderConfig(n_layers=12, feature_layer=11),
        head=HeadConfig(dropout=0.3, lstm_layernorm=True, mlp_hidden=(1024, 512),
                        mlp_layernorm=True, mlp_dropout=0.4, dropout_mode='layerwise',
                        window_mode='carry'),
        exits=ExitConfig((1, 3, 5, 7, 9, 11))),
    'dysl-mini': VLAConfig(
        name='dysl-mini',
        vision=VisionConfig(image_size=80, patch_size=16, width=128, layers=3, heads=4,
                            resize='area'),
        resampler=ResamplerConfig(depth=2, heads=4, head_dim=32, latents=8, ff_mult=4),
        decoder=DecoderConfig(d_model=96, n_heads=4, n_layers=12, feature_layer=11,
                              vocab_size=128, cross_heads=4, cross_head_dim=24,
                              cross_ff_mult=2, initial_gate=0.5),
        head=HeadConfig(lstm_hidden=192, lstm_layers=1, dropout=0.0, mlp_hidden=(192, 128))),
}
