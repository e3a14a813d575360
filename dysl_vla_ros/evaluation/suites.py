# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Suites: fixed lists of episodes, built from a seed and stored as JSON.

Equal seed gives equal bytes. Start states come from random streams that ``dysl-vla collect``
never uses, so no suite shows a state of the training set whatever the seeds.
"""

from collections.abc import Iterator
import dataclasses
from dataclasses import dataclass, field
import json
from pathlib import Path
from typing import Any

import numpy as np

from dysl_vla_ros.errors import ConfigError, ContractError
from dysl_vla_ros.evaluation.episode import DEFAULT_MAX_STEPS, EpisodeSpec, Subtask

SUITES = ('furniture-singles', 'furniture-chains', 'shuffled', 'demo')
DEMO_SEED = 7
_STREAM = 0x6576616C  # separates our random numbers from those of training data
# Feature of the symbolic state that a task changes, and the value it ends with.
EFFECTS: dict[str, tuple[str, bool]] = {
    'move_slider_left': ('slider_left', True), 'move_slider_right': ('slider_left', False),
    'open_drawer': ('drawer_open', True), 'close_drawer': ('drawer_open', False),
    'turn_on_lightbulb': ('bulb_on', True), 'turn_off_lightbulb': ('bulb_on', False),
    'turn_on_led': ('led_on', True), 'turn_off_led': ('led_on', False)}
FEATURES = ('slider_left', 'drawer_open', 'bulb_on', 'led_on')


@dataclass(frozen=True)
class Suite:
    """A named list of episodes.

    Attributes:
        name: For tables and reports.
        episodes: With unique ids.
        metadata: How it was built (seed, count, version); JSON-ready.
    """

    name: str
    episodes: tuple[EpisodeSpec, ...]
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ContractError for an empty suite or an id that occurs twice."""
        ids = [spec.episode_id for spec in self.episodes]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if not ids or twice:
            raise ContractError(f'suite {self.name}: expected episodes with unique ids, got '
                                f'{len(ids)} episodes, repeated: {twice}')

    def __iter__(self) -> Iterator[EpisodeSpec]:
        """The episodes, in order."""
        return iter(self.episodes)

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.episodes)

    def head(self, count: int) -> 'Suite':
        """The first ``count`` episodes."""
        return dataclasses.replace(self, episodes=self.episodes[:count])


