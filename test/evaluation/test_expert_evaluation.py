# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The upper bound of the results tables: counted wrongly, every comparison with it is wrong."""

import json

import pytest

from dysl_vla_ros.cli.__main__ import main
from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.evaluation import expert


def result(episode_id, succeeded, reason=None):
    return {'episode_id': episode_id, 'succeeded': succeeded, 'subtasks': ['stack_block'],
            'steps': [20], 'interrupted': 0, 'scene': 'calvin_scene_D', 'reason': reason}


def test_failures_name_task_reason_and_an_id_that_replays():
    lost = result('D.stack_block.17', 0, 'no success in 360 steps')
    summary = expert.summarize([result('D.stack_block.1', 1), lost])
    assert summary['failures'] == [{
        'episode_id': 'D.stack_block.17', 'scene': 'calvin_scene_D', 'task': 'stack_block',
        'position': 1, 'reason': 'no success in 360 steps'}]
    assert summary['metrics']['calvin_scene_D']['per_task']['stack_block']['value'] == 0.5
    spec, scene = expert.episode_by_id('D.stack_block.17')
    again = expert.single_episode('calvin_scene_D', 'stack_block', 17)
    assert scene == 'calvin_scene_D'
    assert spec.to_mapping() == again.to_mapping()


@pytest.mark.parametrize('episode_id', ['', 'stack_block', 'D.stack_block.x', 'chain.1000'])
def test_a_wrong_id_is_an_error(episode_id):
    with pytest.raises(ConfigError, match='expected SCENE'):
        expert.episode_by_id(episode_id)


@pytest.mark.sim
def test_an_interrupted_run_continues(tmp_path):
    words = ['expert', '--tasks', 'turn_on_led', '--starts', '2', '--workers', '1', '--out',
             str(tmp_path)]
    assert main(words) == 0
    whole = json.loads((tmp_path / 'expert.json').read_text())
    lines = (tmp_path / 'episodes.jsonl').read_text().splitlines()
    (tmp_path / 'episodes.jsonl').write_text(lines[0] + '\n' + lines[1][:10])
    assert main(words) == 0
    assert json.loads((tmp_path / 'expert.json').read_text()) == whole
    assert len(whole['episodes']) == 2
    assert len(expert.read_episodes(tmp_path / 'episodes.jsonl')) == 2


@pytest.mark.sim
def test_a_run_records_its_physics_and_takes_no_results_of_another(tmp_path, capsys):
    words = ['expert', '--tasks', 'turn_on_led', '--starts', '1', '--workers', '1', '--out',
             str(tmp_path), '--physics']
    assert main([*words, 'fast']) == 0
    content = json.loads((tmp_path / 'expert.json').read_text())
    assert {content['physics'], content['episodes'][0]['physics']} == {'fast'}
    capsys.readouterr()
    assert main([*words, 'calvin']) == 1
    assert "holds results of physics ['fast'], not 'calvin'" in capsys.readouterr().err
    assert main([*words, 'turbo']) == 1
    assert "unknown physics 'turbo'" in capsys.readouterr().err
