# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The judge. A lax predicate inflates every score that will ever be reported."""

import numpy as np
import pytest

from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.sim import TaskOracle
from dysl_vla_ros.sim.instructions import FURNITURE_TASKS, TASKS, TRAINING, VALIDATION
from dysl_vla_ros.sim.sequences import EVALUATION_ROBOT_OBS

BLOCKS = [0.05, -0.12, 0.46, 0, 0, 0, 0.23, -0.12, 0.46, 0, 0, 0, 0.1, 0.09, 0.461, 0, 0, 0]
# start and end of slide, drawer, button, switch, bulb, LED for each task
CHANGES = {
    'move_slider_left': ([0, 0, 0, 0, 0, 0], [0.16, 0, 0, 0, 0, 0]),
    'move_slider_right': ([0.28, 0, 0, 0, 0, 0], [0.12, 0, 0, 0, 0, 0]),
    'open_drawer': ([0, 0, 0, 0, 0, 0], [0, 0.13, 0, 0, 0, 0]),
    'close_drawer': ([0, 0.22, 0, 0, 0, 0], [0, 0.09, 0, 0, 0, 0]),
    'turn_on_lightbulb': ([0, 0, 0, 0, 0, 0], [0, 0, 0, 0.088, 1, 0]),
    'turn_off_lightbulb': ([0, 0, 0, 0.088, 1, 0], [0, 0, 0, 0, 0, 0]),
    'turn_on_led': ([0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]),
    'turn_off_led': ([0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]),
}


def info(world, furniture):
    world.reset(np.array(EVALUATION_ROBOT_OBS), np.array([*furniture, *BLOCKS]))
    return world.get_info()


@pytest.mark.parametrize('task', FURNITURE_TASKS)
def test_a_change_of_the_furniture_is_exactly_one_task(world, task):
    start, end = (info(world, values) for values in CHANGES[task])
    oracle = TaskOracle()
    assert oracle.get_task_info(start, end) == {task}
    assert oracle.get_task_info(start, start) == set()
    assert oracle.get_task_info_for_set(start, end, (task,)) == {task}
    assert oracle.get_task_info_for_set(start, end, set(TASKS) - {task}) == set()


@pytest.mark.parametrize(('start', 'end'), [
    ([0, 0, 0, 0, 0, 0], [0.149, 0, 0, 0, 0, 0]), ([0, 0, 0, 0, 0, 0], [0, 0.119, 0, 0, 0, 0])])
def test_a_door_moved_too_little_is_no_task(world, start, end):
    assert TaskOracle().get_task_info(info(world, start), info(world, end)) == set()


def test_an_unknown_task_is_an_error(world):
    now = info(world, [0] * 6)
    with pytest.raises(ContractError, match='open_window'):
        TaskOracle().get_task_info_for_set(now, now, ('open_window',))


def test_there_are_34_tasks_with_one_validation_sentence_each():
    assert len(TASKS) == len(set(TASKS)) == 34
    assert set(VALIDATION) == set(TRAINING) == set(TASKS) == set(TaskOracle().tasks)
    assert len(set(VALIDATION.values())) == 34
    assert all(len(set(TRAINING[t])) >= 4 for t in FURNITURE_TASKS)
    assert all(VALIDATION[t] in TRAINING[t] for t in TASKS)
