# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of the report: what each layer did over time, and where the milliseconds went."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dysl_vla_ros.control.action_spec import CONTROL_RATE_HZ
from dysl_vla_ros.evaluation.recording import Recording
from dysl_vla_ros.skipping.step import GroupReason

# Classes of the heat map, in the order of their values.
SKIPPED, STATIC, DYNAMIC, FULL, VERIFIED, UNKNOWN = range(6)
CLASSES = (
    ('skipped', '#eceff3'), ('static, always runs', '#1f3a5f'), ('dynamic, ran', '#4f8fd0'),
    ('all layers (dense or warm-up)', '#9db4cc'), ('all layers, after verification', '#f2a33a'),
    ('no statistics received', '#ffffff'))
STRATEGY_COLOURS = {'dense': '#8a97a6', 'dysl': '#2f77bf', 'expert': '#7a9a4f'}
_TEXT, _MUTED, _EVENT = '#1d2733', '#66717e', '#c8553d'


def layer_classes(steps: Mapping[str, np.ndarray]) -> np.ndarray:
    """(n_layers, N) class of every layer at every step, from a recording's arrays."""
    executed = steps['executed']  # (N, L)
    count, n_layers = executed.shape
    classes = np.where(executed, STATIC, SKIPPED).astype(np.int8)
    for g, (first, last) in enumerate(steps['group_layers']):
        reason = steps['group_reason'][:, g]
        ran = executed[:, first:last + 1]
        part = np.where(ran, DYNAMIC, SKIPPED)
        part[(reason == GroupReason.VERIFIED)[:, None] & ran] = VERIFIED
        is_full = np.isin(reason, (GroupReason.DENSE, GroupReason.WARMUP))
        part[is_full[:, None] & ran] = FULL
        classes[:, first:last + 1] = part
    if not len(steps['group_layers']):
        classes[executed] = FULL
    classes[~steps['has_stats']] = UNKNOWN
    return classes.T.reshape(n_layers, count)


def gripper_events(actions: np.ndarray) -> list[tuple[int, str]]:
    """Steps at which the gripper command changes, and what it becomes.

    Args:
        actions: (N, 7); the last column is +1 (open) or -1 (close).
    """
    changes = np.flatnonzero(np.diff(actions[:, 6])) + 1
    return [(int(i), 'open' if actions[i, 6] > 0 else 'close') for i in changes]


