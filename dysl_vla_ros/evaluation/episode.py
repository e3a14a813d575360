# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One chain of subtasks: start, apply actions, judge. Shared by evaluator and bridge.

The protocol is CALVIN's (design/calvin.md section 5.1): one reset per episode; every subtask
stores its start info; after every step the oracle is asked about the current task only; success
starts the next subtask without touching the scene, failure ends the episode.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from dysl_vla_ros.errors import ContractError

DEFAULT_MAX_STEPS = 360
_JUDGED = ('success', 'max_steps')
_SIZES = {'robot_obs': 15, 'scene_obs': 24}


@dataclass(frozen=True)
class Subtask:
    """A CALVIN task and the sentence given to the policy."""

    task: str
    instruction: str


@dataclass(frozen=True, eq=False)
class EpisodeSpec:
    """One episode.

    Attributes:
        episode_id: Unique in its suite; also the name of its folder of recordings.
        robot_obs: (15,) start state in CALVIN's layout, or None for the default.
        scene_obs: (24,) start state, or None for a sampled scene.
        subtasks: In order; the episode ends at the first failure.
        max_steps: Control steps per subtask.
    """

    episode_id: str
    robot_obs: np.ndarray | None
    scene_obs: np.ndarray | None
    subtasks: tuple[Subtask, ...]
    max_steps: int = DEFAULT_MAX_STEPS

    def __post_init__(self) -> None:
        """Raise ContractError for an id that is no folder name, no subtask or a wrong state."""
        name = self.episode_id
        if not name or name.startswith('.') or any(c in name for c in '/\\\0'):
            raise ContractError(f'episode_id {name!r}: expected a plain folder name')
        if not self.subtasks or self.max_steps < 1:
            raise ContractError(f'episode {name}: needs at least one subtask and one step, got '
                                f'{len(self.subtasks)} and {self.max_steps}')
        for key, size in _SIZES.items():
            value = getattr(self, key)
            if value is None:
                continue
            array = np.asarray(value, dtype=np.float64)
            if array.shape != (size,) or not np.isfinite(array).all():
                raise ContractError(f'episode {name}: {key}: expected {size} finite values, got '
                                    f'shape {array.shape}')
            object.__setattr__(self, key, array)

    def to_mapping(self) -> dict[str, Any]:
        """JSON-ready form; ``from_mapping`` restores every bit."""
        return {
            'episode_id': self.episode_id, 'max_steps': self.max_steps,
            'subtasks': [{'task': s.task, 'instruction': s.instruction} for s in self.subtasks],
            **{key: None if getattr(self, key) is None else getattr(self, key).tolist()
               for key in _SIZES}}

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> 'EpisodeSpec':
        """Read ``to_mapping``'s form.

        Raises:
            ContractError: If a key is missing or unknown, or a value breaks the contract.
        """
        known = {'episode_id', 'max_steps', 'subtasks', *_SIZES}
        if not isinstance(data, Mapping) or not {'episode_id', 'subtasks'} <= set(data) <= known:
            raise ContractError(f'episode: expected a mapping with the keys {sorted(known)}, got '
                                f'{sorted(data) if isinstance(data, Mapping) else data!r}')
        try:
            subtasks = tuple(Subtask(str(s['task']), str(s['instruction']))
                             for s in data['subtasks'])
            return cls(str(data['episode_id']), data.get('robot_obs'), data.get('scene_obs'),
                       subtasks, int(data.get('max_steps', DEFAULT_MAX_STEPS)))
        except (KeyError, TypeError, ValueError) as error:
            raise ContractError(f'episode {data["episode_id"]!r}: {error!r}') from error


class StepOutcome(Enum):
    """Verdict after one control step."""

    CONTINUE = 'continue'
    SUBTASK_SUCCEEDED = 'subtask succeeded'
    EPISODE_SUCCEEDED = 'episode succeeded'
    EPISODE_FAILED = 'episode failed'


