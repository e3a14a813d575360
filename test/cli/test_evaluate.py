# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla evaluate``: the right suite, results on disk, old results never mixed with new."""

import json

from fake_rollout import FakeFactory
import pytest

from dysl_vla_ros.cli.__main__ import main

pytestmark = pytest.mark.sim


@pytest.fixture
def weights(tmp_path):
    """A folder that looks like weights; the fake factory never reads it."""
    folder = tmp_path / 'weights'
    folder.mkdir()
    (folder / 'model.safetensors').write_bytes(b'weights')
    return str(folder)


@pytest.fixture
def faked(monkeypatch):
    from dysl_vla_ros.evaluation import inprocess
    monkeypatch.setattr(inprocess, 'CheckpointFactory', lambda *args, **_: FakeFactory(args[1], 5))


def test_a_run_leaves_complete_results(tmp_path, weights, faked, capsys):
    out = tmp_path / 'run'
    suite_file = tmp_path / 'suite.json'
    assert main(['evaluate', '--suite', 'furniture-singles', '--count', '4',
                 '--save-suite', str(suite_file)]) == 0
    assert main(['evaluate', '--suite', str(suite_file), '--count', '3', '--in-process',
                 '--strategy', 'dense', '--checkpoint', weights, '--out', str(out)]) == 0
    results = json.loads((out / 'results.json').read_text())
    assert [e['succeeded'] for e in results['episodes']] == [1, 1, 1]
    assert results['strategy'] == 'dense'
    assert results['metrics']['average_length']['value'] == 1.0
    assert results['layers']['total']['mean'] == 10
    assert results['calvin']['furniture-singles/dense']['chain_sr'] == {'1': 1.0}
    assert results['manifest']['checkpoint']['sha256'].keys() == {'model.safetensors'}
    assert 'average length' in capsys.readouterr().out.replace('\n', ' ')


def test_a_folder_with_results_is_not_mixed_with_new_ones(tmp_path, weights, faked, capsys):
    arguments = ['evaluate', '--suite', 'demo', '--count', '1', '--in-process',
                 '--checkpoint', weights, '--out', str(tmp_path / 'run')]
    assert main(arguments) == 0
    assert main(arguments) == 1
    assert 'already holds episodes' in capsys.readouterr().err


def test_missing_weights_are_an_error_before_anything_is_written(tmp_path, capsys):
    out = tmp_path / 'run'
    assert main(['evaluate', '--suite', 'demo', '--in-process', '--checkpoint',
                 str(tmp_path / 'none'), '--out', str(out)]) == 1
    assert 'model.safetensors' in capsys.readouterr().err
    assert not out.exists()


def test_the_demo_compares_both_strategies_and_writes_the_report(
        tmp_path, weights, faked, capsys):
    arguments = ['demo', '--in-process', '--no-videos', '--chains', '2', '--dense-chains', '1',
                 '--checkpoint', weights, '--runs', str(tmp_path / 'runs'),
                 '--out', str(tmp_path / 'report')]
    assert main(arguments) == 0
    assert main(arguments) == 0  # again: its own folders are replaced
    output = capsys.readouterr().out
    assert 'dysl' in output
    assert 'dense' in output
    page = (tmp_path / 'report' / 'index.html').read_text()
    assert 'The dense comparison ran 1 of 2 chains' in page


def test_the_demo_may_show_the_upper_bound_beside_the_policies(
        tmp_path, weights, faked, monkeypatch, capsys):
    from dysl_vla_ros.evaluation import expert_policy
    monkeypatch.setattr(expert_policy, 'ExpertFactory', lambda *_: FakeFactory('expert', 5))
    assert main(['demo', '--in-process', '--no-videos', '--chains', '1', '--expert',
                 '--checkpoint', weights, '--runs', str(tmp_path / 'runs'),
                 '--out', str(tmp_path / 'report')]) == 0
    output = capsys.readouterr().out
    assert 'dysl - dense, paired' in output
    assert 'dysl - expert, paired' in output
    page = (tmp_path / 'report' / 'index.html').read_text()
    assert page.count('expert (privileged state)') >= 3


