# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A trained and calibrated strategy on disk: ``<weights>/strategies/NAME.json`` and tensors.

One file holds one setting per calibrated budget, so the budget is chosen when the policy is
loaded, not when it is trained.
"""

from dataclasses import dataclass, field
import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from dysl_vla_ros.configuration import from_mapping, to_mapping
from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model import checkpoint

FOLDER = 'strategies'


@dataclass(frozen=True)
class Setting:
    """Values that hold a budget.

    Attributes:
        budget: Mean share of decoder layers that was asked for.
        achieved: Share measured on the calibration demonstrations.
        values: Options of the strategy with this budget.
    """

    budget: float
    achieved: float
    values: dict[str, Any]


@dataclass(frozen=True)
class StrategyFile:
    """Everything about a strategy but its tensors.

    Attributes:
        strategy: Its name.
        weights_sha256: Hash of the frozen network it belongs to.
        options: Options that do not depend on the budget.
        settings: By increasing budget.
        default_budget: The setting used when none is asked for.
        metadata: How it came about; never read back by code.
    """

    strategy: str
    weights_sha256: str
    options: dict[str, Any]
    settings: tuple[Setting, ...]
    default_budget: float
    metadata: dict[str, Any] = field(default_factory=dict)

    def choose(self, budget: float | None) -> Setting:
        """The setting calibrated for a budget.

        Raises:
            ConfigError: If the budget was not calibrated; lists those that were.
        """
        wanted = self.default_budget if budget is None else budget
        for setting in self.settings:
            if abs(setting.budget - wanted) < 1e-9:
                return setting
        raise ConfigError(
            f'strategy {self.strategy}: no setting for budget {wanted:g}; calibrated: '
            f'{[s.budget for s in self.settings]}. Calibrate it with '
            f'dysl-vla distill --strategy {self.strategy} --budgets {wanted:g}')

    def save(self, folder: str | Path, modules: nn.Module | None) -> Path:
        """Write the tensors, then the JSON file, each whole; returns the latter's path."""
        target = Path(folder) / FOLDER
        target.mkdir(parents=True, exist_ok=True)
        if modules is not None:
            tensors = {k: v.detach().contiguous().clone() for k, v in modules.state_dict().items()}
            temporary = target / f'{self.strategy}.safetensors.tmp'
            save_file(tensors, temporary)
            temporary.replace(target / f'{self.strategy}.safetensors')
        path = target / f'{self.strategy}.json'
        temporary = path.with_suffix('.json.tmp')
        temporary.write_text(json.dumps(to_mapping(self), indent=1) + '\n', encoding='utf-8')
        temporary.replace(path)
        return path


def read(folder: str | Path, name: str) -> StrategyFile | None:
    """Read a strategy's JSON file strictly; None if there is none.

    Raises:
        ConfigError: If it belongs to another network or strategy, or holds unknown keys.
    """
    folder = Path(folder)
    path = folder / FOLDER / f'{name}.json'
    if not path.is_file():
        return None
    result = from_mapping(StrategyFile, checkpoint.load_json(path), source=str(path))
    if result.strategy != name:
        raise ConfigError(f'{path}: is for strategy {result.strategy!r}, expected {name!r}')
    if result.weights_sha256 != checkpoint.file_hash(folder / checkpoint.WEIGHTS):
        raise ConfigError(f'{path}: was trained for other weights than the '
                          f'{checkpoint.WEIGHTS} beside its folder; run dysl-vla distill '
                          f'--strategy {name} again')
    return result


def load_modules(folder: str | Path, name: str, modules: nn.Module) -> None:
    """Read a strategy's tensors strictly into its modules."""
    path = Path(folder) / FOLDER / f'{name}.safetensors'
    checkpoint.assign(modules, checkpoint.read_tensors(path), str(path))
