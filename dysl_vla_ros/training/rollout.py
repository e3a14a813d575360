# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One chain of demonstrations: the expert labels every frame, something like it drives.

Every frame's label is what the expert does in that state. What is executed may differ: the
expert's action plus correlated noise, or a learner's action (DAgger), so that the data covers
the states a policy reaches by its own mistakes.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dysl_vla_ros.observation.observation import Observation
from dysl_vla_ros.observation.preprocess import resize
from dysl_vla_ros.sim import PlayTableEnv, TaskOracle
from dysl_vla_ros.sim.expert import ScriptedExpert
from dysl_vla_ros.sim.instructions import TRAINING
from dysl_vla_ros.sim.sampling import random_initial_state
from dysl_vla_ros.sim.scene import DESK_REST_HEIGHT_M, DRAWER_RANGE_M
from dysl_vla_ros.training.collect_config import CollectConfig

_NOISE_MEMORY = 0.8
_NOISE_STEP = 0.6
_USES_HELD_BLOCK = ('place_in_slider', 'place_in_drawer', 'stack_block')
_COLOURS = ('red', 'blue', 'pink')
_WORDING_STREAM = 1  # a generator of its own: wordings do not change the motion


@dataclass
class Chain:
    """Frames and subtasks of one chain.

    Attributes:
        index: Number of the chain; with the configuration's seed it decides everything.
        noise: Standard deviation of the action noise.
        frames: Arrays by the names of ``datasets.frames.KEYS``, one entry per kept frame.
        subtasks: In order: task, success, steps, instruction, and the kept frames start and
            end (exclusive, counted from the chain's first frame) or None.
    """

    index: int
    noise: float
    frames: dict[str, list[np.ndarray]] = field(default_factory=dict)
    subtasks: list[dict[str, Any]] = field(default_factory=list)

    def __len__(self) -> int:
        """Frames."""
        return len(self.frames.get('rel_actions', ()))

    @property
    def kept(self) -> list[dict[str, Any]]:
        """Subtasks with frames."""
        return [s for s in self.subtasks if s['start'] is not None]


