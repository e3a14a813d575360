# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Builds a strategy by name from a weights folder: the only place that knows them all."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from dysl_vla_ros.configuration import from_mapping
from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping import strategy_file
from dysl_vla_ros.skipping.config import SkippingConfig
from dysl_vla_ros.skipping.modules import SkipModules
from dysl_vla_ros.skipping.names import STRATEGIES
from dysl_vla_ros.skipping.partition import LayerPartition
from dysl_vla_ros.skipping.strategies.action_reuse import ActionReuse
from dysl_vla_ros.skipping.strategies.dysl import DySL
from dysl_vla_ros.skipping.strategies.early_exit import EarlyExit, ExitHead
from dysl_vla_ros.skipping.strategies.fixed_layers import FixedLayers, Recovery
from dysl_vla_ros.skipping.strategies.joint import JointGate, JointModules
from dysl_vla_ros.skipping.strategies.joint_safety import NO_SAFETY, JointSafety
from dysl_vla_ros.skipping.strategies.layer_gates import FlexiDepth, LayerGates
from dysl_vla_ros.skipping.strategies.one_shot_router import OneShotRouter, Router
from dysl_vla_ros.skipping.strategies.random_skip import RandomSkip
from dysl_vla_ros.skipping.strategy import Dense, Strategy

FIXED = ('truncated', 'static_drop_cosine', 'static_drop_gradient')


@dataclass(frozen=True)
class FixedOptions:
    """Options of truncation and static drop: the layers that stay."""

    kept: tuple[int, ...]


@dataclass(frozen=True)
class RandomOptions:
    """Options of ``random``; see ``RandomSkip``."""

    mean_layers: float
    seed: int = 0
    use_adapters: bool = True


@dataclass(frozen=True)
class DeerOptions:
    """Options of ``deer``; see ``EarlyExit``."""

    exits: tuple[int, ...]
    thresholds: tuple[float, ...]


@dataclass(frozen=True)
class FlexiDepthOptions:
    """Options of ``flexidepth``: tau."""

    threshold: float


@dataclass(frozen=True)
class RouterOptions:
    """Options of ``one_shot_router``: layers per pass, hidden width of the router."""

    keep: int
    hidden: int


@dataclass(frozen=True)
class ReuseOptions:
    """Options of ``action_reuse``; see ``ActionReuse``."""

    speed_threshold: float
    buffer: int = 4
    max_consecutive: int = 2
    ridge: float = 1.0


@dataclass(frozen=True)
class JointOptions:
    """Options of ``dysl_joint``; see ``JointGate``."""

    static_layers: tuple[int, ...]
    plans: tuple[tuple[int, ...], ...]
    adapter_rank: int
    hidden: int
    threshold: float
    safety: JointSafety = NO_SAFETY


def check_name(name: str) -> None:
    """Raise ConfigError for an unknown strategy."""
    if name not in STRATEGIES:
        raise ConfigError(f'unknown strategy {name!r}; expected one of {list(STRATEGIES)}')


def load_strategy(model: DySLVLA, folder: str | Path, name: str,
                  budget: float | None = None) -> Strategy:
    """Build a strategy from the files of a weights folder.

    Args:
        model: The frozen network of the folder.
        folder: Weights folder.
        name: One of ``names.STRATEGIES``.
        budget: Wanted mean share of decoder layers, one that was calibrated; None: the default.

    Raises:
        ConfigError: If the name is unknown, its files are absent or the budget not calibrated.
        CheckpointError: If its tensors do not fit.
    """
    check_name(name)
    if name == 'dense':
        if budget not in (None, 1.0):
            raise ConfigError(f'strategy dense runs every layer; budget {budget} cannot be met')
        return Dense(model, 'dense')
    found = strategy_file.read(folder, name)
    if name in _FROM_SKIPPING_JSON:
        skipping, modules = load_skipping(model, folder)
        if found is not None:
            skipping = replace(skipping, **found.choose(budget).values)
        elif budget is not None:
            raise ConfigError(_absent(folder, name, f'budget {budget:g}'))
        return DySL(model, replace(skipping, **_FROM_SKIPPING_JSON[name]), modules, name)
    if found is None:
        raise ConfigError(_absent(folder, name, f'strategy {name}'))
    options = {**found.options, **found.choose(budget).values}
    return _BUILDERS[name](model, Path(folder), name, options, found)


# Strategies that run with DySL's own files, and what they change.
_FROM_SKIPPING_JSON: dict[str, dict[str, Any]] = {
    'dysl': {}, 'dysl_no_prior': {'use_prior': False}, 'dysl_no_post': {'use_post': False}}


def _absent(folder: str | Path, name: str, what: str) -> str:
    return (f'{what} needs {folder}/strategies/{name}.json; write it with dysl-vla distill '
            f'--strategy {name}')


