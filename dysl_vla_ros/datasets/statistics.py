# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CALVIN's ``statistics.yaml``: means, deviations and action bounds of a split."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dysl_vla_ros.errors import DatasetError

# Loaders of CALVIN instantiate this name; we only write it and ignore it when reading.
_TARGET = 'calvin_agent.utils.transforms.NormalizeVector'
_SIZES = {'robot_obs': 15, 'scene_obs': 24}
_ACTIONS = 7


@dataclass(frozen=True)
class Statistics:
    """Figures of a split; arrays (15,), (24,) and (7,) float64.

    Attributes:
        mean, std: By name, ``robot_obs`` and ``scene_obs``.
        act_min_bound, act_max_bound: Bounds of the absolute actions.
    """

    mean: dict[str, np.ndarray]
    std: dict[str, np.ndarray]
    act_min_bound: np.ndarray
    act_max_bound: np.ndarray

    @classmethod
    def of(cls, robot_obs: np.ndarray, scene_obs: np.ndarray, actions: np.ndarray) -> 'Statistics':
        """Compute from (N, 15), (N, 24) and (N, 7), rounded to six digits as CALVIN's are."""
        arrays = {'robot_obs': robot_obs, 'scene_obs': scene_obs}
        return cls({k: np.round(v.mean(axis=0), 6) for k, v in arrays.items()},
                   {k: np.round(v.std(axis=0), 6) for k, v in arrays.items()},
                   np.round(actions.min(axis=0), 6), np.round(actions.max(axis=0), 6))

    def write(self, path: Path) -> None:
        """Write the file."""
        content: dict[str, Any] = {
            name: [{'_target_': _TARGET, 'mean': self.mean[name].tolist(),
                    'std': self.std[name].tolist()}] for name in _SIZES}
        content['act_min_bound'] = self.act_min_bound.tolist()
        content['act_max_bound'] = self.act_max_bound.tolist()
        path.write_text(yaml.safe_dump(content, sort_keys=False, default_flow_style=None,
                                       width=99), encoding='utf-8')


def read_statistics(path: str | Path) -> Statistics:
    """Read the file; ``_target_`` is ignored, never imported.

    Raises:
        DatasetError: If the file is missing, is not YAML, or lacks an entry; names both.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except FileNotFoundError as error:
        raise DatasetError(f'{path}: no such file') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DatasetError(f'{path}: not valid YAML: {error}') from error
    if not isinstance(content, dict):
        raise DatasetError(f'{path}: expected a mapping, got {type(content).__name__}')

    def vector(source: Any, key: str, size: int, where: str) -> np.ndarray:
        try:
            values = np.asarray(source[key], dtype=np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f'{path}: {where}: expected {size} numbers: {error!r}') from error
        if values.shape != (size,):
            raise DatasetError(f'{path}: {where}: expected {size} numbers, got {values.shape}')
        return values

    mean, std = {}, {}
    for name, size in _SIZES.items():
        entries = content.get(name)
        found = [e for e in (entries if isinstance(entries, list) else [entries])
                 if isinstance(e, dict) and 'mean' in e]
        if not found:
            raise DatasetError(f'{path}: {name}: expected a list with an entry that has mean and '
                               f'std, got {entries!r}')
        mean[name] = vector(found[0], 'mean', size, f'{name}.mean')
        std[name] = vector(found[0], 'std', size, f'{name}.std')
    return Statistics(mean, std, vector(content, 'act_min_bound', _ACTIONS, 'act_min_bound'),
                      vector(content, 'act_max_bound', _ACTIONS, 'act_max_bound'))
