# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Times policies on equal observations, interleaved, and says what the figures can mean.

Every policy sees every observation before the next one comes, in an order that alternates: a
machine that slows down slows all of them. Ratios are medians of per-observation ratios.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from dysl_vla_ros.evaluation.memory import PeakMemory
from dysl_vla_ros.evaluation.timing import summarise
from dysl_vla_ros.skipping.policy import DySLPolicy
from dysl_vla_ros.skipping.step import Step

STAGES = ('preprocess_ms', 'vision_ms', 'decoder_ms', 'head_ms', 'total_ms')


@dataclass
class Measurement:
    """Steps of one policy.

    Attributes:
        times: Milliseconds per stage.
        layers: Layers that ran per step, verification included.
    """

    times: dict[str, list[float]] = field(default_factory=lambda: {s: [] for s in STAGES})
    layers: list[int] = field(default_factory=list)

    def add(self, step: Step) -> None:
        """Take one step into account."""
        self.layers.append(step.trace.n_executed_total)
        for stage in STAGES:
            self.times[stage].append(getattr(step.timing, stage))

    def median(self, stage: str) -> float:
        """Median milliseconds of a stage."""
        return float(np.median(self.times[stage]))


Act = Callable[[DySLPolicy], Step]


def measure(policies: dict[str, DySLPolicy], steps: Iterable[Act],
            warm_up: int = 1) -> dict[str, Measurement]:
    """Run all policies over the steps.

    Args:
        policies: By name.
        steps: Each calls the given policy on one observation.
        warm_up: First steps that are not counted; they pay for caches.
    """
    results = {name: Measurement() for name in policies}
    for i, act in enumerate(steps):
        names = list(policies)
        for name in names if i % 2 == 0 else names[::-1]:
            step = act(policies[name])
            if i >= warm_up:
                results[name].add(step)
    return results


def report(policies: dict[str, DySLPolicy], results: dict[str, Measurement]) -> dict[str, Any]:
    """JSON-ready figures per strategy, weight sizes, and the bound that Amdahl's law sets."""
    content: dict[str, Any] = {'strategies': {}}
    some = next(iter(policies.values()))
    content['weight_bytes'] = weight_bytes(some.model)
    layer_bytes = sum(p.nbytes for p in some.model.layers[0].parameters())
    dense = results.get('dense')
    for name, policy in policies.items():
        result = results[name]
        added = policy.rule.modules
        entry: dict[str, Any] = {
            'timing_ms': {s: summarise(result.times[s]) for s in STAGES},
            'layers': summarise(result.layers),
            'decoder_share': float(np.mean(result.layers)) / policy.model.n_layers
            if result.layers else None,
            'added_weight_bytes': sum(p.nbytes for p in added.parameters()) if added else 0,
            'layer_bytes_per_step': float(np.mean(result.layers)) * layer_bytes
            if result.layers else None}
        if dense is not None and name != 'dense' and result.layers:
            entry['against_dense'] = {
                stage: float(np.median(np.array(result.times[stage])
                                       / np.array(dense.times[stage])))
                for stage in ('decoder_ms', 'total_ms')}
        content['strategies'][name] = entry
    if dense is not None and dense.layers:
        share = dense.median('decoder_ms') / dense.median('total_ms')
        content['amdahl'] = {'decoder_share_of_step': share,
                             'largest_speed_up_of_step': 1 / max(1e-9, 1 - share)}
    return content


def memory_report(loading: PeakMemory, running: PeakMemory,
                  policies: Iterable[DySLPolicy]) -> dict[str, Any]:
    """Peaks while loading and while running, as growth since before the load, against the weights.

    Weights are the bytes of every parameter once, the strategies' added ones included.
    """
    parameters = {id(p): p for policy in policies
                  for part in (policy.model, policy.rule.modules) if part is not None
                  for p in part.parameters()}
    weights = sum(p.nbytes for p in parameters.values())
    used = running.peak_bytes - loading.before_bytes
    return {'weights_bytes': weights, 'before_bytes': loading.before_bytes,
            'load_peak_bytes': loading.growth_bytes, 'load_ratio': loading.growth_bytes / weights,
            'use_peak_bytes': used, 'use_ratio': used / weights,
            'process_peak_bytes': max(loading.peak_bytes, running.peak_bytes)}


def weight_bytes(model: nn.Module) -> dict[str, int]:
    """Bytes of parameters by part of the network."""
    return {name: sum(p.nbytes for p in part.parameters())
            for name, part in model.named_children()}


def draw_stages(results: dict[str, Measurement], path: Any, title: str) -> None:
    """Stacked bars of the median time per stage and strategy, written as PNG."""
    from matplotlib.figure import Figure
    names = [n for n, r in results.items() if r.layers][::-1]
    figure = Figure(figsize=(7.2, 1.3 + 0.34 * len(names)), dpi=120, layout='constrained')
    axes = figure.subplots()
    left = np.zeros(len(names))
    colours = {'preprocess_ms': '#c5ccd3', 'vision_ms': '#7a9cc6', 'decoder_ms': '#d1495b',
               'head_ms': '#e2b14a'}
    for stage, colour in colours.items():
        values = np.array([results[n].median(stage) for n in names])
        axes.barh(names, values, left=left, color=colour, label=stage.removesuffix('_ms'))
        left += values
    for y, name in enumerate(names):
        layers = float(np.mean(results[name].layers))
        axes.text(left[y], y, f' {left[y]:.2f} ms, {layers:.1f} layers', va='center', fontsize=7.5)
    axes.set_xlim(0, float(left.max()) * 1.32)
    axes.set_xlabel('median milliseconds per control step')
    axes.set_title(title, fontsize=9, loc='left')
    axes.tick_params(labelsize=8)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
    figure.legend(frameon=False, fontsize=8, ncols=4, loc='outside lower center')
    figure.savefig(path)
