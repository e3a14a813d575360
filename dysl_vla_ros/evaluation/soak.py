# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Verdicts of a long run: does memory grow, do the counts of messages add up.

Pure functions over what was sampled and counted; ``cli/soak.py`` runs the processes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Check:
    """One line of the verdict table.

    Attributes:
        name: What was checked.
        passed: Whether it holds.
        detail: The numbers.
    """

    name: str
    passed: bool
    detail: str


def slope(times_s: Sequence[float], values: Sequence[float]) -> float:
    """Least-squares slope in units of the values per second; 0 for fewer than two times."""
    if len(times_s) < 2 or min(times_s) == max(times_s):
        return 0.0
    return float(np.polyfit(np.asarray(times_s), np.asarray(values), 1)[0])


def memory_check(name: str, times_s: Sequence[float], memory_mb: Sequence[float],
                 warm_up_s: float, max_growth_mb: float) -> Check:
    """Whether the fitted line after the warm-up rises by no more than ``max_growth_mb``.

    Args:
        name: Of the process.
        times_s: (n,) when each sample was taken, from the start of the run.
        memory_mb: (n,) resident memory.
        warm_up_s: Samples before are left out: caches fill, the first worlds are built.
        max_growth_mb: Bound for slope times the length of what is left.
    """
    kept = [(t, m) for t, m in zip(times_s, memory_mb, strict=True) if t >= warm_up_s]
    if len(kept) < 3:
        return Check(f'memory of {name}', False, f'{len(kept)} samples after the warm-up of '
                     f'{warm_up_s:.0f} s, at least 3 are needed')
    times, values = zip(*kept, strict=True)
    rate = slope(times, values)
    growth = rate * (times[-1] - times[0])
    return Check(f'memory of {name}', growth <= max_growth_mb,
                 f'{values[0]:.1f} to {values[-1]:.1f} MB, fitted {3600 * rate:+.2f} MB per hour, '
                 f'{growth:+.2f} MB in {times[-1] - times[0]:.0f} s (bound {max_growth_mb:g})')


def balance(name: str, total: int, parts: Mapping[str, int], tolerance: int = 0) -> Check:
    """Whether the parts add up to the total.

    Args:
        name: What is counted.
        total: As one side counts it.
        parts: By name, as the other side counts them.
        tolerance: Messages that may be on their way.
    """
    rest = total - sum(parts.values())
    said = ' + '.join(f'{count} {part}' for part, count in parts.items() if count) or '0'
    return Check(name, abs(rest) <= tolerance,
                 f'{total} = {said}' + (f'; {rest:+d} left over' if rest else ''))


def counted(values: Mapping[str, str], prefix: str) -> dict[str, int]:
    """The counts in diagnostics whose key begins with ``prefix``, by the rest of the key."""
    return {key.removeprefix(prefix).strip(', '): int(value) for key, value in values.items()
            if key.startswith(prefix)}


def stream_checks(name: str, sent: int, values: Mapping[str, str]) -> list[Check]:
    """Sent against received, and received against used, for one stream of ``nodes/tally.py``.

    Args:
        name: Of the stream in the receiver's diagnostics.
        sent: Messages as the sender counts them.
        values: The receiver's diagnostics.
    """
    received = int(values.get(f'{name} received', 0))
    return [
        balance(f'{name}: sent = received + not received', sent,
                {'received': received, **counted(values, f'{name} not received')}, 2),
        balance(f'{name}: received = used + unused', received,
                {'used': int(values.get(f'{name} used', 0)), **counted(values, f'{name} unused'),
                 'open': int(values.get(f'{name} open', 0))})]


def message_checks(policy: Mapping[str, str], bridge: Mapping[str, str],
                   action_stamps: Sequence[int],
                   stats: Mapping[int, bool]) -> list[Check]:
    """All counts of messages.

    Args:
        policy: Last diagnostics of the policy node, all tasks together.
        bridge: Last diagnostics of the bridge, live mode, command interface action.
        action_stamps: Of the actions that the observer saw.
        stats: Per stamp of the statistics it saw, whether they give a reason for no action.
    """
    def p(key: str) -> int:
        return int(policy.get(key, 0))

    def b(key: str) -> int:
        return int(bridge.get(key, 0))

    actions = set(action_stamps)
    silent = [stamp for stamp, has_reason in stats.items()
              if stamp not in actions and not has_reason]
    return [
        *stream_checks('image_static', b('observations sent'), policy),
        *stream_checks('image_gripper', b('observations sent'), policy),
        balance('observations given to the policy', p('submitted'), {
            'actions': p('steps'), 'actions not sent': p('actions not sent'),
            'refused': p('observations refused'),
            'replaced while waiting': p('submitted and replaced')}),
        balance('actions: policy = observer', p('steps'), {'seen': len(action_stamps)}),
        balance('statistics: actions and reasons', len(stats), {
            'actions': len(actions & stats.keys()),
            'reasons': len(stats.keys() - actions) - len(silent)}),
        balance('actions without statistics', len(actions - stats.keys()), {}),
        *stream_checks('action', p('steps'), bridge),
        balance('steps of the world', b('steps'), {
            'by an action': b('action used'), 'held': b('steps held')}, 1)]


def draw_memory(times_s: Sequence[float], memory_mb: Mapping[str, Sequence[float]],
                marks_s: Sequence[float], path: Path) -> None:
    """Draw memory over time; ``marks_s`` are the lifecycle requests."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(8, 4))
    for name, values in memory_mb.items():
        axes.plot(np.asarray(times_s) / 60, values, label=name)
    for index, mark_s in enumerate(marks_s):
        axes.axvline(mark_s / 60, color='0.85', linewidth=0.8, zorder=0,
                     label='lifecycle request' if not index else None)
    axes.set(xlabel='minutes', ylabel='resident memory, MB')
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
