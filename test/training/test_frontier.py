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
    assert averaged[0]['decoder_ms_range'] == [4, 6]


def test_from_training_to_the_frontier_by_command(weights, config, tmp_path, packed, capsys,
                                                  monkeypatch):
    """Three seeds of two strategies, calibrated, then measured; all are in table and plot."""
    import shutil

    import yaml

    from dysl_vla_ros.configuration import to_mapping
    options = tmp_path / 'options.yaml'
    options.write_text(yaml.safe_dump({**to_mapping(config), 'budgets': [0.75],
                                       'bisections': 2}))
    folders = [weights, *(shutil.copytree(weights, tmp_path / f'copy{i}') for i in (1, 2))]
    for seed, folder in enumerate(folders):
        assert main(['distill', '--strategy', 'truncated', 'dysl_joint', '--config', str(options),
                     '--weights', str(folder), '--out', str(tmp_path / f'run{seed}'),
                     '--seed', str(seed)]) == 0
    out = tmp_path / 'frontier'
    bars = []
    from matplotlib.axes import Axes
    original = Axes.errorbar
    monkeypatch.setattr(Axes, 'errorbar', lambda self, x, y, **given: bars.append(
        (given['label'], given['yerr'])) or original(self, x, y, **given))
    assert main(['frontier', '--checkpoint', *map(str, folders), '--data', str(packed),
                 '--out', str(out)]) == 0
    content = json.loads((out / 'frontier.json').read_text())
    found = {(p['strategy'], p['budget'], p['seed']) for p in content['points']}
    assert found == {('dense', None, 0)} | {
        (name, budget, seed) for seed in range(3)
        for name, budget in (('dysl', None), ('truncated', 0.75), ('dysl_joint', 0.75))}
    seeds = {r['strategy']: r['seeds'] for r in content['averaged']}
    assert seeds == {'dense': 1, 'dysl': 3, 'truncated': 3, 'dysl_joint': 3}
    trained = next(r for r in content['averaged'] if r['strategy'] == 'truncated')
    low, high = trained['pose_mae_range']
    assert low < trained['pose_mae'] < high  # the seeds differ
    ((down,), (up,)) = dict(bars)['truncated']
    assert down + up == pytest.approx(high - low)
    dense = next(p for p in content['points'] if p['strategy'] == 'dense')
    assert dense['share'] == 1.0
    assert dense['pose_mae_to_dense'] == 0.0
    assert next(p for p in content['points'] if p['strategy'] == 'truncated')['share'] \
        == pytest.approx(4 / 6)
    assert (out / 'frontier.png').read_bytes()[:4] == b'\x89PNG'
    text = capsys.readouterr().out
    assert f'{low:.4f}-{high:.4f}' in text
    assert text.count('truncated') >= 1
    assert 'dysl_joint' in text


def test_the_held_out_chains_alone_give_the_same_frames(weights, tmp_path, make_packed):
    """As dysl-vla collect --held-out-only makes them again from the seed."""
    from dysl_vla_ros.training.frontier import held_out_frames, load_points
    points = load_points([weights], ['dysl'])
    both = make_packed(tmp_path / 'both', seeds=(0, 1, 20, 2))
    import json as reader

    import numpy as np
    alone = make_packed(tmp_path / 'alone', seeds=(0, 20))
    index = reader.loads((both / 'episodes.json').read_text())
    keep = np.concatenate([np.arange(e['start'], e['end']) for e in index['episodes']
                           if e['seed'] % 20 == 0])
    for path in both.glob('*.npy'):
        np.save(alone / path.name, np.load(path)[keep])
    caches = [held_out_frames(points, [str(f)], 1, 1) for f in (both, alone)]
    assert [e.task for e in caches[0].held_out] == [e.task for e in caches[1].held_out]
    assert np.array_equal(caches[0].actions, caches[1].actions)
    assert np.array_equal(caches[0].media, caches[1].media)
    assert len(caches[0].train) == 0


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
