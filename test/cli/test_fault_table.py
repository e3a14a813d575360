# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fault table that people read says the same as its numbers."""

from dysl_vla_ros.cli.fault_table import HEAD, cells, headline, summary, to_html, to_markdown

GOOD = {'group': 'camera', 'fault': 'static camera lost', 'required': 'stop', 'limit_ms': 120.0,
        'stop_ms': 38.4, 'recovery_ms': 31.0, 'cause': 'image_static: 267 ms old',
        'speed_m_s': 0.06, 'speed_rad_s': 0.0, 'age_ms': 36.0, 'recovery': 'input', 'problem': ''}
HARMLESS = {**GOOD, 'fault': 'another <size>', 'required': 'go on', 'limit_ms': None,
            'stop_ms': None, 'cause': ''}
LATE = {**GOOD, 'fault': 'deadman | silent', 'stop_ms': 480.0, 'recovery_ms': None,
        'problem': '480 ms to the last motion,\nlimit 120'}
ROWS = [GOOD, HARMLESS, LATE]


def test_the_summary_counts_and_names_the_slowest():
    found = summary(ROWS)
    assert (found['cases'], found['passed'], found['failed']) == (3, 2, ['deadman | silent'])
    assert (found['stopping'], found['recovered'], found['slowest_stop_ms']) == (2, 2, 480.0)
    assert headline(ROWS).startswith('2 of 3 cases passed, 2 recovered; slowest of 2 stops: 480')
    assert headline([HARMLESS]) == '1 of 1 cases passed, 1 recovered'


def test_a_line_has_every_column():
    assert cells(GOOD) == ['camera', 'static camera lost', 'stop', '38 ms', '120 ms',
                           '0.06 m/s, 0.00 rad/s, 36 ms old', 'image_static: 267 ms old',
                           '31 ms (input)', 'PASS']
    assert cells(LATE)[-2:] == ['never', 'FAIL: 480 ms to the last motion, limit 120']
    assert all(len(cells(row)) == len(HEAD) for row in ROWS)


def test_markdown_is_one_table():
    lines = to_markdown(ROWS).splitlines()[4:]
    assert len(lines) == 5
    assert {line.replace('\\|', '').count('|') for line in lines} == {len(HEAD) + 1}


def test_html_is_escaped_and_marks_the_failures():
    page = to_html(ROWS, 'body {}')
    assert 'another &lt;size&gt;' in page
    assert page.count('<span class="ok">PASS') == 2
    assert page.count('<span class="failed">FAIL') == 1
