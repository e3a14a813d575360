# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A sentence that means two tasks would let the expert do the wrong one."""

import pytest

from dysl_vla_ros.errors import InstructionError
from dysl_vla_ros.sim.instructions import TASKS, TRAINING, VALIDATION, task_of


@pytest.mark.parametrize('task', TASKS)
def test_every_sentence_and_name_leads_back_to_its_task(task):
    for sentence in (VALIDATION[task], *TRAINING[task], task):
        assert task_of(sentence) == task
        assert task_of(f'  {sentence.upper()}. ') == task


def test_another_wording_is_an_error_that_names_the_nearest():
    with pytest.raises(InstructionError, match="nearest is 'open the drawer'"):
        task_of('open the drawers')
