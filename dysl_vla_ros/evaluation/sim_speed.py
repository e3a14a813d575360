# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How fast the simulated world is, beside the original's figures, and where the time goes.

What is stepped is real work: the scripted expert's actions over tasks of every kind, found once
and replayed. Runs of all cases alternate, so that a machine that slows down slows all of them.
The original's figures (design/calvin.md section 8) were computed from CPU time, "one free core";
so are the ratios here. Wall-clock figures stand beside them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
import multiprocessing
from multiprocessing.connection import Connection
import time
from typing import Any

import numpy as np

from dysl_vla_ros.errors import ConfigError, SimulationError
from dysl_vla_ros.sim import PlayTableEnv
from dysl_vla_ros.sim.cameras import RENDERERS
from dysl_vla_ros.sim.expert import ScriptedExpert
from dysl_vla_ros.sim.physics import get_physics
from dysl_vla_ros.sim.sampling import random_initial_state

SCENE = 'calvin_scene_D'
TASKS = ('open_drawer', 'lift_red_block_table', 'turn_on_led', 'rotate_blue_block_left',
         'move_slider_left', 'push_pink_block_right')
# Control steps per second of calvin_env on one core, slowest and fastest measured.
ORIGINAL_STATE_ONLY, ORIGINAL_BOTH_CAMERAS = (340.0, 470.0), (11.5, 11.5)
PARTS = ('physics', 'inverse kinematics', 'motor commands', 'state', 'info', 'images')
# (robot_obs, scene_obs, actions (n, 7)) per task.
Work = list[tuple[np.ndarray, np.ndarray, np.ndarray]]
_STEPS_PER_TASK = 60  # the expert's mean is 45
_WARM_UP = 5


@dataclass(frozen=True)
class Case:
    """One thing to time.

    Attributes:
        physics: One of ``sim.physics.PHYSICS``.
        renderer: One of ``sim.cameras.RENDERERS`` (both cameras at CALVIN's sizes), or None for
            no images.
        processes: How many worlds run at once, one per process.
    """

    physics: str
    renderer: str | None
    processes: int

    def __post_init__(self) -> None:
        """Raise SimulationError for unknown names, ConfigError for fewer than one process."""
        get_physics(self.physics)
        if self.renderer is not None and self.renderer not in RENDERERS:
            raise SimulationError(f'unknown renderer {self.renderer!r}; expected one of '
                                  f'{sorted(RENDERERS)}')
        if self.processes < 1:
            raise ConfigError(f'processes: got {self.processes}, expected >= 1')

    @property
    def original(self) -> tuple[float, float]:
        """Steps per second of the original doing the same."""
        return ORIGINAL_STATE_ONLY if self.renderer is None else ORIGINAL_BOTH_CAMERAS


@dataclass(frozen=True)
class Run:
    """One timed run of one case.

    Attributes:
        steps: Control steps per process.
        wall_s: Until the last process was done.
        cpu_s: CPU time of each process.
    """

    steps: int
    wall_s: float
    cpu_s: tuple[float, ...]


def cases(physics: Sequence[str], renderers: Sequence[str],
          processes: Sequence[int]) -> list[Case]:
    """State only with every physics; both cameras with every renderer and the first physics."""
    worlds = [(p, None) for p in physics] + [(physics[0], r) for r in renderers]
    return [Case(p, renderer, count) for p, renderer in worlds for count in processes]


def summarize(case: Case, runs: Sequence[Run]) -> dict[str, Any]:
    """Medians over the runs and their ratios to the original, JSON-ready.

    ``steps_per_s`` is per CPU second, summed over the processes; ``ratio`` says how many times
    the original's fastest and slowest measured figure that is.
    """
    by_cpu = [sum(run.steps / seconds for seconds in run.cpu_s) for run in runs]
    by_wall = [run.steps * case.processes / run.wall_s for run in runs]
    median = float(np.median(by_cpu))
    slowest, fastest = case.original
    return {
        'physics': case.physics, 'renderer': case.renderer, 'processes': case.processes,
        'steps': runs[0].steps, 'runs': len(runs),
        'steps_per_s': median, 'steps_per_s_range': [min(by_cpu), max(by_cpu)],
        'steps_per_s_wall': float(np.median(by_wall)), 'original': list(case.original),
        'ratio': [median / fastest, median / slowest]}


def record_actions(steps: int, scene: str = SCENE, seed: int = 0) -> Work:
    """What the expert does in ``steps`` control steps.

    Raises:
        ConfigError: For fewer than one step.
    """
    if steps < 1:
        raise ConfigError(f'steps: got {steps}, expected >= 1')
    rng = np.random.default_rng(seed)
    found: Work = []
    left = steps
    while left > 0:
        task = TASKS[len(found) % len(TASKS)]
        start = random_initial_state(rng, task, scene)
        env = PlayTableEnv(scene, render=False)
        expert, observation, actions = ScriptedExpert(env), env.reset(*start), []
        expert.reset(task)
        for _ in range(min(left, _STEPS_PER_TASK)):
            actions.append(expert.act(observation))
            observation = env.step(actions[-1])[0]
        env.close()
        found.append((*start, np.array(actions)))
        left -= len(actions)
    return found