@dataclass(frozen=True)
class SubtaskResult:
    """How one attempted subtask ended.

    Attributes:
        task: CALVIN's name.
        success: The oracle's verdict.
        steps: Control steps made.
        reason: ``success``, ``max_steps``, or why the policy gave up.
    """

    task: str
    success: bool
    steps: int
    reason: str


class EpisodeRunner:
    """Drives one environment through one episode at a time."""

    def __init__(self, env: Any, oracle: Any) -> None:
        """Use ``env`` (PlayTableEnv's API) and ``oracle`` (TaskOracle's)."""
        self._env, self._oracle = env, oracle
        self._spec: EpisodeSpec | None = None
        self._is_over = True
        self.observation: dict[str, Any] = {}
        self.subtask_index = 0
        self.subtask_step = 0
        self.results: list[SubtaskResult] = []

    @property
    def subtask(self) -> Subtask:
        """The subtask in progress; the last one after the episode has ended.

        Raises:
            ContractError: Before the first ``start``.
        """
        if self._spec is None:
            raise ContractError('no episode has been started')
        return self._spec.subtasks[min(self.subtask_index, len(self._spec.subtasks) - 1)]

    def start(self, spec: EpisodeSpec) -> dict[str, Any]:
        """Reset the world; returns the first observation."""
        self._spec, self._is_over = spec, False
        self.subtask_index, self.subtask_step, self.results = 0, 0, []
        robot = getattr(self._env, 'robot', None)
        if robot is not None:
            # CALVIN keeps the last gripper command across resets, so that an episode would
            # depend on the one before it. Here it is part of the start state.
            robot.gripper_action = (
                1.0 if spec.robot_obs is None or spec.robot_obs[14] >= 0 else -1.0)
        self.observation = self._env.reset(robot_obs=spec.robot_obs, scene_obs=spec.scene_obs)
        self._start_info = self._env.get_info()
        return self.observation

    def apply(self, action: np.ndarray) -> StepOutcome:
        """Make one control step and judge the current subtask.

        Raises:
            ContractError: If no episode is running.
        """
        if self._spec is None or self._is_over:
            raise ContractError('apply() without a running episode; call start(spec) first')
        self.observation, _, _, info = self._env.step(action)
        self.subtask_step += 1
        task = self.subtask.task
        if self._oracle.get_task_info_for_set(self._start_info, info, {task}):
            self.results.append(SubtaskResult(task, True, self.subtask_step, 'success'))
            self.subtask_index += 1
            self.subtask_step, self._start_info = 0, info
            self._is_over = self.subtask_index == len(self._spec.subtasks)
            return (StepOutcome.EPISODE_SUCCEEDED if self._is_over
                    else StepOutcome.SUBTASK_SUCCEEDED)
        if self.subtask_step < self._spec.max_steps:
            return StepOutcome.CONTINUE
        self.results.append(SubtaskResult(task, False, self.subtask_step, 'max_steps'))
        self._is_over = True
        return StepOutcome.EPISODE_FAILED

    def give_up(self, reason: str) -> StepOutcome:
        """Fail the current subtask, and with it the episode, because the policy gave up.

        Raises:
            ContractError: If no episode is running.
        """
        if self._spec is None or self._is_over:
            raise ContractError('give_up() without a running episode; call start(spec) first')
        self.results.append(SubtaskResult(self.subtask.task, False, self.subtask_step, reason))
        self._is_over = True
        return StepOutcome.EPISODE_FAILED

    def summary(self, interrupted: int = 0) -> dict[str, Any]:
        """The episode's result as recorders and metrics take it (reference/results_format.md)."""
        assert self._spec is not None
        has_given_up = bool(self.results) and self.results[-1].reason not in _JUDGED
        return {
            'episode_id': self._spec.episode_id,
            'succeeded': sum(r.success for r in self.results),
            'subtasks': [s.task for s in self._spec.subtasks],
            'steps': [r.steps for r in self.results], 'interrupted': interrupted,
            **({'reason': self.results[-1].reason} if has_given_up else {})}
