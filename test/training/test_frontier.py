# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The frontier compares strategies on equal frames and hides no loser."""

import json

import pytest

from dysl_vla_ros.cli.__main__ import main
from dysl_vla_ros.training.frontier import average_seeds, mark_frontier


def row(name, ms, error, budget=None, seed=0):
    return {'strategy': name, 'budget': budget, 'seed': seed, 'steps': 1, 'share': 1.0,
            'decoder_ms': {'p50': ms, 'p95': ms, 'mean': ms}, 'relative_time': 1.0,
            'pose_mae': error, 'pose_mae_to_dense': 0.0, 'gripper_error': 0.0}


def test_a_point_is_beaten_only_in_both_respects():
    rows = [row('dense', 8, 0.10), row('good', 4, 0.11), row('slow', 5, 0.12), row('bad', 3, 0.5),
            row('late', 9, 0.10)]
    assert mark_frontier(rows) == [True, True, False, True, False]


def test_seeds_are_averaged_per_setting_with_their_range():
    rows = [row('a', 4, 0.1, 0.5, 0), row('a', 6, 0.3, 0.5, 1), row('a', 2, 0.4, 0.3, 0)]
    averaged = average_seeds(rows)
    assert [(r['budget'], r['seeds']) for r in averaged] == [(0.5, 2), (0.3, 1)]
    assert averaged[0]['decoder_ms']['mean'] == 5
    assert averaged[0]['pose_mae'] == pytest.approx(0.2)
    assert averaged[0]['pose_mae_range'] == [0.1, 0.3]


def test_from_training_to_the_frontier_by_command(weights, config, tmp_path, packed, capsys):
    """Two seeds of two strategies, calibrated, then measured; every point is in the table."""
    import shutil

    import yaml

    from dysl_vla_ros.configuration import to_mapping
    options = tmp_path / 'options.yaml'
    options.write_text(yaml.safe_dump({**to_mapping(config), 'budgets': [0.75],
                                       'bisections': 2}))
    other = shutil.copytree(weights, tmp_path / 'other')
    for folder, seed in ((weights, 0), (other, 1)):
        assert main(['distill', '--strategy', 'truncated', 'dysl_joint', '--config', str(options),
                     '--weights', str(folder), '--out', str(tmp_path / f'run{seed}'),
                     '--seed', str(seed)]) == 0
    out = tmp_path / 'frontier'
    assert main(['frontier', '--checkpoint', str(weights), str(other), '--data', str(packed),
                 '--out', str(out)]) == 0
    content = json.loads((out / 'frontier.json').read_text())
    found = {(p['strategy'], p['budget'], p['seed']) for p in content['points']}
    assert found == {('dense', None, 0), ('dysl', None, 0), ('dysl', None, 1),
                     ('truncated', 0.75, 0), ('truncated', 0.75, 1),
                     ('dysl_joint', 0.75, 0), ('dysl_joint', 0.75, 1)}
    dense = next(p for p in content['points'] if p['strategy'] == 'dense')
    assert dense['share'] == 1.0
    assert dense['pose_mae_to_dense'] == 0.0
    assert next(p for p in content['points'] if p['strategy'] == 'truncated')['share'] \
        == pytest.approx(4 / 6)
    assert (out / 'frontier.png').read_bytes()[:4] == b'\x89PNG'
    text = capsys.readouterr().out
    assert text.count('truncated') >= 1
    assert 'dysl_joint' in text


def test_other_weights_and_missing_files_are_refused(weights, tmp_path, packed, capsys):
    import shutil
    (weights / 'skipping.json').unlink()
    assert main(['frontier', '--checkpoint', str(weights), '--data', str(packed)]) == 1
    assert 'distill --strategy all' in capsys.readouterr().err
    other = shutil.copytree(weights, tmp_path / 'other')
    with (other / 'model.safetensors').open('ab') as stream:
        stream.write(b'x')
    assert main(['frontier', '--checkpoint', str(weights), str(other)]) == 1
    assert 'different weights' in capsys.readouterr().err
