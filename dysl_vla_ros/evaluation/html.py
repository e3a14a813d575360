# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small pieces of HTML that the reports share: pages without scripts or outside resources."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template


def fill_template(name: str, **parts: str) -> str:
    """Fill ``evaluation/<name>``; ``$style`` is the reports' common style sheet."""
    room = files('dysl_vla_ros.evaluation')
    style = room.joinpath('report_style.css').read_text(encoding='utf-8')
    text = room.joinpath(name).read_text(encoding='utf-8')
    return Template(text).substitute(style=style, **parts)


def number(value: float | None, digits: int = 2, unit: str = '') -> str:
    """Return a number, or the words that it was not measured."""
    return 'not measured' if value is None else f'{value:.{digits}f}{unit}'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """HTML table; cells are HTML already."""
    cells = ''.join('<tr>' + ''.join(f'<td>{c}</td>' for c in row) + '</tr>' for row in rows)
    return ('<div class="scroll"><table><thead><tr>' + ''.join(f'<th>{h}</th>' for h in head)
            + f'</tr></thead><tbody>{cells}</tbody></table></div>')


def bullet_list(items: Sequence[str]) -> str:
    """HTML list of plain texts."""
    return '<ul>' + ''.join(f'<li>{escape(item)}</li>' for item in items) + '</ul>'


def tiles(pairs: Sequence[tuple[str, str]]) -> str:
    """Big numbers with a line of text each, both plain."""
    return '<div class="tiles">' + ''.join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(text)}</span></div>'
        for value, text in pairs) + '</div>'


def pictures(named: Sequence[tuple[str, str]]) -> str:
    """Images beside each other, from (file in assets, alternative text)."""
    return '<div class="pictures">' + ''.join(
        f'<img src="assets/{name}" alt="{escape(alt)}">' for name, alt in named) + '</div>'