def save_suite(suite: Suite, path: str | Path) -> Path:
    """Write a suite as JSON, atomically."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {'format': 1, 'name': suite.name, 'metadata': suite.metadata,
            'episodes': [spec.to_mapping() for spec in suite]}
    partial = path.with_name(path.name + '.partial')
    partial.write_text(json.dumps(data, indent=1), encoding='utf-8')
    partial.replace(path)
    return path


def load_suite(path: str | Path) -> Suite:
    """Read a suite.

    Raises:
        ConfigError: If the file is missing or is not a suite.
    """
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding='utf-8'))
        if data.get('format') != 1:
            raise ValueError(f'format {data.get("format")!r}, expected 1')
        return Suite(data['name'], tuple(EpisodeSpec.from_mapping(e) for e in data['episodes']),
                     data['metadata'])
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error}; suites are written by dysl-vla '
                          'evaluate --save-suite') from error
    except (ValueError, KeyError, TypeError, AttributeError, ContractError) as error:
        raise ConfigError(f'{path}: not a suite: {error!r}') from error


def build_suite(name: str, count: int | None = None, seed: int = 0,
                max_steps: int = DEFAULT_MAX_STEPS) -> Suite:
    """Build a suite by name (one of ``SUITES``), or load a suite file.

    Args:
        name: Name or path; a name wins over a file of the same name.
        count: Episodes; None: 100 singles, 50 chains, 3 for the demo, a file's all.
        seed: Seed of a built suite.
        max_steps: Control steps per subtask of a built suite.

    Raises:
        ConfigError: If it is neither a known name nor a readable file, or count < 1.
    """
    if count is not None and count < 1:
        raise ConfigError(f'number of episodes: got {count}, expected >= 1')
    if name == 'furniture-singles':
        return furniture_singles(count or 100, seed, max_steps)
    if name == 'shuffled':
        return shuffled(furniture_singles(count or 100, seed, max_steps), seed)
    if name == 'furniture-chains':
        return furniture_chains(count or 50, seed, max_steps=max_steps)
    if name == 'demo':
        return demo_chains(count or 3)
    if not Path(name).is_file():
        raise ConfigError(f'suite {name!r} is neither a file nor one of {list(SUITES)}')
    suite = load_suite(name)
    return suite.head(count) if count is not None else suite


def furniture_singles(count: int = 100, seed: int = 0,
                      max_steps: int = DEFAULT_MAX_STEPS) -> Suite:
    """One furniture task per episode, the eight tasks in turn, from random start states.

    Doors and lights allow the task; blocks lie around as distractors; the arm starts from a
    random pose near CALVIN's.
    """
    from dysl_vla_ros.sim.instructions import FURNITURE_TASKS, VALIDATION
    from dysl_vla_ros.sim.sampling import random_initial_state
    episodes = []
    for i in range(count):
        task = FURNITURE_TASKS[i % len(FURNITURE_TASKS)]
        robot_obs, scene_obs = random_initial_state(_generator(seed, i), task)
        episodes.append(EpisodeSpec(f'single_{i:04d}', robot_obs, scene_obs,
                                    (Subtask(task, VALIDATION[task]),), max_steps))
    return Suite('furniture-singles', tuple(episodes), _metadata(count, seed))


def shuffled(suite: Suite, seed: int = 0) -> Suite:
    """The same episodes with the instruction of another furniture task; the judge stays.

    A policy that reads its instruction must fail here; one that only looks at the scene does
    not. Instructions are exchanged by random derangements of the eight tasks, a new one for
    every eight subtasks.

    Raises:
        ContractError: If a subtask is not one of the eight furniture tasks.
    """
    from dysl_vla_ros.sim.instructions import FURNITURE_TASKS, VALIDATION
    rng = _generator(seed, 1 << 20)
    count, mapping, episodes = 0, {}, []
    for spec in suite:
        subtasks = []
        for subtask in spec.subtasks:
            if subtask.task not in FURNITURE_TASKS:
                raise ContractError(f'shuffled suites take furniture tasks, got {subtask.task}')
            if count % len(FURNITURE_TASKS) == 0:
                mapping = dict(zip(FURNITURE_TASKS, _derangement(rng, FURNITURE_TASKS),
                                   strict=True))
            count += 1
            subtasks.append(Subtask(subtask.task, VALIDATION[mapping[subtask.task]]))
        episodes.append(dataclasses.replace(spec, subtasks=tuple(subtasks)))
    return Suite('shuffled', tuple(episodes),
                 {**suite.metadata, 'instructions': f'deranged with seed {seed}',
                  'of': suite.name})


def furniture_chains(count: int = 50, seed: int = 0, length: int = 5,
                     max_steps: int = DEFAULT_MAX_STEPS) -> Suite:
    """Chains of furniture tasks from CALVIN's robot pose, feasible in order, none repeated.

    CALVIN's rule that the categories of a chain differ cannot hold here: eight tasks fall into
    three categories. Results are comparable between our own runs only.

    Raises:
        ConfigError: For a length outside 1..8.
    """
    from dysl_vla_ros.sim.instructions import VALIDATION
    from dysl_vla_ros.sim.sampling import random_scene_obs
    from dysl_vla_ros.sim.scene import get_scene
    from dysl_vla_ros.sim.sequences import EVALUATION_ROBOT_OBS
    if not 1 <= length <= len(EFFECTS):
        raise ConfigError(f'length: got {length}, expected 1 to {len(EFFECTS)}')
    episodes = []
    for i in range(count):
        rng = _generator(seed, i)
        state = {name: bool(rng.integers(2)) for name in FEATURES}
        scene_obs = random_scene_obs(rng, get_scene('calvin_scene_D'), **state)
        tasks: list[str] = []
        for _ in range(length):
            options = [task for task, (feature, value) in EFFECTS.items()
                       if state[feature] != value and task not in tasks]
            task = options[rng.integers(len(options))]
            tasks.append(task)
            feature, value = EFFECTS[task]
            state[feature] = value
        episodes.append(EpisodeSpec(
            f'chain_{i:04d}', np.array(EVALUATION_ROBOT_OBS), scene_obs,
            tuple(Subtask(task, VALIDATION[task]) for task in tasks), max_steps))
    return Suite('furniture-chains', tuple(episodes), {**_metadata(count, seed),
                                                       'length': length})


def demo_chains(count: int = 3) -> Suite:
    """The chains of ``dysl-vla demo``: fixed, not chosen by looking at results."""
    return dataclasses.replace(furniture_chains(count, DEMO_SEED), name='demo-chains')


def _derangement(rng: np.random.Generator, items: tuple[str, ...]) -> list[str]:
    while True:
        order = [items[i] for i in rng.permutation(len(items))]
        if all(a != b for a, b in zip(order, items, strict=True)):
            return order


def _generator(seed: int, index: int) -> np.random.Generator:
    if seed < 0:
        raise ConfigError(f'seed: got {seed}, expected >= 0')
    return np.random.default_rng((_STREAM, seed, index))


def _metadata(count: int, seed: int) -> dict[str, Any]:
    from dysl_vla_ros import __version__
    return {'seed': seed, 'count': count, 'scene': 'calvin_scene_D', 'version': __version__}