def load_skipping(model: DySLVLA, folder: str | Path) -> tuple[SkippingConfig, SkipModules]:
    """DySL's configuration and modules of a weights folder.

    Raises:
        CheckpointError: If a file is missing or its keys do not fit.
        ConfigError: If it is for another depth.
    """
    skipping = SkippingConfig.from_folder(folder)
    if skipping.n_layers != model.n_layers:
        raise ConfigError(f'{folder}/skipping.json is for {skipping.n_layers} layers, the '
                          f'model has {model.n_layers}; distil again')
    modules = build_skip_modules(model, skipping)
    modules.load(folder)
    return skipping, modules


def build_skip_modules(model: DySLVLA, skipping: SkippingConfig) -> SkipModules:
    """Untrained adapters and controllers of the configured sizes."""
    return SkipModules(skipping.partition, model.config.decoder.d_model,
                       skipping.adapter_rank, skipping.controller_hidden)


def _options(cls: type, options: dict[str, Any], name: str) -> Any:
    return from_mapping(cls, options, source=f'strategies/{name}.json')


def recoveries(model: DySLVLA, kept_sets: list[list[int]]) -> nn.ModuleDict:
    """One ``Recovery`` per set of kept layers, by its size."""
    return nn.ModuleDict({str(len(kept)): Recovery(model, kept) for kept in kept_sets})


def _fixed(model: DySLVLA, folder: Path, name: str, options: dict[str, Any],
           found: strategy_file.StrategyFile) -> Strategy:
    kept = _options(FixedOptions, options, name).kept
    every = recoveries(model, [s.values['kept'] for s in found.settings])
    strategy_file.load_modules(folder, name, every)
    recovery: Any = every[str(len(kept))]
    return FixedLayers(model, name, kept, recovery)


def _random(model: DySLVLA, folder: Path, name: str, options: dict[str, Any],
            found: strategy_file.StrategyFile) -> Strategy:
    chosen = _options(RandomOptions, options, name)
    _, modules = load_skipping(model, folder)
    return RandomSkip(model, modules, chosen.mean_layers, chosen.seed, chosen.use_adapters)


def _deer(model: DySLVLA, folder: Path, name: str, options: dict[str, Any],
          found: strategy_file.StrategyFile) -> Strategy:
    chosen = _options(DeerOptions, options, name)
    head = None
    if model.config.exits is None:
        head = ExitHead(model)
        strategy_file.load_modules(folder, name, head)
    return EarlyExit(model, head, chosen.exits, chosen.thresholds)


def _flexidepth(model: DySLVLA, folder: Path, name: str, options: dict[str, Any],
                found: strategy_file.StrategyFile) -> Strategy:
    chosen = _options(FlexiDepthOptions, options, name)
    gates = LayerGates(model)
    strategy_file.load_modules(folder, name, gates)
    return FlexiDepth(model, gates, chosen.threshold)


def _router(model: DySLVLA, folder: Path, name: str, options: dict[str, Any],
            found: strategy_file.StrategyFile) -> Strategy:
    chosen = _options(RouterOptions, options, name)
    router = Router(model, chosen.hidden)
    strategy_file.load_modules(folder, name, router)
    return OneShotRouter(model, router, chosen.keep)


def _reuse(model: DySLVLA, folder: Path, name: str, options: dict[str, Any],
           found: strategy_file.StrategyFile) -> Strategy:
    chosen = _options(ReuseOptions, options, name)
    return ActionReuse(model, chosen.speed_threshold, chosen.buffer, chosen.max_consecutive,
                       chosen.ridge)


def _joint(model: DySLVLA, folder: Path, name: str, options: dict[str, Any],
           found: strategy_file.StrategyFile) -> Strategy:
    chosen = _options(JointOptions, options, name)
    modules = build_joint_modules(model, chosen)
    strategy_file.load_modules(folder, name, modules)
    return JointGate(model, modules, chosen.plans, chosen.threshold, chosen.safety)


def build_joint_modules(model: DySLVLA, options: JointOptions) -> JointModules:
    """Untrained adapters and gate of the configured sizes."""
    return JointModules(LayerPartition(model.n_layers, options.static_layers), options.plans,
                        model.config.decoder.d_model, model.config.vision.width,
                        options.adapter_rank, options.hidden)


def _dysl(model: DySLVLA, folder: Path, name: str, options: dict[str, Any],
          found: strategy_file.StrategyFile) -> Strategy:
    skipping = _options(SkippingConfig, options, name)
    modules = build_skip_modules(model, skipping)
    strategy_file.load_modules(folder, name, modules)
    return DySL(model, skipping, modules, name)


Builder = Callable[[DySLVLA, Path, str, dict[str, Any], strategy_file.StrategyFile], Strategy]
_BUILDERS: dict[str, Builder] = {
    **dict.fromkeys(FIXED, _fixed), 'random': _random, 'deer': _deer, 'flexidepth': _flexidepth,
    'one_shot_router': _router, 'action_reuse': _reuse, 'dysl_joint': _joint,
    'dysl_no_split': _dysl, 'dysl_one_stage': _dysl}
