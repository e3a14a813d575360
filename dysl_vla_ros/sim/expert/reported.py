# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The expert's source of state: a live environment, or one that reports its state from afar."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.observation.observation import SceneState
from dysl_vla_ros.sim.scene import SceneSpec, get_scene


class Controller(Protocol):
    """The stored pose target of the simulated arm."""

    @property
    def target_position(self) -> np.ndarray:
        """(3,) metres."""

    @property
    def target_euler(self) -> np.ndarray:
        """(3,) fixed-axis xyz Euler angles in radians."""


class World(Protocol):
    """What the expert reads of a world; ``PlayTableEnv`` has it."""

    @property
    def scene(self) -> SceneSpec:
        """The scene's constants."""

    @property
    def robot(self) -> Controller:
        """The arm."""

    def get_state_obs(self) -> Mapping[str, Any]:
        """``robot_obs`` (15,) and ``scene_obs`` (24,)."""


def scene_state(env: World, observation: Mapping[str, Any] | None = None) -> SceneState:
    """The privileged state of a world; ``observation``: its current one, if it is known."""
    state = observation if observation is not None else env.get_state_obs()
    return SceneState(env.scene.name, np.asarray(state['robot_obs'], dtype=np.float64),
                      np.asarray(state['scene_obs'], dtype=np.float64),
                      np.array([*env.robot.target_position, *env.robot.target_euler]))


class ReportedWorld:
    """Stands in for an environment in another process; needs no physics.

    ``update`` before each use; the numbers are those of the environment, bit for bit, and so are
    the expert's actions.
    """

    def __init__(self) -> None:
        """Without a state yet."""
        self._state: SceneState | None = None

    def update(self, state: SceneState) -> None:
        """Take over the newest report.

        Raises:
            SimulationError: For an unknown scene.
        """
        self.scene = get_scene(state.scene)
        self._state = state

    @property
    def robot(self) -> 'ReportedWorld':
        """The controller's part of the report."""
        return self

    @property
    def target_position(self) -> np.ndarray:
        """(3,) metres."""
        return self._known().target[:3]

    @property
    def target_euler(self) -> np.ndarray:
        """(3,) radians."""
        return self._known().target[3:]

    def get_state_obs(self) -> Mapping[str, Any]:
        """``robot_obs`` (15,) and ``scene_obs`` (24,)."""
        state = self._known()
        return {'robot_obs': state.robot_obs, 'scene_obs': state.scene_obs}

    def _known(self) -> SceneState:
        if self._state is None:
            raise ContractError('ReportedWorld: no state has been reported yet')
        return self._state