def _world(case: Case, scene: str) -> PlayTableEnv:
    return PlayTableEnv(scene, render=case.renderer is not None, renderer=case.renderer or 'tiny',
                        physics=case.physics)


def _replay(env: PlayTableEnv, work: Work, steps: int) -> None:
    done = 0
    for robot_obs, scene_obs, actions in work:
        env.reset(robot_obs, scene_obs)
        for action in actions[:steps - done]:
            env.step(action)
        done += len(actions)
        if done >= steps:
            break


def profile(case: Case, work: Work, steps: int, scene: str = SCENE) -> dict[str, float]:
    """Share of the CPU time of a step per part of ``PARTS`` and ``other``; they add up to 1."""
    env = _world(case, scene)
    spent = dict.fromkeys(PARTS, 0.0)
    _replay(env, work, _WARM_UP)
    for owner, name, part in (
            (env, 'physics', 'physics'), (env.robot, 'inverse_kinematics', 'inverse kinematics'),
            (env.robot, 'command_joints', 'motor commands'),
            (env.robot, 'command_gripper', 'motor commands'),
            (env.robot, 'update', 'state'), (env.table, 'update', 'state'),
            (env, '_read', 'state'), (env, '_state_obs', 'state'), (env, '_info', 'info'),
            (env, 'get_camera_obs', 'images')):
        if part == 'physics':
            setattr(owner, name, _TimedPhysics(env.physics, spent))
        else:
            setattr(owner, name, _timed(getattr(owner, name), spent, part))
    begin = time.process_time()
    _replay(env, work, steps)
    total = time.process_time() - begin
    env.close()
    shares = {part: seconds / total for part, seconds in spent.items()}
    return {**shares, 'other': 1.0 - sum(shares.values())}


def _timed(function: Callable[..., Any], spent: dict[str, float],
           part: str) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        begin = time.process_time()
        try:
            return function(*args)
        finally:
            spent[part] += time.process_time() - begin
    return call


class _TimedPhysics:
    """Stands in for ``Physics``, whose frozen instance takes no other methods."""

    def __init__(self, physics: Any, spent: dict[str, float]) -> None:
        self._physics = physics
        self.advance = _timed(physics.advance, spent, 'physics')

    def __getattr__(self, name: str) -> Any:
        return getattr(self._physics, name)


# ---------------------------------------------------------------------- processes
def _serve(connection: Connection, work: Work, scene: str) -> None:
    """Worker: builds each case's world once; answers 'ready', then times on 'go'."""
    worlds: dict[Case, PlayTableEnv] = {}
    while (job := connection.recv()) is not None:
        case, steps = job
        try:
            if case not in worlds:
                worlds[case] = _world(case, scene)
            _replay(worlds[case], work, min(_WARM_UP, steps))
        except SimulationError as error:
            connection.send(error)
            continue
        connection.send('ready')
        connection.recv()
        begin = time.process_time()
        _replay(worlds[case], work, steps)
        connection.send(time.process_time() - begin)


def measure(todo: Sequence[tuple[Case, int]], work: Work, runs: int,
            scene: str = SCENE) -> Iterator[tuple[Case, Run]]:
    """Time every (case, steps) ``runs`` times, alternating.

    Raises:
        ConfigError: For fewer than one run.
        SimulationError: If a case cannot be built here, for example without an EGL driver.
    """
    if runs < 1:
        raise ConfigError(f'runs: got {runs}, expected >= 1')
    context = multiprocessing.get_context('spawn')
    workers = []
    for _ in range(max(case.processes for case, _ in todo)):
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, work, scene), daemon=True)
        process.start()
        theirs.close()
        workers.append((ours, process))
    try:
        for index in range(runs):
            for case, steps in todo if index % 2 == 0 else todo[::-1]:
                yield case, _run(case, steps, [c for c, _ in workers[:case.processes]])
    finally:
        for connection, process in workers:
            if process.is_alive():
                connection.send(None)
            process.join()


def _run(case: Case, steps: int, connections: list[Any]) -> Run:
    for connection in connections:
        connection.send((case, steps))
    answers = [connection.recv() for connection in connections]
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    begin = time.perf_counter()
    for connection in connections:
        connection.send('go')
    cpu = tuple(float(connection.recv()) for connection in connections)
    return Run(steps, time.perf_counter() - begin, cpu)
