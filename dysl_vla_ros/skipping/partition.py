# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Static and dynamic layers (paper section 3.1; design/method.md section 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
import itertools

from dysl_vla_ros.errors import ConfigError


@dataclass(frozen=True)
class Group:
    """Dynamic layers first..last between two static layers; a jump lands on ``landing``."""

    first: int
    last: int
    landing: int


@dataclass(frozen=True)
class LayerPartition:
    """Which of n layers are static; the rest are dynamic and belong to groups.

    Attributes:
        n_layers: Layers up to the read-out.
        static: Sorted indexes of static layers; layer 0 and the read-out are always among them.
        joins_groups: Whether a jump crosses the rest of its group; False makes every dynamic
            layer a group of its own, from which a jump lands on the next layer (ablation).
    """

    n_layers: int
    static: tuple[int, ...]
    joins_groups: bool = True

    def __post_init__(self) -> None:
        """Raise ConfigError unless 0 and the read-out are static and all indexes valid."""
        if list(self.static) != sorted(set(self.static)):
            raise ConfigError(f'static layers {self.static} must be sorted and distinct')
        if not self.static or self.static[0] != 0 or self.static[-1] != self.n_layers - 1:
            raise ConfigError(f'static layers {self.static} must contain 0 and '
                              f'{self.n_layers - 1}, so that every jump has a landing layer')

    @cached_property
    def dynamic(self) -> tuple[int, ...]:
        """Sorted indexes of dynamic layers."""
        return tuple(j for j in range(self.n_layers) if j not in self.static)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Non-empty groups in order."""
        if not self.joins_groups:
            return tuple(Group(j, j, j + 1) for j in self.dynamic)
        return tuple(Group(a + 1, b - 1, b) for a, b in itertools.pairwise(self.static)
                     if b > a + 1)

    def group_index(self, layer: int) -> int:
        """Index into ``groups`` of a dynamic layer, or -1 for a static one."""
        for index, group in enumerate(self.groups):
            if group.first <= layer <= group.last:
                return index
        return -1

    def next_static(self, layer: int) -> int:
        """nxt(j): smallest static index greater than ``layer``, or n_layers after the last."""
        if not self.joins_groups:
            return layer + 1
        return next((s for s in self.static if s > layer), self.n_layers)


def static_count(n_layers: int, share: float) -> int:
    """Number of static layers for a share of the stack; never below the two forced ones.

    Raises:
        ConfigError: If the share is outside 0..1.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f'static share {share} must lie in 0..1')
    return min(n_layers, max(2, round(share * n_layers)))


def select_static(similarity: Sequence[float], count: int) -> LayerPartition:
    """Choose static layers: 0, the read-out, then the lowest input/output cosine similarity.

    Args:
        similarity: Mean cosine similarity of input and output per layer.
        count: Number of static layers, at least 2.
    """
    n = len(similarity)
    chosen = {0, n - 1}
    for layer in sorted(range(n), key=lambda j: similarity[j]):
        if len(chosen) >= min(count, n):
            break
        chosen.add(layer)
    return LayerPartition(n, tuple(sorted(chosen)))