def draw_timeline(recording: Recording, path: Path) -> Path:
    """Draw layers, continuity and gripper of one episode over one time axis."""
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    steps = recording.steps
    count = len(steps['actions'])
    period = 1 / CONTROL_RATE_HZ
    span = (0.0, max(count, 1) * period)
    figure = Figure(figsize=(11, 4.9), dpi=110, layout='constrained')
    heat, line, grip = figure.subplots(
        3, 1, sharex=True, gridspec_kw={'height_ratios': [3.4, 1.7, 0.7]})
    classes = layer_classes(steps)
    if classes.shape[0]:
        heat.imshow(classes, aspect='auto', interpolation='nearest', origin='lower',
                    extent=(*span, -0.5, classes.shape[0] - 0.5),
                    cmap=ListedColormap([colour for _, colour in CLASSES]),
                    norm=BoundaryNorm(np.arange(-0.5, len(CLASSES)), len(CLASSES)))
        present = [c for c in range(len(CLASSES)) if (classes == c).any()]
        heat.legend(handles=[Patch(facecolor=CLASSES[c][1], edgecolor='#b9c2cc',
                                   label=CLASSES[c][0]) for c in present],
                    loc='lower left', bbox_to_anchor=(0, 1.14), ncols=len(present), frameon=False,
                    fontsize=8, borderaxespad=0, handlelength=1.2, columnspacing=1.4)
        heat.set_yticks(range(0, classes.shape[0], max(1, classes.shape[0] // 6)))
    else:
        heat.text(0.5, 0.5, 'no layer statistics', transform=heat.transAxes, ha='center')
    heat.set_ylabel('decoder layer')
    time = np.arange(count) * period
    line.plot(time, steps['continuity'], color='#2f77bf', linewidth=1.1)
    verified = steps['is_verified'].astype(bool)
    if verified.any():
        line.plot(time[verified], steps['continuity'][verified], 'o', color='#f2a33a',
                  markersize=3.2, linestyle='none')
    line.set_ylabel('continuity $C_t$')
    if not np.isfinite(steps['continuity']).any():
        line.set_ylim(0, 1)
        line.text(0.5, 0.5, 'continuity is not computed by this strategy', ha='center',
                  va='center', transform=line.transAxes, fontsize=8, color=_MUTED)
    if count:  # none, if the policy gave up at once
        grip.step([*time, span[1]], np.append(steps['actions'][:, 6], steps['actions'][-1:, 6]),
                  where='post', color=_MUTED, linewidth=1.2)
    grip.set_ylim(-1.5, 1.5)
    grip.set_yticks([-1, 1], ['closed', 'open'])
    grip.set_xlabel('time in seconds (one control step is 1/30 s; the video has the same clock)')
    for step, _ in gripper_events(steps['actions']):
        for axes in (heat, line, grip):
            axes.axvline(step * period, color=_EVENT, linewidth=0.7, linestyle=':')
    _mark_subtasks(recording, (heat, line, grip), period)
    for axes in (heat, line, grip):
        style(axes)
    grip.set_xlim(*span)
    figure.align_ylabels()
    figure.savefig(path)
    return path


def _mark_subtasks(recording: Recording, axes_list: tuple[Any, ...], period: float) -> None:
    subtask = recording.steps['subtask']
    starts = [0, *(np.flatnonzero(np.diff(subtask)) + 1)] if len(subtask) else []
    shortest = len(subtask) * 0.05
    for k, start in enumerate(starts):
        stop = starts[k + 1] if k + 1 < len(starts) else len(subtask)
        if start:
            for axes in axes_list:
                axes.axvline(start * period, color=_TEXT, linewidth=1.0)
        index = int(subtask[start])
        done = index < int(recording.result['succeeded'])
        name = recording.spec.subtasks[index].task.replace('_', ' ')
        text = f'{index + 1}' if stop - start < shortest else (
            f'{index + 1} {name}' if stop - start > 3.2 * shortest else
            f'{index + 1} {name.replace(" ", chr(10), 1)}')
        # Two narrow labels next to each other do not fit: only the number is kept.
        if stop - start < 2.2 * shortest:
            text = f'{index + 1}'
        axes_list[0].text((start + stop) / 2 * period, 1.02, text, ha='center', va='bottom',
                          transform=axes_list[0].get_xaxis_transform(), fontsize=7.5,
                          linespacing=0.95, color='#2a7d46' if done else _EVENT)


def draw_latency(values: Mapping[str, np.ndarray], path: Path, label: str) -> Path:
    """Draw histograms of one latency, one per strategy, with their medians."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(5.4, 2.9), dpi=110, layout='constrained')
    axes = figure.subplots()
    filled = {name: v for name, v in values.items() if len(v)}
    if filled:
        together = np.concatenate(list(filled.values()))
        # A single slow step must not squeeze everything else into one bar.
        top = float(np.percentile(together, 99.5)) * 1.05
        bins = np.linspace(0.0, max(top, 1e-3), 60)
        for name, v in filled.items():
            colour = STRATEGY_COLOURS.get(name, '#555555')
            axes.hist(np.minimum(v, bins[-1]), bins=bins.tolist(), color=colour, alpha=0.6,
                      density=True, label=f'{name}: median {np.median(v):.2f} ms')
            axes.axvline(float(np.median(v)), color=colour, linewidth=1.6)
        axes.legend(frameon=False, fontsize=8)
    else:
        axes.text(0.5, 0.5, 'not measured', transform=axes.transAxes, ha='center')
    axes.set_xlabel(f'{label} in milliseconds (last bar: and more)')
    axes.set_yticks([])
    axes.set_ylabel('share of steps')
    style(axes)
    figure.savefig(path)
    return path


def draw_layer_shares(shares: Mapping[str, list[float]], path: Path) -> Path:
    """Draw the share of steps in which each layer ran, per strategy."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(5.4, 2.9), dpi=110, layout='constrained')
    axes = figure.subplots()
    filled = {name: s for name, s in shares.items() if s}
    width = 0.8 / max(1, len(filled))
    for k, (name, s) in enumerate(filled.items()):
        axes.bar(np.arange(len(s)) + (k - (len(filled) - 1) / 2) * width, s, width,
                 color=STRATEGY_COLOURS.get(name, '#555555'), label=name)
    axes.set_ylim(0, 1.18)
    axes.set_yticks([0, 0.5, 1], ['0 %', '50 %', '100 %'])
    axes.set_xlabel('decoder layer')
    axes.set_ylabel('steps in which it ran')
    if filled:
        longest = max(len(s) for s in filled.values())
        axes.set_xticks(range(0, longest, max(1, longest // 12)))
        axes.legend(frameon=False, fontsize=8, ncols=len(filled), loc='upper right')
    style(axes)
    figure.savefig(path)
    return path


def style(axes: Any) -> None:
    """Give axes the look of our reports."""
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
    for side in ('left', 'bottom'):
        axes.spines[side].set_color('#b9c2cc')
    axes.tick_params(labelsize=8, colors=_MUTED)
    axes.xaxis.label.set(size=8.5, color=_TEXT)
    axes.yaxis.label.set(size=8.5, color=_TEXT)
