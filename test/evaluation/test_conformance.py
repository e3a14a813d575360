# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The conformance check itself: met by our world, and not by a damaged vector."""

import json

import numpy as np
import pytest

from dysl_vla_ros.cli.__main__ import main
from dysl_vla_ros.errors import DatasetError
from dysl_vla_ros.evaluation import conformance

pytestmark = pytest.mark.sim


@pytest.mark.parametrize(('name', 'check'), [
    ('ref60_D_tiny.npz', conformance.check_trajectory),
    ('rel_action_vectors.json', conformance.check_relative_actions),
    ('scenes_start.json', conformance.check_starts),
    ('oracle_vectors.json', conformance.check_oracle)])
def test_our_world_conforms(reference_file, name, check):
    results = list(check(reference_file(f'calvin/{name}')))
    assert results
    assert [r for r in results if not r.is_met] == []


def test_one_changed_action_is_noticed(reference_file, tmp_path):
    data = dict(np.load(reference_file('calvin/ref60_D_tiny.npz'), allow_pickle=False))
    data['actions'] = data['actions'].copy()
    data['actions'][30, 0] += 0.05
    np.savez(tmp_path / 'ref_bad.npz', **data)
    failed = {c.name for c in conformance.check_trajectory(tmp_path / 'ref_bad.npz')
              if not c.is_met}
    assert 'TCP position [m]' in failed
    assert 'target position [m]' in failed


def test_one_wrong_judgement_fails_the_command(reference_file, tmp_path):
    data = json.loads(reference_file('calvin/oracle_vectors.json').read_text())
    data['vectors'] = data['vectors'][:3]
    data['vectors'][0]['achieved'] = ['open_drawer']
    (tmp_path / 'oracle.json').write_text(json.dumps(data))
    assert main(['conformance', str(tmp_path)]) == 2


def test_an_error_that_is_not_a_number_fails():
    check = conformance._errors('f', 'x', np.array([[0.0], [np.nan]]), 1.0)
    assert (check.passed, check.total, check.is_met) == (1, 2, False)


@pytest.mark.parametrize(('name', 'text', 'match'), [
    ('notes.txt', '', 'no vector file'), ('oracle.json', '{"vec', 'cannot be read'),
    ('oracle.json', '{}', 'not the documented layout'), ('ref.npz', 'PK', 'cannot be read')])
def test_folders_without_usable_vectors_are_named(tmp_path, name, text, match):
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=match):
        list(conformance.check_folder(tmp_path))
