# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training curves as PNG."""

from pathlib import Path


def plot_curves(history: list[dict[str, float]], path: str | Path, title: str) -> None:
    """Plot every key of ``history`` but 'step' against 'step', one panel each."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot

    names = sorted({k for row in history for k in row} - {'step'})
    if not names:
        return
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(4.2 * columns, 2.8 * rows),
                                   squeeze=False)
    for axis, name in zip(axes.flat, names, strict=False):
        points = [(row['step'], row[name]) for row in history if name in row]
        axis.plot(*zip(*points, strict=True))
        axis.set_title(name)
        axis.set_xlabel('step')
        axis.grid(alpha=0.3)
    for axis in list(axes.flat)[len(names):]:
        axis.axis('off')
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
