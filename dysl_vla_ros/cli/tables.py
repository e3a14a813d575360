# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Results as tables in the terminal."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from dysl_vla_ros.evaluation.metrics import paired_difference
from dysl_vla_ros.evaluation.results import strategy_label


def show_scores(runs: Sequence[dict[str, Any]], console: Console | None = None) -> None:
    """CALVIN's table with 95 % intervals, then the rate per task."""
    console = console or Console()
    longest = max(len(r['metrics']['success_rates']) for r in runs)
    table = Table(title=f'{runs[0]["suite"]}: subtasks in a row, with 95 % intervals')
    for name in ('strategy', 'n', *(str(i) for i in range(1, longest + 1)), 'average length'):
        table.add_column(name)
    for r in runs:
        rates = [rate_text(e) for e in r['metrics']['success_rates']]
        length = r['metrics']['average_length']
        table.add_row(strategy_label(r), str(length['count']), *rates,
                      *[''] * (longest - len(rates)),
                      f'{length["value"]:.2f}\n{length["low"]:.2f}-{length["high"]:.2f}',
                      style='bold' if r['strategy'] == 'dysl' else None)
    console.print(table)
    tasks = Table(title='Success per attempted task')
    tasks.add_column('task')
    for r in runs:
        tasks.add_column(strategy_label(r))
    for name in sorted({t for r in runs for t in r['metrics']['per_task']}):
        estimates = [r['metrics']['per_task'].get(name) for r in runs]
        tasks.add_row(name, *[f'{round(e["value"] * e["count"])}/{e["count"]}' if e else '-'
                              for e in estimates])
    console.print(tasks)
    for other in runs[1:]:
        difference = paired_difference(runs[0]['episodes'], other['episodes'])
        console.print(f'{runs[0]["strategy"]} - {other["strategy"]}, paired by episode: '
                      f'{difference.value:+.2f} subtasks [{difference.low:+.2f}, '
                      f'{difference.high:+.2f}], {difference.count} episodes')


def show_costs(runs: Sequence[dict[str, Any]], console: Console | None = None) -> None:
    """Latency of decoder and whole step, and the layers that ran."""
    console = console or Console()
    table = Table(title='Cost per control step (milliseconds: median / p95)')
    for name in ('strategy', 'decoder', 'policy', 'node', 'layers run', 'verified'):
        table.add_column(name)
    for r in runs:
        layers = r['layers']
        has_layers = bool(layers['n_layers'])
        table.add_row(
            strategy_label(r), *(stage_text(r['timing_ms'][s])
                             for s in ('decoder_ms', 'total_ms', 'latency_ms')),
            f'{layers["total"]["mean"]:.2f} of {layers["n_layers"]}' if has_layers else '-',
            f'{layers["verified_share"]:.1%}' if has_layers else '-')
    console.print(table)


def show_control(run: dict[str, Any], console: Console | None = None) -> None:
    """Live mode: whether the rate was held, and wall time from observation to action."""
    period, age = run['control']['period_ms'], run['timing_ms']['latency_ms']
    table = Table(title='Live control')
    for name in ('rate, Hz', 'period p50 / p99, ms', 'observation to action p50 / p99, ms',
                 'held steps'):
        table.add_column(name)
    table.add_row(f'{1e3 / period["mean"]:.1f}', f'{period["p50"]:.1f} / {period["p99"]:.1f}',
                  f'{age["p50"]:.1f} / {age["p99"]:.1f}' if age['count'] else '-',
                  f'{run["control"]["held_share"]:.1%}')
    (console or Console()).print(table)


def rate_text(estimate: dict[str, Any]) -> str:
    """A rate and below it its interval, in percent."""
    return (f'{100 * estimate["value"]:.0f} %\n{100 * estimate["low"]:.0f}-'
            f'{100 * estimate["high"]:.0f}')


def stage_text(summary: dict[str, Any]) -> str:
    """Median and 95th percentile, or a dash."""
    return f'{summary["p50"]:.2f} / {summary["p95"]:.2f}' if summary['count'] else '-'
