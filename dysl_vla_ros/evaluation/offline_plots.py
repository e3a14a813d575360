# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of the offline report: error over time, axes over each other, worst moments."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dysl_vla_ros.evaluation.offline_metrics import AXES, Moment
from dysl_vla_ros.evaluation.offline_result import Curves
from dysl_vla_ros.evaluation.plots import STRATEGY_COLOURS, style

_RECORDED = '#1d2733'
_OTHERS = ('#2f77bf', '#c8553d', '#2a7d46', '#8a5fb0', '#b08a2e', '#4aa3a2')
_BINS = 1200
_WINDOW_S = 60.0
LABELS = (*AXES, 'gripper')


def colours(names: list[str]) -> dict[str, str]:
    """A colour for every policy; the known strategies keep theirs."""
    free = iter(c for c in _OTHERS * 8 if c not in STRATEGY_COLOURS.values())
    return {name: STRATEGY_COLOURS.get(name) or next(free) for name in names}


def binned(time_s: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest value per stretch of time, so that a long recording keeps its peaks."""
    if len(values) <= _BINS:
        return time_s, values
    edges = np.linspace(0, len(values), _BINS + 1).astype(int)[:-1]
    return time_s[edges], np.maximum.reduceat(values, edges)


def draw_error(curves: Mapping[str, Curves], path: Path) -> Path:
    """Draw the error of every step of a bag, one line per policy, and the layers that ran."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(11, 3.6), dpi=110, layout='constrained')
    error, layers = figure.subplots(2, 1, sharex=True, height_ratios=[2.2, 1])
    palette = colours(list(curves))
    for name, curve in curves.items():
        time_s = np.asarray(curve.time_s)
        for axes, values in ((error, curve.error), (layers, curve.layers)):
            axes.plot(*binned(time_s, np.asarray(values)), color=palette[name], linewidth=0.9,
                      label=name)
    error.set_ylabel('error')
    error.set_ylim(bottom=0)
    layers.set_ylim(bottom=0)
    layers.set_ylabel('layers run')
    layers.set_xlabel('seconds since the first message')
    error.legend(frameon=False, fontsize=8, ncols=len(curves), loc='upper right',
                 bbox_to_anchor=(1, 1.18))
    for axes in (error, layers):
        style(axes)
    figure.align_ylabels()
    figure.savefig(path)
    return path


def draw_axes(curves: Mapping[str, Curves], path: Path, centre_s: float) -> tuple[float, float]:
    """Draw predicted over recorded values, axis by axis.

    Args:
        curves: By policy, of one bag.
        path: Picture to write.
        centre_s: A longer bag is cut to the minute around this time.

    Returns:
        (first, last) second shown.
    """
    from matplotlib.figure import Figure
    figure = Figure(figsize=(11, 7.4), dpi=110, layout='constrained')
    rows = figure.subplots(len(LABELS), 1, sharex=True)
    palette = colours(list(curves))
    longest = np.asarray(next(iter(curves.values())).time_s)
    low, high = float(longest[0]), float(longest[-1])
    if high - low > _WINDOW_S:
        low = min(max(low, centre_s - _WINDOW_S / 2), high - _WINDOW_S)
        high = low + _WINDOW_S
    for index, (axes, label) in enumerate(zip(rows, LABELS, strict=True)):
        for number, (name, curve) in enumerate(curves.items()):
            time_s = np.asarray(curve.time_s)
            shown = (time_s >= low) & (time_s <= high)
            if not number:
                axes.plot(time_s[shown], np.asarray(curve.recorded).reshape(-1, 7)[shown, index],
                          color=_RECORDED, linewidth=1.2, label='recorded')
            axes.plot(time_s[shown], np.asarray(curve.predicted).reshape(-1, 7)[shown, index],
                      color=palette[name], linewidth=0.9, alpha=0.85, label=name)
        axes.set_ylabel(label)
        axes.set_ylim(-1.15, 1.15)
        style(axes)
    rows[0].legend(frameon=False, fontsize=8, ncols=len(curves) + 1, loc='upper right',
                   bbox_to_anchor=(1, 1.5))
    rows[-1].set_xlabel('seconds since the first message (action units, see the table)')
    figure.align_ylabels()
    figure.savefig(path)
    return low, high


def draw_axis_errors(errors: Mapping[str, Mapping[str, Any]], path: Path) -> Path:
    """Draw the mean absolute error per axis, one bar per policy."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(5.4, 2.9), dpi=110, layout='constrained')
    axes = figure.subplots()
    palette = colours(list(errors))
    filled = {name: e['mae'] for name, e in errors.items() if e['count']}
    width = 0.8 / max(1, len(filled))
    for k, (name, mae) in enumerate(filled.items()):
        axes.bar(np.arange(len(AXES)) + (k - (len(filled) - 1) / 2) * width,
                 [mae[axis] for axis in AXES], width, color=palette[name], label=name)
    axes.set_xticks(range(len(AXES)), AXES)
    axes.set_ylabel('mean absolute error')
    if filled:
        axes.legend(frameon=False, fontsize=8)
    style(axes)
    figure.savefig(path)
    return path


def draw_moment(moment: Moment, name: str, path: Path) -> Path:
    """Draw what was seen at a bad step beside both commands."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(7.6, 2.5), dpi=110, layout='constrained')
    pictures = list(moment.images.items())
    axes_list = figure.subplots(1, len(pictures) + 1, width_ratios=[1] * len(pictures) + [1.25])
    for axes, (title, image) in zip(axes_list, pictures, strict=False):
        axes.imshow(image, interpolation='nearest')
        axes.set_title(title, fontsize=8)
        axes.axis('off')
    bars = axes_list[-1]
    rows = np.arange(len(LABELS))
    bars.barh(rows - 0.2, moment.recorded, 0.38, color=_RECORDED, label='recorded')
    bars.barh(rows + 0.2, moment.predicted, 0.38, color=colours([name])[name], label=name)
    bars.set_yticks(rows, LABELS)
    bars.invert_yaxis()
    bars.set_xlim(-1.1, 1.1)
    bars.axvline(0, color='#b9c2cc', linewidth=0.8)
    bars.legend(frameon=False, fontsize=7, ncols=2, loc='lower center', bbox_to_anchor=(0.5, 1.0))
    style(bars)
    figure.savefig(path)
    return path
