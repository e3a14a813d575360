# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Suites. An infeasible chain or a changed seed would move scores without any code change."""

import json

import numpy as np
import pytest

from dysl_vla_ros.errors import ConfigError, ContractError
from dysl_vla_ros.evaluation import suites
from dysl_vla_ros.sim.instructions import FURNITURE_TASKS, VALIDATION
from dysl_vla_ros.sim.sequences import EVALUATION_ROBOT_OBS

pytestmark = pytest.mark.sim


def symbolic(scene_obs):
    return {'slider_left': scene_obs[0] > 0.14, 'drawer_open': scene_obs[1] > 0.11,
            'bulb_on': scene_obs[4] > 0.5, 'led_on': scene_obs[5] > 0.5}


def test_every_chain_is_feasible_in_order_and_repeats_no_task():
    for spec in suites.furniture_chains(60, seed=3):
        state = symbolic(spec.scene_obs)
        tasks = [s.task for s in spec.subtasks]
        assert len(set(tasks)) == len(tasks) == 5
        for task in tasks:
            feature, value = suites.EFFECTS[task]
            assert state[feature] != value, (spec.episode_id, task)
            state[feature] = value
        assert np.array_equal(spec.robot_obs, EVALUATION_ROBOT_OBS)
        # Lightbulb and its switch agree (0.088 m is on).
        assert (spec.scene_obs[3] > 0.04) == (spec.scene_obs[4] > 0.5)


def test_singles_cover_the_tasks_evenly_from_feasible_states():
    suite = suites.furniture_singles(40, seed=1)
    tasks = [spec.subtasks[0].task for spec in suite]
    assert {t: tasks.count(t) for t in tasks} == dict.fromkeys(FURNITURE_TASKS, 5)
    for spec in suite:
        feature, value = suites.EFFECTS[spec.subtasks[0].task]
        assert symbolic(spec.scene_obs)[feature] != value
        assert spec.subtasks[0].instruction == VALIDATION[spec.subtasks[0].task]
    assert len({spec.robot_obs.tobytes() for spec in suite}) == 40


def test_shuffling_exchanges_every_instruction_and_nothing_else():
    suite = suites.furniture_singles(40, seed=1)
    mixed = suites.shuffled(suite, seed=2)
    for before, after in zip(suite, mixed, strict=True):
        assert after.subtasks[0].task == before.subtasks[0].task
        assert after.subtasks[0].instruction != before.subtasks[0].instruction
        assert after.scene_obs is before.scene_obs
    for i in range(0, 40, 8):  # a derangement: each sentence once per eight
        assert {s.subtasks[0].instruction for s in mixed.episodes[i:i + 8]} == {
            VALIDATION[t] for t in FURNITURE_TASKS}


@pytest.mark.parametrize('build', [suites.furniture_singles, suites.furniture_chains])
def test_a_suite_depends_on_its_seed_alone(build, tmp_path):
    first = suites.save_suite(build(5, 4), tmp_path / 'a.json').read_bytes()
    assert suites.save_suite(build(5, 4), tmp_path / 'b.json').read_bytes() == first
    assert suites.save_suite(build(5, 5), tmp_path / 'c.json').read_bytes() != first
    # A longer suite begins with the shorter one.
    longer = json.loads(suites.save_suite(build(7, 4), tmp_path / 'd.json').read_text())
    assert longer['episodes'][:5] == json.loads(first)['episodes']


def test_start_states_are_not_those_of_training_data():
    from dysl_vla_ros.sim.sampling import random_initial_state
    for seed in range(4):
        evaluated = {s.scene_obs.tobytes() for s in suites.furniture_singles(16, seed)}
        trained = {random_initial_state(np.random.default_rng((seed, i)))[1].tobytes()
                   for i in range(16)}
        assert not evaluated & trained


def test_saved_suites_come_back_equal(tmp_path):
    suite = suites.demo_chains(3)
    loaded = suites.load_suite(suites.save_suite(suite, tmp_path / 's.json'))
    assert [e.to_mapping() for e in loaded] == [e.to_mapping() for e in suite]
    assert (loaded.name, loaded.metadata) == (suite.name, suite.metadata)


@pytest.mark.parametrize('text', ['', '[]', '{"format": 2}', '{"format": 1, "name": "x"}',
                                  '{"format": 1, "name": "x", "metadata": {}, "episodes": []}'])
def test_a_file_that_is_no_suite_is_refused_by_name(text, tmp_path):
    path = tmp_path / 'broken.json'
    path.write_text(text)
    with pytest.raises(ConfigError, match=r'broken\.json'):
        suites.load_suite(path)


def test_wrong_requests_are_refused():
    with pytest.raises(ConfigError, match='seed'):
        suites.furniture_singles(1, -1)
    with pytest.raises(ConfigError, match='length'):
        suites.furniture_chains(1, 0, length=9)
    episode = suites.demo_chains(1).episodes[0]
    with pytest.raises(ContractError, match='unique'):
        suites.Suite('twice', (episode, episode))


def test_names_build_the_suites_they_say():
    assert suites.build_suite('furniture-singles', 9, 0, 100).name == 'furniture-singles'
    chains = suites.build_suite('furniture-chains', 2, 0, 100)
    assert {(len(s.subtasks), s.max_steps) for s in chains} == {(5, 100)}
    assert suites.build_suite('shuffled', 3, 0, 360).name == 'shuffled'
    assert len(suites.build_suite('demo', None, 0, 360)) == 3


@pytest.mark.parametrize(('name', 'count'), [('furniture-single', None), ('demo', 0)])
def test_wrong_suites_are_refused(name, count):
    with pytest.raises(ConfigError):
        suites.build_suite(name, count, 0, 360)
