# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fault table as text for a terminal, as Markdown and as one HTML page."""

from collections.abc import Sequence
from html import escape
from typing import Any

from dysl_vla_ros.evaluation.html import table, tiles

HEAD = ('group', 'fault', 'required', 'last motion', 'limit', 'worst command', 'diagnostics',
        'back after', 'verdict')
_PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<title>Fault table</title><style>{style}</style></head><body><main><h1>Fault table</h1>
<p>{text}</p>{tiles}{table}</main></body></html>
"""


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Count the verdicts and find the slowest stop."""
    stops = [row for row in rows if row['stop_ms'] is not None]
    slowest = max(stops, key=lambda row: float(row['stop_ms']), default=None)
    return {'cases': len(rows), 'passed': sum(not row['problem'] for row in rows),
            'failed': [row['fault'] for row in rows if row['problem']],
            'stopping': len(stops), 'recovered': sum(r['recovery_ms'] is not None for r in rows),
            'slowest_stop_ms': slowest['stop_ms'] if slowest else None,
            'slowest_stop': slowest['fault'] if slowest else '',
            'limit_ms': slowest['limit_ms'] if slowest else None}


def headline(rows: Sequence[dict[str, Any]]) -> str:
    """One sentence."""
    found = summary(rows)
    text = f'{found["passed"]} of {found["cases"]} cases passed, {found["recovered"]} recovered'
    if found['slowest_stop_ms'] is not None:
        text += (f'; slowest of {found["stopping"]} stops: {found["slowest_stop_ms"]:.0f} ms '
                 f'({found["slowest_stop"]}), limit {found["limit_ms"]:.0f} ms')
    return text


def cells(row: dict[str, Any]) -> list[str]:
    """One line of the table, plain text, in the order of HEAD."""
    def ms(value: float | None) -> str:
        return '-' if value is None else f'{value:.0f} ms'

    worst = f'{row["speed_m_s"]:.2f} m/s, {row["speed_rad_s"]:.2f} rad/s'
    if row['age_ms']:
        worst += f', {row["age_ms"]:.0f} ms old'
    return [row['group'], _one_line(row['fault']), row['required'], ms(row['stop_ms']),
            ms(row['limit_ms']), worst, _one_line(row['cause']) or '-',
            f'{ms(row["recovery_ms"])} ({row["recovery"]})' if row['recovery_ms'] is not None
            else 'never', 'FAIL: ' + _one_line(row['problem']) if row['problem'] else 'PASS']


def _one_line(text: str, limit: int = 160) -> str:
    line = ' '.join(text.split())
    return line if len(line) <= limit else line[:limit - 3] + '...'


def to_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A pipe table under its headline."""
    lines = [HEAD, ('---',) * len(HEAD), *map(cells, rows)]
    text = '\n'.join('| ' + ' | '.join(c.replace('|', '\\|') for c in line) + ' |'
                     for line in lines)
    return f'# Fault table\n\n{headline(rows)}.\n\n{text}\n'


def to_html(rows: Sequence[dict[str, Any]], style: str) -> str:
    """A page without outside resources; ``style`` is a style sheet."""
    found = summary(rows)
    marked = []
    for row in rows:
        line = [escape(cell) for cell in cells(row)]
        line[-1] = f'<span class="{"failed" if row["problem"] else "ok"}">{line[-1]}</span>'
        marked.append(line)
    numbers = [(f'{found["passed"]} / {found["cases"]}', 'cases passed'),
               (str(found['recovered']), 'recovered without a restart of the machine'),
               ('-' if found['slowest_stop_ms'] is None else f'{found["slowest_stop_ms"]:.0f} ms',
                'slowest stop')]
    return _PAGE.format(style=style, text=escape(headline(rows)), tiles=tiles(numbers),
                        table=table(HEAD, marked))
