# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The teacher of the policy: a task it cannot do is a task nobody learns."""

import numpy as np
import pytest

from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.evaluation.episode import EpisodeRunner, StepOutcome
from dysl_vla_ros.evaluation.expert import single_episode
from dysl_vla_ros.sim import TaskOracle
from dysl_vla_ros.sim.expert import InfeasibleTask, ScriptedExpert
from dysl_vla_ros.sim.instructions import FURNITURE_TASKS, TASKS
from dysl_vla_ros.sim.sampling import random_initial_state

BLOCK_TASKS = [task for task in TASKS if task not in FURNITURE_TASKS]


def solve(world, task, seed, push=0.0):
    rng = np.random.default_rng((1234, seed))
    state = world.reset(*random_initial_state(rng, task))
    expert = ScriptedExpert(world)
    expert.reset(task)
    start, oracle = world.get_info(), TaskOracle()
    for step in range(150):
        action = expert.act(state)
        assert np.isfinite(action).all()
        assert np.abs(action).max() <= 1.0
        if step in (8, 14):
            action[:3] = np.clip(action[:3] + push * rng.normal(size=3), -1, 1)
        state, _, _, info = world.step(action)
        if oracle.get_task_info_for_set(start, info, (task,)):
            return True
    return False


def run_block_task(world, task, seed=0, disturb=None):
    runner = EpisodeRunner(world, TaskOracle())
    runner.start(single_episode('calvin_scene_D', task, seed))
    expert = ScriptedExpert(world)
    expert.reset(task)
    outcome = StepOutcome.CONTINUE
    while outcome is StepOutcome.CONTINUE:
        action = expert.act()
        assert np.isfinite(action).all()
        assert np.abs(action[:6]).max() <= 1.0
        assert action[6] in (-1.0, 1.0)
        if disturb is not None:
            action = disturb(runner.subtask_step, action)
        outcome = runner.apply(action)
    return outcome is StepOutcome.EPISODE_SUCCEEDED


@pytest.mark.parametrize('task', FURNITURE_TASKS)
def test_the_expert_solves_furniture_tasks_from_random_starts_even_when_pushed(world, task):
    assert all(solve(world, task, seed) for seed in range(4))
    assert solve(world, task, 9, push=2.0)


@pytest.mark.parametrize('task', BLOCK_TASKS)
def test_the_expert_solves_block_tasks(world, task):
    assert run_block_task(world, task)


def test_a_lost_grasp_is_repeated(world):
    def open_while_lifting(step, action):
        if 28 <= step < 40:
            action[6] = 1.0
        return action
    assert run_block_task(world, 'lift_red_block_table', disturb=open_while_lifting)


@pytest.mark.parametrize('task', ['push_{}_block_left', 'lift_{}_block_table'])
def test_a_block_left_in_the_hand_by_unstacking_is_laid_down_before_it_is_needed(world, task):
    runner = EpisodeRunner(world, TaskOracle())
    runner.start(single_episode('calvin_scene_D', 'unstack_block', 0))
    expert = ScriptedExpert(world)
    expert.reset('unstack_block')
    while runner.apply(expert.act()) is StepOutcome.CONTINUE:
        pass
    held = expert.view().held()
    assert held is not None
    task = task.format(held.name.removeprefix('block_'))
    expert.reset(task)
    start, oracle = None, TaskOracle()
    for _ in range(250):
        _, _, _, info = world.step(expert.act())
        view = expert.view()
        if start is None and view.held() is None and view.place(view.blocks[held.name]) == 'table':
            start = info  # the oracle never counts a push or lift that begins in the air
        elif start is not None and oracle.get_task_info_for_set(start, info, (task,)):
            return
    pytest.fail(f'{task} did not succeed from the table' if start else 'never laid down')


@pytest.mark.parametrize(('task', 'state_of', 'reason'), [
    ('place_in_drawer', 'open_drawer', 'block in the hand'),
    ('unstack_block', 'open_drawer', 'no block lies on another'),
    ('lift_red_block_drawer', 'lift_red_block_table', 'block_red'),
    ('open_drawer', 'close_drawer', 'travel'),
    ('turn_on_led', 'turn_off_led', 'on already'),
])
def test_a_task_that_cannot_succeed_is_refused_with_the_reason(world, task, state_of, reason):
    spec = single_episode('calvin_scene_D', state_of, 0)
    world.reset(spec.robot_obs, spec.scene_obs)
    with pytest.raises(InfeasibleTask, match=reason):
        ScriptedExpert(world).reset(task)


def test_an_unknown_task_is_refused(world):
    with pytest.raises(ContractError, match='dance'):
        ScriptedExpert(world).reset('dance')
