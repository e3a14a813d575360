# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The report: self-contained, complete and without markup from data."""

from html.parser import HTMLParser

import numpy as np
import pytest

from dysl_vla_ros.errors import DatasetError
from dysl_vla_ros.evaluation import plots
from dysl_vla_ros.evaluation.report import NOT_MEASURED, write_report
from dysl_vla_ros.skipping.step import GroupReason


class Page(HTMLParser):
    """Collects references, text and unbalanced tags."""

    VOID = {'meta', 'link', 'img', 'br'}

    def __init__(self, text):
        super().__init__()
        self.references, self.stack, self.tags, self.text = [], [], [], ''
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.stack.append(tag)
        self.references += [v for k, v in attributes if k in ('src', 'href', 'poster')]

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def page(record_run, tmp_path):
    index = write_report([record_run('dysl'), record_run('dense')], tmp_path / 'report',
                         notes=['<b>a note</b>'])
    parsed = Page(index.read_text(encoding='utf-8'))
    assert 'expert (privileged' not in parsed.text
    return index, parsed


def test_everything_it_refers_to_lies_in_its_own_folder(page):
    index, parsed = page
    files = [r for r in parsed.references if not r.startswith('data:,')]
    assert len(files) >= 3 + 4  # two histograms, layers, and one timeline per episode
    for name in files:
        assert '://' not in name
        assert (index.parent / name).is_file(), name


def test_markup_is_balanced_and_data_is_escaped(page):
    _, parsed = page
    assert parsed.stack == []
    assert 'script' not in parsed.tags
    assert '<bad> & "name"' in parsed.text
    assert '<b>a note</b>' in parsed.text


def test_it_says_what_was_not_measured_and_shows_both_runs(page):
    _, parsed = page
    assert all(sentence in parsed.text for sentence in NOT_MEASURED)
    for text in ('dysl', 'dense', '1 of 2', '2 of 2', 'failed, 50 steps used up',
                 'success after 8 steps', 'No video was recorded'):
        assert text in parsed.text


def test_the_expert_stands_beside_policies_and_is_named_as_what_it_is(record_run, tmp_path):
    folders = [record_run(name) for name in ('dysl', 'dense', 'expert')]
    parsed = Page(write_report(folders, tmp_path / 'report').read_text(encoding='utf-8'))
    assert parsed.text.count('expert (privileged state)') >= 4  # scores, tasks, costs, chains
    assert 'It is the upper bound of this table' in parsed.text
    assert 'dysl minus expert' in parsed.text


def test_writing_again_removes_pictures_of_the_old_report(page, record_run, tmp_path):
    index, _ = page
    stale = index.parent / 'assets' / 'stale.png'
    stale.write_bytes(b'')
    write_report([tmp_path / 'dysl'], index.parent)
    assert not stale.exists()


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r'results\.json'):
        write_report([tmp_path], tmp_path / 'report')


def test_the_heat_map_classes_follow_the_reasons():
    reasons = [GroupReason.SKIPPED, GroupReason.VERIFIED, GroupReason.WARMUP, GroupReason.KEPT]
    executed = np.array([[1, 1, 0], [1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1]], bool)
    steps = {'executed': executed, 'group_layers': np.array([[1, 2]]),
             'group_reason': np.array([[int(r)] for r in [*reasons, GroupReason.KEPT]]),
             'has_stats': np.array([True] * 4 + [False])}
    classes = plots.layer_classes(steps)
    assert classes[:, :4].T.tolist() == [
        [plots.STATIC, plots.DYNAMIC, plots.SKIPPED],
        [plots.STATIC, plots.VERIFIED, plots.VERIFIED],
        [plots.STATIC, plots.FULL, plots.FULL],
        [plots.STATIC, plots.DYNAMIC, plots.DYNAMIC]]
    assert (classes[:, 4] == plots.UNKNOWN).all()


def test_gripper_events_name_the_step_of_the_new_command():
    actions = np.zeros((5, 7))
    actions[:, 6] = [1, 1, -1, -1, 1]
    assert plots.gripper_events(actions) == [(2, 'close'), (4, 'open')]
