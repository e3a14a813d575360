# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Everything that decides when a layer is skipped; stored as skipping.json."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from dysl_vla_ros.configuration import from_mapping
from dysl_vla_ros.model.checkpoint import load_json
from dysl_vla_ros.skipping.partition import LayerPartition

FILE_NAME = 'skipping.json'


@dataclass(frozen=True)
class SkippingConfig:
    """Skipping at run time (design/method.md sections 5 to 8 and 11).

    Attributes:
        static_layers: Indexes that always run.
        n_layers: Layers up to the read-out.
        joins_groups: Whether a jump crosses the rest of its group; off only for the ablation
            without the static split.
        adapter_rank, controller_hidden: Sizes of the added modules.
        window: Differences averaged by the continuity (k = 5 in the paper).
        include_gripper: Whether the gripper enters the continuity; off, because one toggle
            would dominate k steps.
        drop_threshold: eta1 < 0; a larger drop protects layers and triggers verification.
        recovery_threshold: eta2 > 0; a larger rise releases them.
        stride: eta > 0; a drop moves the allow point by ceil(|drop| / stride).
        release: Layers released per recovery step.
        skip_threshold: tau; skip when the controller's probability exceeds it.
        warmup_steps: Dense steps after a reset, while the continuity is undefined.
        refractory_steps: Steps without verification after one.
        use_prior, use_post: Switches of the ablation.
        verify_always: Verify every step that jumped; must equal the dense policy bit for bit.
        guidance: 'project' follows the paper's text; 'printed' and 'swapped' its formula.
        metadata: How the values came about; never read back by code.
    """

    static_layers: tuple[int, ...]
    n_layers: int
    joins_groups: bool = True
    adapter_rank: int = 32
    controller_hidden: int = 32
    window: int = 5
    include_gripper: bool = False
    drop_threshold: float = -0.05
    recovery_threshold: float = 0.05
    stride: float = 0.05
    release: int = 1
    skip_threshold: float = 0.5
    warmup_steps: int = 3
    refractory_steps: int = 0
    use_prior: bool = True
    use_post: bool = True
    verify_always: bool = False
    guidance: Literal['project', 'printed', 'swapped'] = 'project'
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError for thresholds of the wrong sign."""
        if self.drop_threshold >= 0 or self.recovery_threshold <= 0 or self.stride <= 0:
            raise ValueError('expected drop_threshold < 0 < recovery_threshold and stride > 0, '
                             f'got {self.drop_threshold}, {self.recovery_threshold}, '
                             f'{self.stride}')
        if min(self.window, self.release, self.adapter_rank, self.controller_hidden) < 1:
            raise ValueError('window, release, adapter_rank and controller_hidden must be >= 1')
        if self.warmup_steps < 0 or self.refractory_steps < 0:
            raise ValueError('warmup_steps and refractory_steps must be >= 0')
        # The skip threshold may exceed 1: that closes every controller.
        if self.skip_threshold < 0:
            raise ValueError(f'skip_threshold must be >= 0, got {self.skip_threshold}')

    @cached_property
    def partition(self) -> LayerPartition:
        """The layer partition."""
        return LayerPartition(self.n_layers, self.static_layers, self.joins_groups)

    @staticmethod
    def from_folder(folder: str | Path) -> 'SkippingConfig':
        """Read skipping.json of a weights folder, strictly."""
        path = Path(folder) / FILE_NAME
        return from_mapping(SkippingConfig, load_json(path), source=str(path))
