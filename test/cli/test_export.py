# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla export``: nothing may be left out without being asked for and listed."""

import json

from fakes.calvin_split import write_split
import pytest

from dysl_vla_ros.cli.__main__ import main


@pytest.fixture
def dataset(tmp_path):
    write_split(tmp_path / 'data/training')
    return tmp_path / 'data'


@pytest.mark.parametrize(('to', 'result'), [
    ('rosbag2', '000002_open_drawer/metadata.yaml'), ('lerobot', 'meta/info.json')])
def test_a_dataset_is_exported(dataset, tmp_path, to, result, capsys):
    out = tmp_path / 'out'
    assert main(['export', str(dataset), '--to', to, '--out', str(out)]) == 0
    assert (out / result).is_file()
    assert '3 demonstrations' in capsys.readouterr().out
    assert main(['export', str(dataset), '--to', to, '--out', str(out)]) == 1
    assert 'not empty' in capsys.readouterr().err


def test_damaged_demonstrations_are_left_out_and_listed_on_request_only(dataset, tmp_path, capsys):
    damaged = dataset / 'training/episode_0000101.npz'
    damaged.write_bytes(damaged.read_bytes()[:99])
    arguments = ['export', str(dataset), '--to', 'lerobot', '--out']
    assert main([*arguments, str(tmp_path / 'a')]) == 1
    assert str(damaged) in capsys.readouterr().err
    assert not (tmp_path / 'a').exists()
    assert main([*arguments, str(tmp_path / 'b'), '--skip-damaged']) == 0
    output = capsys.readouterr().out
    assert f'skipped: {damaged}' in output
    assert '2 demonstrations' in output
    assert json.loads((tmp_path / 'b/meta/info.json').read_text())['total_episodes'] == 2


def test_the_dataset_command_names_damaged_frames_and_fails(dataset, capsys):
    assert main(['dataset', str(dataset)]) == 0
    assert 'open_drawer' in capsys.readouterr().out
    damaged = dataset / 'training/episode_0000101.npz'
    damaged.unlink()
    assert main(['dataset', str(dataset), '--index-only']) == 0
    capsys.readouterr()
    assert main(['dataset', str(dataset)]) == 1
    assert 'episode_0000101.npz: no such frame file' in capsys.readouterr().out
