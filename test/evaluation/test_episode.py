# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CALVIN's protocol. A judge asked too early, about the wrong task or against the wrong start
would change every score without any error.
"""

import json
from types import SimpleNamespace

from fake_rollout import CountingOracle, NumberedWorld
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.evaluation.episode import EpisodeRunner, EpisodeSpec, StepOutcome, Subtask

ACTION = np.array([0.0, 0, 0, 0, 0, 0, 1])
finite = st.floats(allow_nan=False, allow_infinity=False)


def play(runner, spec):
    runner.start(spec)
    outcomes = []
    while not outcomes or outcomes[-1] in (StepOutcome.CONTINUE, StepOutcome.SUBTASK_SUCCEEDED):
        outcomes.append(runner.apply(ACTION))
    return outcomes


def test_success_starts_the_next_subtask_without_a_reset(spec):
    world, oracle = NumberedWorld(), CountingOracle(3)
    runner = EpisodeRunner(world, oracle)
    outcomes = play(runner, spec('a', 'b'))
    assert [o.name for o in outcomes] == ['CONTINUE', 'CONTINUE', 'SUBTASK_SUCCEEDED', 'CONTINUE',
                                          'CONTINUE', 'EPISODE_SUCCEEDED']
    assert world.resets == 1
    assert [(r.task, r.success, r.steps, r.reason) for r in runner.results] == [
        ('a', True, 3, 'success'), ('b', True, 3, 'success')]


def test_the_oracle_judges_the_current_task_against_its_own_start_after_every_step(spec):
    oracle = CountingOracle(3)
    play(EpisodeRunner(NumberedWorld(), oracle), spec('a', 'b'))
    a, b = frozenset({'a'}), frozenset({'b'})
    assert oracle.asked == [(a, 0, 1), (a, 0, 2), (a, 0, 3), (b, 3, 4), (b, 3, 5), (b, 3, 6)]


def test_failure_ends_the_episode_after_exactly_max_steps(spec):
    runner = EpisodeRunner(NumberedWorld(), CountingOracle(3))
    outcomes = play(runner, spec('a', 'never', 'c', max_steps=7))
    assert outcomes[-1] is StepOutcome.EPISODE_FAILED
    assert len(outcomes) == 3 + 7
    assert runner.summary() == {'episode_id': 'e0', 'succeeded': 1, 'steps': [3, 7],
                                'subtasks': ['a', 'never', 'c'], 'interrupted': 0}
    assert runner.subtask.task == 'never'


def test_success_at_the_last_allowed_step_counts(spec):
    assert play(EpisodeRunner(NumberedWorld(), CountingOracle(7)), spec('a', max_steps=7))[-1] \
        is StepOutcome.EPISODE_SUCCEEDED


def test_no_step_is_made_after_the_end(spec):
    world = NumberedWorld()
    runner = EpisodeRunner(world, CountingOracle(1))
    with pytest.raises(ContractError, match='start'):
        runner.apply(ACTION)
    play(runner, spec('a'))
    with pytest.raises(ContractError, match='without a running episode'):
        runner.apply(ACTION)
    assert len(world.actions) == 1


def test_the_gripper_command_of_the_episode_before_does_not_leak(spec):
    world = NumberedWorld()
    world.robot = SimpleNamespace(gripper_action=-1.0)
    EpisodeRunner(world, CountingOracle()).start(spec('a'))
    assert world.robot.gripper_action == 1.0


@given(st.lists(finite, min_size=15, max_size=15), st.lists(finite, min_size=24, max_size=24),
       st.lists(st.text(max_size=20), min_size=1, max_size=5), st.integers(1, 1000))
def test_json_restores_every_bit(robot_obs, scene_obs, sentences, max_steps):
    spec = EpisodeSpec('x', np.array(robot_obs), np.array(scene_obs),
                       tuple(Subtask('open_drawer', s) for s in sentences), max_steps)
    text = json.dumps(spec.to_mapping())
    restored = EpisodeSpec.from_mapping(json.loads(text))
    assert restored.robot_obs.tobytes() == spec.robot_obs.tobytes()
    assert restored.scene_obs.tobytes() == spec.scene_obs.tobytes()
    assert (restored.subtasks, restored.max_steps) == (spec.subtasks, max_steps)


@pytest.mark.parametrize('change', [
    {'episode_id': '../up'}, {'episode_id': ''}, {'subtasks': []}, {'max_steps': 0},
    {'robot_obs': [0.0] * 14}, {'scene_obs': [float('nan')] * 24}, {'typo': 1}])
def test_a_broken_specification_is_refused(spec, change):
    data = {**spec('a').to_mapping(), **change}
    with pytest.raises(ContractError):
        EpisodeSpec.from_mapping(data)
