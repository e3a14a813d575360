# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CALVIN's chains. One wrong rule and a score is no longer comparable with anyone's."""

import json

import numpy as np
import pytest

from dysl_vla_ros.errors import SimulationError
from dysl_vla_ros.sim import get_env_state_for_initial_condition, get_sequences, sequences


@pytest.fixture(scope='module')
def first20(reference_file):
    return json.loads(reference_file('calvin/eval_sequences_first20.json').read_text())


def test_there_are_192_start_states():
    states = sequences.initial_states()
    assert len(states) == 192
    assert list(states[0]) == ['led', 'lightbulb', 'slider', 'drawer', 'red_block', 'blue_block',
                               'pink_block', 'grasped']


def test_start_states_equal_the_recorded_ones(first20):
    assert first20['sha256_of_all_1000'] == sequences.SHA256
    for item in first20['sequences']:
        state = item['initial_state']
        assert str(state.values()) == item['hash_input']
        assert sequences.state_seed(state) == item['hash_seed']
        robot_obs, scene_obs = get_env_state_for_initial_condition(state)
        np.testing.assert_allclose(robot_obs, item['robot_obs'], atol=1e-9)
        np.testing.assert_allclose(scene_obs, item['scene_obs'], atol=1e-9)


def test_recorded_chains_are_feasible_and_of_five_categories(first20):
    for item in first20['sequences']:
        chain = tuple(item['subtasks'])
        assert sequences.is_feasible(item['initial_state'], chain)
        assert len({sequences.category(task) for task in chain}) == 5


START = {'led': 0, 'lightbulb': 0, 'slider': 'right', 'drawer': 'closed', 'red_block': 'table',
         'blue_block': 'table', 'pink_block': 'slider_left', 'grasped': 0}


@pytest.mark.parametrize(('chain', 'feasible'), [
    (('open_drawer', 'close_drawer'), True), (('close_drawer',), False),
    (('lift_pink_block_slider', 'place_in_slider'), True),
    (('move_slider_left', 'lift_pink_block_slider'), False),  # behind the door
    (('lift_red_block_table', 'stack_block', 'unstack_block'), True),
    (('lift_pink_block_slider', 'stack_block'), False),       # two blocks to stack on
    (('lift_red_block_table', 'open_drawer'), False),         # holding a block
    (('open_drawer', 'push_into_drawer'), False),             # the blue block is on the table
    (('place_in_drawer',), False), (('turn_on_led', 'turn_on_led'), False)])
def test_symbolic_rules(chain, feasible):
    assert sequences.is_feasible(START, chain) is feasible


def test_the_first_chain_of_a_start_state_follows_the_legacy_generator():
    state = sequences.initial_states()[0]
    (start, chain), = sequences._draw((0, state, 1))
    generator = np.random.RandomState(0)
    while True:
        drawn = tuple(generator.choice(sequences.TASKS, size=5, replace=False))
        if len({sequences.category(t) for t in drawn}) == 5 \
                and sequences.is_feasible(state, drawn):
            break
    assert (start, chain) == (state, drawn)


@pytest.mark.slow
def test_all_1000_sequences_have_the_published_hash_and_are_cached(first20, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    found = get_sequences(20)
    assert [(s, list(c)) for s, c in found] == [
        (item['initial_state'], item['subtasks']) for item in first20['sequences']]
    monkeypatch.setattr(sequences, 'generate', lambda: pytest.fail('the cache was not used'))
    assert get_sequences(20) == found
    sequences.cache_file().write_text('[]')
    monkeypatch.setattr(sequences, 'generate', lambda: [])
    with pytest.raises(SimulationError, match='differ from CALVIN'):
        get_sequences(1)


@pytest.mark.parametrize('count', [0, -1, 1001])
def test_a_count_out_of_range_is_refused(count):
    with pytest.raises(SimulationError, match='1 to 1000'):
        get_sequences(count)


def test_a_foreign_start_state_is_refused():
    with pytest.raises(SimulationError, match='start state'):
        get_env_state_for_initial_condition({**START, 'slider': 'middle'})
