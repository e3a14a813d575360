# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The frontier plot: mean decoder time against pose error, one line per strategy."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

_OURS = {'dysl_joint': '#c1121f', 'dysl': '#1d5fa8', 'dense': '#222222'}
_OTHERS = ('#2a9d8f', '#e9a03b', '#8a5fbf', '#7f8c4d', '#d97b9b', '#6c757d', '#4cb0d6', '#a0703c',
           '#5b8c3e', '#b5651d', '#7d9fb0', '#99582a')
_MARKERS = 'osD^v<>Pph*X'


def draw_frontier(rows: Sequence[dict[str, Any]], flags: Sequence[bool], path: Path,
                  title: str) -> None:
    """Write the plot as PNG.

    Args:
        rows: Of ``training.frontier.average_seeds``.
        flags: Of ``training.frontier.mark_frontier``: these points get a ring.
        path: Target.
        title: One line.
    """
    from matplotlib.figure import Figure
    figure = Figure(figsize=(8.2, 4.8), dpi=120, layout='constrained')
    axes = figure.subplots()
    names = list(dict.fromkeys(row['strategy'] for row in rows))
    others = [n for n in names if n not in _OURS]
    for name in names:
        mine = sorted((r for r in rows if r['strategy'] == name),
                      key=lambda r: r['decoder_ms']['mean'])
        x = [r['decoder_ms']['mean'] for r in mine]
        y = [r['pose_mae'] for r in mine]
        colour = _OURS.get(name) or _OTHERS[others.index(name) % len(_OTHERS)]
        marker = 'o' if name in _OURS else _MARKERS[1 + others.index(name) % (len(_MARKERS) - 1)]
        axes.errorbar(x, y, yerr=_spread(y, [r['pose_mae_range'] for r in mine]),
                      xerr=_spread(x, [r['decoder_ms_range'] for r in mine]),
                      color=colour, marker=marker, label=name,
                      linewidth=2.0 if name in _OURS else 1.0, elinewidth=1.0,
                      markersize=7 if name in _OURS else 5,
                      alpha=1.0 if name in _OURS else 0.85, capsize=2)
    best = [r for r, flag in zip(rows, flags, strict=True) if flag]
    axes.plot([r['decoder_ms']['mean'] for r in best], [r['pose_mae'] for r in best], 'o',
              markersize=13, markerfacecolor='none', markeredgecolor='#333333',
              markeredgewidth=1.0, linestyle='none', label='not beaten')
    axes.set_xlabel('mean decoder time per step, milliseconds')
    axes.set_ylabel('pose error against demonstrations\n(mean absolute, action units)')
    axes.set_xlim(left=0)
    axes.set_title(title, fontsize=9.5, loc='left')
    axes.grid(alpha=0.25)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
    figure.legend(frameon=False, fontsize=8, loc='outside right upper')
    figure.savefig(path)


def _spread(means: Sequence[float], ranges: Sequence[Sequence[float]]) -> list[list[float]]:
    """Lengths of error bars down and up: from the least to the largest over the seeds."""
    return [[m - low for m, (low, _) in zip(means, ranges, strict=True)],
            [high - m for m, (_, high) in zip(means, ranges, strict=True)]]
