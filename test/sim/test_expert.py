# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The teacher of the policy: a task it cannot do is a task nobody learns."""

import numpy as np
import pytest

from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.sim import TaskOracle
from dysl_vla_ros.sim.expert import ScriptedExpert
from dysl_vla_ros.sim.instructions import FURNITURE_TASKS
from dysl_vla_ros.sim.sampling import random_initial_state


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


@pytest.mark.parametrize('task', FURNITURE_TASKS)
def test_the_expert_solves_its_tasks_from_random_starts_even_when_pushed(world, task):
    assert all(solve(world, task, seed) for seed in range(4))
    assert solve(world, task, 9, push=2.0)


def test_an_unknown_task_is_refused(world):
    with pytest.raises(ContractError, match='stack_block'):
        ScriptedExpert(world).reset('stack_block')
