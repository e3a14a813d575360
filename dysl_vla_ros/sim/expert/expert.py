# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``ScriptedExpert``: closed-loop actions for all 34 CALVIN tasks from privileged state."""

from collections.abc import Generator, Mapping
from typing import Any

import numpy as np

from dysl_vla_ros.errors import ContractError, InstructionError
from dysl_vla_ros.sim.expert.blocks import BlockPlans
from dysl_vla_ros.sim.expert.furniture import FurnitureLaw
from dysl_vla_ros.sim.expert.motion import OPEN, SAFE_Z_M, Arm
from dysl_vla_ros.sim.expert.preconditions import hangs_in_hand, why_infeasible
from dysl_vla_ros.sim.expert.reported import World
from dysl_vla_ros.sim.expert.view import DESK_Z_M, View
from dysl_vla_ros.sim.instructions import FURNITURE_TASKS

_NEEDS_BLOCK_IN_HAND = ('place_in_slider', 'place_in_drawer', 'stack_block')
Plan = Generator[np.ndarray, None, Any]


class InfeasibleTask(InstructionError):
    """The task cannot succeed from the state it was asked for in."""


class ScriptedExpert:
    """``reset(task)``, then ``act()`` once per control step.

    A task is a plan of motion primitives that starts again from the current state whenever it
    has run through without success: a lost grasp or a disturbance costs time only.
    """

    def __init__(self, env: World) -> None:
        """Keep the world whose privileged state is read: a PlayTableEnv or a ReportedWorld."""
        self.env = env
        self._arm = Arm()
        self._plans = BlockPlans(self._arm)
        self._task = ''
        self._start: View
        self._plan: Plan | None = None

    def view(self, state: Mapping[str, Any] | None = None) -> View:
        """The state as the expert sees it."""
        state = state if state is not None else self.env.get_state_obs()
        robot = self.env.robot
        return View.from_state(self.env.scene, state,
                               np.array([*robot.target_position, *robot.target_euler]))

    def why_infeasible(self, task: str) -> str | None:
        """Reason why the task cannot succeed from the current state, or None."""
        return why_infeasible(self.view(), task)

    def reset(self, task: str) -> None:
        """Start a task.

        Raises:
            InfeasibleTask: If its precondition is not met; says which.
            ContractError: If there is no such task.
        """
        view = self.view()
        reason = why_infeasible(view, task)
        if reason is not None:
            raise InfeasibleTask(f'{task}: {reason}')
        self._task, self._start, self._arm.view = task, view, view
        self._plan = self._run()

    def act(self, state: Mapping[str, Any] | None = None) -> np.ndarray:
        """Return the (7,) relative action for the current state, in [-1, 1].

        Args:
            state: ``robot_obs`` and ``scene_obs``; default: read from the environment.

        Raises:
            ContractError: Before the first ``reset``.
        """
        if self._plan is None:
            raise ContractError('act() before reset(task)')
        self._arm.view = self.view(state)
        return np.clip(next(self._plan), -1.0, 1.0)

    # ------------------------------------------------------------------ plans
    def _run(self) -> Plan:
        if self._task not in _NEEDS_BLOCK_IN_HAND:
            yield from self._free_the_hand()
        words = self._task.split('_')
        if words[0] == 'push' and hangs_in_hand(self._start, f'block_{words[1]}'):
            self._start = self._arm.view  # it is pushed from where it was laid down
        if self._task in FURNITURE_TASKS:
            law = FurnitureLaw(self._task, self._arm.view)
            while True:
                yield law.action(self._arm.view)
        while True:
            yield from self._block_task()
            # Reached at the end of a plan or after a failure: one step to look again.
            yield self._arm.still(-1.0 if self._arm.view.is_closing else OPEN)

    def _block_task(self) -> Plan:
        task, plans = self._task, self._plans
        words = task.split('_')
        name = f'block_{words[1]}'
        held = self._arm.view.held()
        if words[0] == 'lift':
            yield from plans.lift(name, words[3])
        elif words[0] == 'rotate':
            sign = 1.0 if words[3] == 'left' else -1.0
            yield from plans.rotate(name, self._start.blocks[name], sign)
        elif words[0] == 'push' and task != 'push_into_drawer':
            sign = 1.0 if words[3] == 'right' else -1.0
            yield from plans.push(name, self._start.blocks[name], sign)
        elif task == 'push_into_drawer':
            yield from plans.push_into_drawer()
        elif task == 'unstack_block':
            yield from plans.unstack()
        elif held is None and task != 'stack_block':
            yield from plans.take(self._lost_block())
        elif task == 'stack_block':
            yield from plans.stack()
        elif task == 'place_in_slider':
            yield from plans.place_in_slider()
        else:
            yield from plans.place_in_drawer()

    def _lost_block(self) -> str:
        """The block that was in the hand when the task began."""
        held = self._start.held()
        assert held is not None  # checked by the precondition
        return held.name

    def _free_the_hand(self) -> Plan:
        """Let go of what an earlier task left in the hand, and leave tight places."""
        arm, plans = self._arm, self._plans
        held = arm.view.held()
        if held is not None:
            # Above the desk, also where it was just lifted off another block.
            if held.bottom > DESK_Z_M + 0.02:
                yield from plans.put_on_table(held.name)
            else:
                yield from plans.let_go()
        near = [b for b in arm.view.blocks.values()
                if np.linalg.norm(b.position - arm.view.tcp) < 0.075]
        if near and arm.view.tcp[2] < SAFE_Z_M:
            yield from plans.let_go()
