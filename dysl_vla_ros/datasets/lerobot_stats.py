# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Statistics of a feature as LeRobot stores them, per episode and for the whole dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_SAMPLED_IMAGES = 100  # per episode, evenly spaced, as LeRobot does


@dataclass(frozen=True)
class FeatureStats:
    """min, max, mean, std over frames, and how many there were.

    Arrays have the feature's shape; for images (3, 1, 1), of pixels in [0, 1].
    """

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    count: int

    @classmethod
    def of(cls, values: np.ndarray) -> 'FeatureStats':
        """Of (N,) or (N, d) values."""
        wide = values.reshape(len(values), -1).astype(np.float64)
        return cls(wide.min(0), wide.max(0), wide.mean(0), wide.std(0), len(values))

    @classmethod
    def of_images(cls, images: Sequence[np.ndarray]) -> 'FeatureStats':
        """Of N images (H, W, 3) uint8; up to 100 of them, evenly spaced, are looked at."""
        count = min(len(images), _SAMPLED_IMAGES)
        chosen = np.round(np.linspace(0, len(images) - 1, count)).astype(int)
        pixels = np.stack([images[i] for i in chosen])  # (n, H, W, 3)

        def shaped(values: np.ndarray) -> np.ndarray:
            return values.reshape(3, 1, 1) / 255

        axes = (0, 1, 2)
        return cls(shaped(pixels.min(axes)), shaped(pixels.max(axes)),
                   shaped(pixels.mean(axes)), shaped(pixels.std(axes)), count)

    def to_mapping(self) -> dict[str, Any]:
        """With LeRobot's names, JSON-ready."""
        return {'min': self.low.tolist(), 'max': self.high.tolist(), 'mean': self.mean.tolist(),
                'std': self.std.tolist(), 'count': [self.count]}


def merged(parts: Sequence[FeatureStats]) -> FeatureStats:
    """Statistics over all frames of ``parts``."""
    counts = np.array([p.count for p in parts], dtype=np.float64)
    weights = (counts / counts.sum()).reshape(-1, *[1] * parts[0].mean.ndim)
    means = np.stack([p.mean for p in parts])
    mean = (weights * means).sum(0)
    variance = (weights * (np.stack([p.std for p in parts]) ** 2 + (means - mean) ** 2)).sum(0)
    return FeatureStats(np.min([p.low for p in parts], axis=0),
                        np.max([p.high for p in parts], axis=0), mean, np.sqrt(variance),
                        int(counts.sum()))