def test_live_mode_needs_ros(tmp_path, weights, faked, capsys):
    assert main(['evaluate', '--suite', 'demo', '--in-process', '--mode', 'live',
                 '--checkpoint', weights, '--out', str(tmp_path / 'run')]) == 1
    assert '--mode live runs over ROS' in capsys.readouterr().err


def test_the_expert_is_a_strategy_without_weights(tmp_path, capsys):
    out = tmp_path / 'run'
    suite = tmp_path / 'suite.json'
    from dysl_vla_ros.evaluation.expert import single_episode
    from dysl_vla_ros.evaluation.suites import Suite, save_suite
    save_suite(Suite('one', (single_episode('calvin_scene_D', 'turn_on_led', 0),)), suite)
    assert main(['evaluate', '--suite', str(suite), '--strategy', 'expert', '--in-process',
                 '--checkpoint', 'no such folder', '--out', str(out)]) == 0
    results = json.loads((out / 'results.json').read_text())
    assert results['strategy'] == 'expert'
    assert results['metrics']['average_length']['value'] == 1.0
    assert results['manifest']['checkpoint'] is None
    assert results['manifest']['config']['privileged_state'] is True
    assert '(privileged' in capsys.readouterr().out


def test_fast_physics_needs_one_process_and_a_name(tmp_path, weights, faked, capsys):
    words = ['evaluate', '--suite', 'demo', '--checkpoint', weights, '--out',
             str(tmp_path / 'run'), '--physics']
    assert main([*words, 'fast']) == 1
    assert 'add --in-process' in capsys.readouterr().err
    assert main([*words, 'turbo', '--in-process']) == 1
    assert "unknown physics 'turbo'" in capsys.readouterr().err
    assert not (tmp_path / 'run').exists()


OPTIONS = ['--dtype', 'bf16', '--compile', '--cuda-graphs']


def test_precision_and_speed_reach_the_policy_in_one_process(tmp_path, weights, monkeypatch):
    from dysl_vla_ros.evaluation import inprocess
    from dysl_vla_ros.model.acceleration import Acceleration
    seen = []
    monkeypatch.setattr(inprocess, 'CheckpointFactory', lambda *args, **given: seen.append(
        given['acceleration']) or FakeFactory(args[1], 5))
    out = tmp_path / 'run'
    assert main(['evaluate', '--suite', 'demo', '--count', '1', '--in-process', '--checkpoint',
                 weights, '--out', str(out), *OPTIONS]) == 0
    assert seen == [Acceleration('bf16', False, True, True)]
    config = json.loads((out / 'results.json').read_text())['manifest']['config']
    assert (config['dtype'], config['int8'], config['cuda_graphs']) == ('bf16', False, True)


def test_precision_and_speed_reach_the_node_over_ros(tmp_path, weights, monkeypatch):
    from dysl_vla_ros.cli import closed_loop
    from dysl_vla_ros.errors import SimulationError
    seen = []

    def refuse(folder, suite, policy, *_):
        seen.append(policy)
        raise SimulationError('enough')
    monkeypatch.setattr(closed_loop, 'ClosedLoop', refuse)
    assert main(['evaluate', '--suite', 'demo', '--count', '1', '--checkpoint', weights,
                 '--out', str(tmp_path / 'run'), *OPTIONS]) == 1
    assert {'dtype': 'bf16', 'int8': False, 'compile': True, 'cuda_graphs': True}.items() \
        <= seen[0].items()


def test_int8_without_torchao_stops_before_anything_starts(tmp_path, weights, monkeypatch, capsys):
    import sys
    monkeypatch.setitem(sys.modules, 'torchao.quantization', None)
    out = tmp_path / 'run'
    assert main(['evaluate', '--suite', 'demo', '--count', '1', '--checkpoint', weights,
                 '--out', str(out), '--int8']) == 1
    assert 'int8 weights need torchao' in capsys.readouterr().err
    assert not out.exists()
