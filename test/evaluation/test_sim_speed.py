# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The speed figures: medians and ratios counted right, over real steps; no speed is asserted."""

import json

import pytest

from dysl_vla_ros.cli.__main__ import main
from dysl_vla_ros.errors import ConfigError, SimulationError
from dysl_vla_ros.evaluation import sim_speed
from dysl_vla_ros.evaluation.sim_speed import Case, Run


def test_every_physics_without_images_and_every_renderer_with_the_first():
    found = sim_speed.cases(['calvin', 'fast'], ['tiny', 'tiny_layered'], [1, 2])
    assert [(c.physics, c.renderer, c.processes) for c in found] == [
        ('calvin', None, 1), ('calvin', None, 2), ('fast', None, 1), ('fast', None, 2),
        ('calvin', 'tiny', 1), ('calvin', 'tiny', 2), ('calvin', 'tiny_layered', 1),
        ('calvin', 'tiny_layered', 2)]


def test_the_ratio_is_of_the_median_and_of_cpu_time():
    runs = [Run(100, 9.0, (0.1,)), Run(100, 8.0, (0.125,)), Run(100, 7.0, (1.0,))]
    result = sim_speed.summarize(Case('calvin', None, 1), runs)
    assert result['steps_per_s'] == pytest.approx(800)
    assert result['steps_per_s_range'] == pytest.approx([100, 1000])
    assert result['ratio'] == pytest.approx([800 / 470, 800 / 340])
    assert result['steps_per_s_wall'] == pytest.approx(100 / 8)


def test_processes_add_up():
    result = sim_speed.summarize(Case('fast', 'tiny', 2), [Run(10, 2.0, (0.5, 0.25))])
    assert result['steps_per_s'] == pytest.approx(20 + 40)
    assert result['steps_per_s_wall'] == pytest.approx(2 * 10 / 2.0)
    assert result['ratio'] == pytest.approx([60 / 11.5] * 2)


@pytest.mark.parametrize(('values', 'error', 'match'), [
    (('turbo', None, 1), SimulationError, "unknown physics 'turbo'"),
    (('calvin', 'crayon', 1), SimulationError, "unknown renderer 'crayon'"),
    (('calvin', None, 0), ConfigError, 'processes: got 0')])
def test_unknown_cases_are_errors(values, error, match):
    with pytest.raises(error, match=match):
        Case(*values)


@pytest.mark.sim
def test_the_work_has_as_many_steps_as_asked_for():
    work = sim_speed.record_actions(70)
    assert [len(actions) for _, _, actions in work] == [60, 10]
    assert [len(actions) for _, _, actions in sim_speed.record_actions(70)] == [60, 10]
    with pytest.raises(ConfigError, match='steps: got 0'):
        sim_speed.record_actions(0)


@pytest.mark.sim
def test_the_shares_of_a_step_add_up_to_one():
    case = Case('fast', None, 1)
    shares = sim_speed.profile(case, sim_speed.record_actions(8), 8)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert set(shares) == {*sim_speed.PARTS, 'other'}
    assert shares['images'] == 0.0
    assert all(shares[part] > 0.0 for part in sim_speed.PARTS if part != 'images')


@pytest.mark.sim
def test_the_command_measures_and_writes(tmp_path, capsys):
    out = tmp_path / 'speed.json'
    assert main(['bench-sim', '--runs', '2', '--steps', '4', '--camera-steps', '1',
                 '--renderers', 'tiny_layered', '--processes', '1', '2', '--out', str(out)]) == 0
    content = json.loads(out.read_text())
    assert [(s['physics'], s['renderer'], s['processes'], s['steps'], s['runs'])
            for s in content['speed']] == [
        ('calvin', None, 1, 4, 2), ('calvin', None, 2, 4, 2), ('fast', None, 1, 4, 2),
        ('fast', None, 2, 4, 2), ('calvin', 'tiny_layered', 1, 1, 2),
        ('calvin', 'tiny_layered', 2, 1, 2)]
    assert [p['renderer'] for p in content['profile']] == [None, None, 'tiny_layered']
    assert 'Where a step goes' in capsys.readouterr().out


@pytest.mark.sim
def test_what_a_worker_cannot_build_is_the_commands_error(capsys):
    assert main(['bench-sim', '--runs', '0', '--steps', '1', '--renderers']) == 1
    assert 'runs: got 0' in capsys.readouterr().err
