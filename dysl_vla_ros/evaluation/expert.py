# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The scripted expert's success: 34 single tasks per scene, and CALVIN's 1000 chains.

State only: nothing is rendered. Every episode runs in a fresh world and depends on its own
specification alone, so that a failure in the table can be replayed by its id.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
import json
import multiprocessing
from pathlib import Path
import platform
from typing import Any

import numpy as np

from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.evaluation.episode import (
    DEFAULT_MAX_STEPS,
    EpisodeRunner,
    EpisodeSpec,
    StepOutcome,
    Subtask,
)
from dysl_vla_ros.evaluation.inprocess import Progress
from dysl_vla_ros.evaluation.manifest import PHYSICS
from dysl_vla_ros.evaluation.metrics import chain_metrics

_STREAM = 0x65787065  # separates these start states from all others
Result = dict[str, Any]


def single_episode(scene: str, task: str, seed: int) -> EpisodeSpec:
    """Random start state number ``seed`` of a task.

    Raises:
        ContractError: For an unknown task.
        SimulationError: For an unknown scene.
        ConfigError: For a negative seed.
    """
    from dysl_vla_ros.sim.instructions import TASKS, VALIDATION
    from dysl_vla_ros.sim.sampling import random_initial_state
    if seed < 0:
        raise ConfigError(f'seed: got {seed}, expected >= 0')
    index = TASKS.index(task) if task in TASKS else 0
    rng = np.random.default_rng((_STREAM, ord(scene[-1]), index, seed))
    robot_obs, scene_obs = random_initial_state(rng, task, scene)
    return EpisodeSpec(f'{scene[-1]}.{task}.{seed}', robot_obs, scene_obs,
                       (Subtask(task, VALIDATION[task]),), DEFAULT_MAX_STEPS)


def chain_episodes(first: int = 0, count: int = 1000) -> Iterator[EpisodeSpec]:
    """CALVIN's evaluation chains ``first`` .. ``first + count - 1`` in scene D."""
    from dysl_vla_ros.sim import get_env_state_for_initial_condition, get_sequences
    from dysl_vla_ros.sim.instructions import VALIDATION
    for number, (state, tasks) in enumerate(get_sequences()[first:first + count], first):
        yield EpisodeSpec(f'chain.{number}', *get_env_state_for_initial_condition(state),
                          tuple(Subtask(task, VALIDATION[task]) for task in tasks),
                          DEFAULT_MAX_STEPS)


def single_episodes(scenes: str, tasks: Sequence[str] | None,
                    starts: int) -> Iterator[tuple[EpisodeSpec, str]]:
    """``starts`` single-task episodes per task (default: all) and scene letter.

    Raises:
        ConfigError: For fewer than one start.
    """
    from dysl_vla_ros.sim.instructions import TASKS
    if starts < 1:
        raise ConfigError(f'starts: got {starts}, expected >= 1')
    for letter in scenes:
        for task in tasks or TASKS:
            for seed in range(starts):
                scene = f'calvin_scene_{letter}'
                yield single_episode(scene, task, seed), scene


def episode_by_id(episode_id: str) -> tuple[EpisodeSpec, str]:
    """The (episode, scene) of an id such as ``D.stack_block.17`` or ``chain.704``.

    Raises:
        ConfigError: If it is no such id.
    """
    words = episode_id.split('.')
    if words[-1].isdecimal() and len(words) == 3:
        scene = f'calvin_scene_{words[0]}'
        return single_episode(scene, words[1], int(words[2])), scene
    if words[-1].isdecimal() and len(words) == 2 and words[0] == 'chain':
        for spec in chain_episodes(int(words[1]), 1):
            return spec, 'calvin_scene_D'
    raise ConfigError(f'episode {episode_id!r}: expected SCENE.TASK.SEED, for example '
                      'D.stack_block.17, or chain.NUMBER with a number of 0 to 999')


