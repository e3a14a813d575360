# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every training loop of ours shares: checkpoints that resume exactly, the learning rate.

A checkpoint belongs to one configuration, data set and network (its identity, JSON) and is
written atomically, so that a kill leaves the one before it.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dysl_vla_ros.errors import ConfigError


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint in place of the one before it."""
    temporary = path.with_suffix('.tmp')
    torch.save(content, temporary)
    temporary.replace(path)


def read_checkpoint(path: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """Read a checkpoint whose ``identity`` entry must say the same.

    Raises:
        ConfigError: If it is of another identity; names what differs.
    """
    saved: dict[str, Any] = torch.load(path, weights_only=True)
    theirs = json.loads(saved['identity'])
    different = [k for k, v in identity.items() if theirs.get(k) != v]
    if different:
        raise ConfigError(f'{path}: made with other {", ".join(different)}; '
                          'choose another run folder or delete it')
    return saved


def warmup_cosine(peak: float, step: int, steps: int, warmup: int, floor: float) -> float:
    """Learning rate of ``step``: linear warm-up to ``peak``, then cosine to ``floor * peak``."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = min(1.0, (step - warmup) / max(1, steps - warmup))
    return float(peak * (floor + (1 - floor) / 2 * (1 + np.cos(np.pi * share))))
