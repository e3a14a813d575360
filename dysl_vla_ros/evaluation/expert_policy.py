# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The scripted expert as a policy: privileged state in, actions out, the upper bound of a table.

It looks at no image. The sentence decides the task; whether that can be done is known with the
first observation only.
"""

from dataclasses import dataclass
import math
import time
from typing import Any

import numpy as np

from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.evaluation.manifest import PHYSICS, RENDERER
from dysl_vla_ros.observation.observation import Observation
from dysl_vla_ros.sim.expert import ReportedWorld, ScriptedExpert
from dysl_vla_ros.sim.instructions import task_of
from dysl_vla_ros.skipping.step import SkipTrace, Step, StepTiming

_NAN = math.nan


class ExpertPolicy:
    """``reset(sentence)``, then ``act`` on observations that carry ``scene``."""

    uses_scene_state = True

    def __init__(self) -> None:
        """Wait for an instruction."""
        self._world = ReportedWorld()
        self._expert = ScriptedExpert(self._world)
        self._task: str | None = None
        self._index = 0

    def reset(self, instruction: str) -> None:
        """Start an instruction.

        Raises:
            InstructionError: For a wording that belongs to no task.
        """
        self._task, self._index = None, 0
        self._task = task_of(instruction)

    def act(self, observation: Observation) -> Step:
        """Return the expert's action.

        Raises:
            InfeasibleTask: At the first step, if the task cannot succeed from here.
            ContractError: Before ``reset``, or without privileged state.
        """
        begin = time.perf_counter()
        if self._task is None:
            raise ContractError('act() before reset(instruction)')
        if observation.scene is None:
            raise ContractError('the scripted expert needs the privileged scene state; start '
                                'sim_bridge_node with publish_scene_state:=true')
        self._world.update(observation.scene)
        if self._index == 0:
            self._expert.reset(self._task)
        action = self._expert.act()
        self._index += 1
        trace = SkipTrace(np.zeros(0, dtype=bool), 0, (), _NAN, _NAN, False)
        total_ms = 1e3 * (time.perf_counter() - begin)
        return Step(action, float(action[6] > 0), self._index - 1, trace,
                    StepTiming(_NAN, _NAN, _NAN, _NAN, total_ms))

    def describe(self) -> dict[str, Any]:
        """What runs here, JSON-ready."""
        return {'model': {'head': {'use_state': False}}, 'strategy': 'expert',
                'uses_scene_state': True}


@dataclass(frozen=True)
class ExpertFactory:
    """The expert and the play table, for ``evaluate_parallel``.

    Attributes:
        scene: CALVIN scene.
        renderer: The play table's; the expert looks at nothing, the recordings may.
        physics: The play table's.
    """

    scene: str = 'calvin_scene_D'
    renderer: str = RENDERER
    physics: str = PHYSICS

    def policy(self) -> ExpertPolicy:
        """Called once per process."""
        return ExpertPolicy()

    def world(self) -> tuple[Any, Any]:
        """Build a play table."""
        from dysl_vla_ros.sim import PlayTableEnv, TaskOracle
        return PlayTableEnv(self.scene, renderer=self.renderer, physics=self.physics), TaskOracle()
