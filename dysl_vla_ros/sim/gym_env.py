# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The play table as a gymnasium environment, ``dysl_vla_ros/PlayTable-v0``.

    import gymnasium
    import dysl_vla_ros.sim
    env = gymnasium.make('dysl_vla_ros/PlayTable-v0', task='open_drawer')
"""

from typing import Any

import gymnasium
from gymnasium import spaces
import numpy as np

from dysl_vla_ros.control.action_spec import ACTION_SIZE, CONTROL_RATE_HZ
from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.sim.env import ROBOT_OBS_SIZE, SCENE_OBS_SIZE, PlayTableEnv
from dysl_vla_ros.sim.sampling import random_initial_state
from dysl_vla_ros.sim.tasks import TaskOracle

ENV_ID = 'dysl_vla_ros/PlayTable-v0'
_STATES = {'robot_obs': ROBOT_OBS_SIZE, 'scene_obs': SCENE_OBS_SIZE}


class PlayTableGymEnv(gymnasium.Env[dict[str, np.ndarray], np.ndarray]):
    """Relative actions in [-1, 1]; a gripper value above 0 opens, any other closes (CALVIN)."""

    metadata = {'render_modes': ['rgb_array'], 'render_fps': CONTROL_RATE_HZ}

    def __init__(self, scene: str = 'calvin_scene_D', task: str | None = None,
                 render_mode: str | None = None, **options: Any) -> None:
        """Build the scene.

        Args:
            scene: CALVIN scene.
            task: One of the 34 tasks: resets then sample a start state for it, and its success
                gives reward 1 and ends the episode. None: reward 0, no end.
            render_mode: ``rgb_array``: ``render()`` returns the static camera's image.
            options: Passed to ``PlayTableEnv``.

        Raises:
            ContractError: For an unknown task.
            SimulationError: As ``PlayTableEnv``.
        """
        self._oracle = TaskOracle()
        if task is not None and task not in self._oracle.tasks:
            raise ContractError(f'unknown task {task!r}; expected one of '
                                f'{list(self._oracle.tasks)}')
        self.task = task
        self.render_mode = render_mode
        self.world = PlayTableEnv(scene, **options)
        # PyBullet keeps traces of the motion before a reset; equal seeds must not see them.
        self._pristine = self.world.snapshot()
        self._start_info: dict[str, Any] = {}
        self.action_space = spaces.Box(-1.0, 1.0, (ACTION_SIZE,), np.float64)
        first = _flat(self.world.get_obs())
        self.observation_space = spaces.Dict({
            name: spaces.Box(0, 255, value.shape, np.uint8) if name.startswith('rgb')
            else spaces.Box(0.0 if name.startswith('depth') else -np.inf, np.inf, value.shape,
                            value.dtype.type)
            for name, value in first.items()})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None
              ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Start an episode.

        Args:
            seed: Seed of the sampling of start states.
            options: ``robot_obs`` (15,) and ``scene_obs`` (24,) to start from instead.

        Raises:
            ContractError: For an unknown option or a state ``PlayTableEnv.reset`` refuses.
        """
        super().reset(seed=seed)
        options = options or {}
        if set(options) - set(_STATES):
            raise ContractError(f'reset options {sorted(options)}: expected {list(_STATES)}')
        robot_obs, scene_obs = (options.get(name) for name in _STATES)
        if robot_obs is None and scene_obs is None:
            robot_obs, scene_obs = random_initial_state(self.np_random, self.task,
                                                        self.world.scene.name)
        self.world.restore(self._pristine)
        observation = self.world.reset(robot_obs, scene_obs)
        self._start_info = self.world.get_info()
        return _flat(observation), self._start_info

    def step(self, action: np.ndarray
             ) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Apply a (7,) relative action for 1/30 s."""
        command = np.array(action, dtype=np.float64)
        if command.shape == (ACTION_SIZE,) and np.isfinite(command[-1]):
            command[-1] = 1.0 if command[-1] > 0 else -1.0
        observation, _, _, info = self.world.step(command)
        has_succeeded = self.task is not None and bool(
            self._oracle.get_task_info_for_set(self._start_info, info, {self.task}))
        return _flat(observation), float(has_succeeded), has_succeeded, False, info

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """The static camera's (H, W, 3) uint8 image in mode ``rgb_array``."""
        if self.render_mode is None:
            return None
        return self.world.get_camera_obs()[0]['rgb_static']

    def close(self) -> None:
        """Disconnect from PyBullet."""
        self.world.close()


def _flat(observation: dict[str, Any]) -> dict[str, np.ndarray]:
    return {**observation['rgb_obs'], **observation['depth_obs'],
            **{name: observation[name] for name in _STATES}}


def register() -> None:
    """Make ``gymnasium.make(ENV_ID)`` known; twice does no harm."""
    if ENV_ID not in gymnasium.registry:
        gymnasium.register(ENV_ID, 'dysl_vla_ros.sim.gym_env:PlayTableGymEnv')