def run_expert(spec: EpisodeSpec, scene: str, assets_dir: str | None = None,
               physics: str = PHYSICS) -> Result:
    """Run one episode; ``EpisodeRunner.summary`` with ``reason`` of a failure, else None."""
    from dysl_vla_ros.sim import PlayTableEnv, TaskOracle
    from dysl_vla_ros.sim.expert import InfeasibleTask, ScriptedExpert
    env = PlayTableEnv(scene, assets_dir, render=False, physics=physics)
    try:
        runner = EpisodeRunner(env, TaskOracle())
        observation = runner.start(spec)
        expert = ScriptedExpert(env)
        reason = None
        try:
            expert.reset(runner.subtask.task)
            while True:
                outcome = runner.apply(expert.act(observation))
                observation = runner.observation
                if outcome is StepOutcome.SUBTASK_SUCCEEDED:
                    expert.reset(runner.subtask.task)
                elif outcome is not StepOutcome.CONTINUE:
                    break
            if outcome is StepOutcome.EPISODE_FAILED:
                reason = f'no success in {spec.max_steps} steps'
        except InfeasibleTask as error:
            reason = str(error)
        result = runner.summary()
        if reason is not None and len(result['steps']) == result['succeeded']:
            result['steps'].append(0)  # attempted, given up at once
        return {**result, 'scene': scene, 'physics': physics, 'reason': reason}
    finally:
        env.close()


def evaluate_expert(episodes: Sequence[tuple[EpisodeSpec, str]], workers: int = 1,
                    assets_dir: str | None = None, progress: Progress | None = None,
                    physics: str = PHYSICS) -> list[Result]:
    """Run (episode, scene) pairs in ``workers`` processes; results in the given order."""
    results: dict[int, Result] = {}

    def finish(index: int, result: Result) -> None:
        results[index] = result
        if progress is not None:
            progress(result)

    if workers <= 1:
        for index, (spec, scene) in enumerate(episodes):
            finish(index, run_expert(spec, scene, assets_dir, physics))
    else:
        context = multiprocessing.get_context('spawn')
        with ProcessPoolExecutor(workers, context) as pool:
            jobs = {pool.submit(run_expert, spec, scene, assets_dir, physics): index
                    for index, (spec, scene) in enumerate(episodes)}
            for job in as_completed(jobs):
                finish(jobs[job], job.result())
    return [results[index] for index in range(len(episodes))]


def read_episodes(path: Path) -> dict[str, Result]:
    """Finished results of an interrupted run by id; a torn last line is left out."""
    if not path.is_file():
        return {}
    found = {}
    for line in path.read_text(encoding='utf-8').splitlines():
        try:
            result = json.loads(line)
        except ValueError:
            continue
        found[result['episode_id']] = result
    return found


def provenance() -> dict[str, Any]:
    """What the figures depend on, beside the code."""
    from importlib.metadata import version

    from dysl_vla_ros import __version__
    return {'version': __version__, 'python': platform.python_version(),
            'pybullet': version('pybullet'), 'numpy': version('numpy'), 'rendered': False}


def failures(results: Sequence[Result]) -> list[dict[str, Any]]:
    """One entry per failed episode: which task, why, and its id for a replay."""
    return [{'episode_id': r['episode_id'], 'scene': r['scene'],
             'task': r['subtasks'][r['succeeded']], 'position': r['succeeded'] + 1,
             'reason': r['reason']}
            for r in results if r['succeeded'] < len(r['subtasks'])]


def summarize(results: Sequence[Result]) -> dict[str, Any]:
    """Metrics per scene, failures, and how often each task failed."""
    scenes = sorted({r['scene'] for r in results})
    lost = failures(results)
    return {'metrics': {scene: chain_metrics([r for r in results if r['scene'] == scene])
                        .to_mapping() for scene in scenes},
            'failures': lost,
            'failed_tasks': dict(Counter(f['task'] for f in lost).most_common())}