class ChainCollector:
    """Rolls out one chain at a time, each in a fresh environment.

    A reset leaves traces of the motion before it in the physics engine's caches: in a used
    environment the last bits of a chain would depend on the chains before it.
    """

    def __init__(self, config: CollectConfig) -> None:
        """If asked for, load the learner."""
        self.config = config
        self.oracle = TaskOracle()
        self.learner: Any = None
        if config.learner is not None:
            import torch

            from dysl_vla_ros.skipping.policy import DySLPolicy
            torch.set_num_threads(1)
            strategy: Any = config.learner_strategy  # checked by the constructor
            self.learner = DySLPolicy.from_pretrained(config.learner, strategy)

    def collect(self, index: int) -> Chain:
        """Roll out chain ``index``."""
        config = self.config
        rng = np.random.default_rng((config.seed, index))
        wording = np.random.default_rng((config.seed, index, _WORDING_STREAM))
        noise = 0.0 if rng.random() < config.clean_share else rng.uniform(0.05, config.noise_max)
        chain = Chain(index, float(noise))
        first = config.tasks[index % len(config.tasks)] if config.first_task_in_turn else None
        planned = _first_tasks(first, rng)
        self.env = PlayTableEnv(config.scene, config.assets_dir, renderer=config.renderer,
                                physics=config.physics)
        try:
            self.expert = ScriptedExpert(self.env)
            observation = self.env.reset(*_start_state(rng, planned, config.scene))
            for _ in range(max(config.subtasks, len(planned))):
                task = self._next(planned, observation, rng)
                if task is None:
                    break
                observation, success = self._subtask(chain, task, observation, rng, wording)
                if not success:
                    break
        finally:
            self.env.close()
        return chain

    def _next(self, planned: list[str], observation: dict[str, Any],
              rng: np.random.Generator) -> str | None:
        """The next planned task, or one that makes sense now; None if there is none.

        As in CALVIN's chains a held block is used at once.
        """
        if planned and self.expert.why_infeasible(planned[0]) is None:
            return planned.pop(0)
        planned.clear()
        is_held = self.expert.view(observation).held() is not None
        options = [task for task in self.config.tasks
                   if (task in _USES_HELD_BLOCK) == is_held
                   and self.expert.why_infeasible(task) is None]
        return str(rng.choice(options)) if options else None

    def _subtask(self, chain: Chain, task: str, observation: dict[str, Any],
                 rng: np.random.Generator, wording: np.random.Generator,
                 ) -> tuple[dict[str, Any], bool]:
        start = len(chain)
        observation, success = self._drive(chain, task, observation, rng)
        steps = len(chain) - start
        # A learner's failure is kept: its labels are right all the same. A lift that only
        # prepares a task of the configuration is not.
        is_kept = (success or self.learner is not None) and task in self.config.tasks
        if not is_kept:
            for values in chain.frames.values():
                del values[start:]
        chain.subtasks.append({
            'task': task, 'success': success, 'steps': steps,
            'instruction': str(wording.choice(TRAINING[task])),
            'start': start if is_kept else None, 'end': start + steps if is_kept else None})
        return observation, success

    def _drive(self, chain: Chain, task: str, observation: dict[str, Any],
               rng: np.random.Generator) -> tuple[dict[str, Any], bool]:
        self.expert.reset(task)
        start_info = self.env.get_info()
        learner_drives = self.learner is not None and rng.random() < self.config.learner_share
        if learner_drives:
            self.learner.reset(str(rng.choice(TRAINING[task])))
        error = np.zeros(6)
        for _ in range(self.config.max_steps):
            label = self.expert.act(observation)
            if learner_drives:
                rgb = observation['rgb_obs']
                executed = self.learner.act(Observation(
                    rgb['rgb_static'], rgb['rgb_gripper'], observation['robot_obs'])).action
            else:
                error = _NOISE_MEMORY * error + _NOISE_STEP * chain.noise * rng.normal(size=6)
                executed = np.append(np.clip(label[:6] + error, -1, 1), label[6])
            frame = {**self._images(observation), 'robot_obs': observation['robot_obs'],
                     'scene_obs': observation['scene_obs'], 'rel_actions': label,
                     'executed_rel_actions': np.asarray(executed, dtype=np.float64)}
            observation, _, _, info = self.env.step(executed)
            after = observation['robot_obs']
            frame['actions'] = np.append(after[:6], after[14])
            for name, value in frame.items():
                chain.frames.setdefault(name, []).append(value)
            if self.oracle.get_task_info_for_set(start_info, info, (task,)):
                return observation, True
        return observation, False

    def _images(self, observation: dict[str, Any]) -> dict[str, np.ndarray]:
        """Images to store: of CALVIN's size, or what the network gets to see of them."""
        images: dict[str, np.ndarray] = dict(observation['rgb_obs'])
        if self.config.image_size is not None:
            size = self.config.image_size
            images = {name: resize(image, size, 'area') for name, image in images.items()}
        return images | dict(observation['depth_obs']) if self.config.depth else images


def _first_tasks(first: str | None, rng: np.random.Generator) -> list[str]:
    """What a chain begins with: a block is lifted before a task that uses it."""
    if first in _USES_HELD_BLOCK:
        return [f'lift_{rng.choice(_COLOURS)}_block_table', str(first)]
    return [] if first is None else [first]


def _start_state(rng: np.random.Generator, planned: list[str],
                 scene: str) -> tuple[np.ndarray, np.ndarray]:
    """A start state in which all of ``planned`` is possible."""
    while True:
        state = random_initial_state(rng, planned[0] if planned else None, scene)
        scene_obs = state[1]
        blocks = scene_obs[6:].reshape(3, 6)
        on_desk = int(((blocks[:, 1] < 0) & (blocks[:, 2] > DESK_REST_HEIGHT_M - 0.02)).sum())
        if (planned[1:] != ['place_in_drawer'] or scene_obs[1] > DRAWER_RANGE_M / 2) \
                and (planned[1:] != ['stack_block'] or on_desk > 1):
            return state
