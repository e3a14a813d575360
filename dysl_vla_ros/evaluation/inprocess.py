# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation without ROS: policy and world in one process, episodes spread over processes.

For fast development. The same runner, limits and recorder as over ROS in lockstep, therefore the
same actions; every episode starts in a fresh world, so the result does not depend on the number
of workers.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
import multiprocessing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dysl_vla_ros.control.limits import limit_action
from dysl_vla_ros.errors import InstructionError
from dysl_vla_ros.evaluation.episode import EpisodeRunner, EpisodeSpec, StepOutcome
from dysl_vla_ros.evaluation.manifest import PHYSICS, RENDERER
from dysl_vla_ros.evaluation.recording import RolloutRecorder, step_stats
from dysl_vla_ros.observation.observation import Observation
from dysl_vla_ros.skipping.step import Step

if TYPE_CHECKING:
    from dysl_vla_ros.model.acceleration import Acceleration

Progress = Callable[[dict[str, Any]], None]


class Policy(Protocol):
    """What the evaluator needs of a policy; ``DySLPolicy`` has it."""

    def reset(self, instruction: str) -> None:
        """Start an instruction."""

    def act(self, observation: Observation) -> Step:
        """Predict one action and commit it."""


class Factory(Protocol):
    """Makes policies and worlds inside a worker process; picklable."""

    def policy(self) -> Policy:
        """Called once per process."""

    def world(self) -> tuple[Any, Any]:
        """(environment, oracle); called once per episode."""


@dataclass(frozen=True)
class CheckpointFactory:
    """The shipped policy and the play table.

    Attributes:
        checkpoint: Weights folder.
        strategy: One of ``skipping.names.STRATEGIES``.
        scene: CALVIN scene.
        device: Torch device.
        threads: CPU threads of one inference.
        budget: Calibrated share of decoder layers; None: the default of the strategy's files.
        renderer: The play table's.
        physics: The play table's.
        acceleration: Precision and speed options; None: as stored, eager.
    """

    checkpoint: str
    strategy: str = 'dysl'
    scene: str = 'calvin_scene_D'
    device: str = 'cpu'
    threads: int = 1
    budget: float | None = None
    renderer: str = RENDERER
    physics: str = PHYSICS
    acceleration: 'Acceleration | None' = None

    def policy(self) -> Policy:
        """Load the weights."""
        import torch

        from dysl_vla_ros.model.acceleration import Acceleration
        from dysl_vla_ros.skipping.policy import DySLPolicy
        torch.set_num_threads(self.threads)
        return DySLPolicy.from_pretrained(self.checkpoint, self.strategy, self.device, self.budget,
                                          acceleration=self.acceleration or Acceleration())

    def world(self) -> tuple[Any, Any]:
        """Build a play table."""
        from dysl_vla_ros.sim import PlayTableEnv, TaskOracle
        return PlayTableEnv(self.scene, renderer=self.renderer,
                            physics=self.physics), TaskOracle()


def run_episode(policy: Policy, env: Any, oracle: Any, spec: EpisodeSpec,
                recorder: RolloutRecorder | None = None) -> dict[str, Any]:
    """Run one episode; returns ``EpisodeRunner.summary``.

    A policy that raises InstructionError has failed the subtask.
    """
    runner = EpisodeRunner(env, oracle)
    observation = runner.start(spec)
    if recorder is not None:
        recorder.begin(spec)
    outcome = StepOutcome.SUBTASK_SUCCEEDED  # of the one before the first
    while outcome in (StepOutcome.CONTINUE, StepOutcome.SUBTASK_SUCCEEDED):
        try:
            if outcome is StepOutcome.SUBTASK_SUCCEEDED:
                policy.reset(runner.subtask.instruction)
            step = policy.act(_observe(policy, env, observation))
        except InstructionError as error:
            outcome = runner.give_up(f'{type(error).__name__}: {error}')
            break
        action = limit_action(step.action).action
        index = runner.subtask_index
        outcome = runner.apply(action)
        if recorder is not None:
            recorder.step(index, observation, action, step_stats(step))
        observation = runner.observation
    result = runner.summary()
    if recorder is not None:
        recorder.end(result)
    return result


def _observe(policy: Policy, env: Any, observation: dict[str, Any]) -> Observation:
    scene = None
    if getattr(policy, 'uses_scene_state', False):
        from dysl_vla_ros.sim.expert import scene_state
        scene = scene_state(env, observation)
    images = observation['rgb_obs']
    return Observation(images['rgb_static'], images['rgb_gripper'], observation['robot_obs'],
                       scene=scene)


def evaluate(policy: Policy, env: Any, oracle: Any, suite: Iterable[EpisodeSpec],
             recorder: RolloutRecorder | None = None,
             progress: Progress | None = None) -> list[dict[str, Any]]:
    """Run a suite in this process with one world; returns the results in the suite's order."""
    results = []
    for spec in suite:
        results.append(run_episode(policy, env, oracle, spec, recorder))
        if progress is not None:
            progress(results[-1])
    return results


_worker_state: tuple[Factory, Policy, RolloutRecorder | None] | None = None


def _start_worker(factory: Factory, folder: str | None, videos: bool) -> None:
    # Module state is the only way for a pool's initializer to leave something for its jobs.
    global _worker_state
    recorder = RolloutRecorder(folder, videos) if folder is not None else None
    _worker_state = (factory, factory.policy(), recorder)


def _run_in_worker(spec: EpisodeSpec) -> dict[str, Any]:
    assert _worker_state is not None
    factory, policy, recorder = _worker_state
    env, oracle = factory.world()
    try:
        return run_episode(policy, env, oracle, spec, recorder)
    finally:
        env.close()


def evaluate_parallel(factory: Factory, suite: Iterable[EpisodeSpec],
                      folder: str | Path | None = None, videos: bool = False, workers: int = 1,
                      progress: Progress | None = None) -> list[dict[str, Any]]:
    """Run a suite in ``workers`` processes, one episode at a time each.

    Args:
        factory: Makes policy and world in each process.
        suite: Episodes.
        folder: Results folder for recordings, or None.
        videos: Whether to record videos.
        workers: Processes; 1 runs here.
        progress: Called with each finished result, in order of completion.

    Returns:
        Results in the suite's order, whatever the order of completion.
    """
    specs = list(suite)
    place = str(folder) if folder is not None else None
    results: dict[str, dict[str, Any]] = {}

    def finish(result: dict[str, Any]) -> None:
        results[result['episode_id']] = result
        if progress is not None:
            progress(result)

    if workers <= 1:
        _start_worker(factory, place, videos)
        for spec in specs:
            finish(_run_in_worker(spec))
    else:
        # spawn: neither torch nor PyBullet survives a fork with threads.
        context = multiprocessing.get_context('spawn')
        with ProcessPoolExecutor(min(workers, len(specs)), context, _start_worker,
                                 (factory, place, videos)) as pool:
            for future in as_completed([pool.submit(_run_in_worker, spec) for spec in specs]):
                finish(future.result())
    return [results[spec.episode_id] for spec in specs]
