# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CALVIN's 1000 evaluation chains and their 192 start states, reproduced exactly.

A chain is drawn at random and kept if a symbolic simulation allows it. Source: design/calvin.md
sections 5.2 to 5.4, whose check value this module verifies. Generation takes the better part of
a minute; the result is cached under the user's cache folder and checked by its hash.
"""

from collections.abc import Iterator
import hashlib
import itertools
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np

from dysl_vla_ros.calvin_hash import fnv1
from dysl_vla_ros.errors import SimulationError
from dysl_vla_ros.sim.instructions import TASKS
from dysl_vla_ros.sim.scene import DRAWER_RANGE_M, SWITCH_RANGE_M

State = dict[str, int | str]
Sequence = tuple[State, tuple[str, ...]]

TOTAL = 1000
SHA256 = '604957a8a2d3102941b278df07df4950bc41f340ed959077b20467d5f692318a'
CHAIN_LENGTH = 5
BLOCKS = ('red_block', 'blue_block', 'pink_block')
_SIDES = ('slider_right', 'slider_left')
_VALUES: dict[str, tuple[int | str, ...]] = {
    'led': (0, 1), 'lightbulb': (0, 1), 'slider': ('right', 'left'),
    'drawer': ('closed', 'open'), **dict.fromkeys(BLOCKS, ('table', *_SIDES)), 'grasped': (0,)}

_FURNITURE_EFFECTS: dict[str, tuple[str, int | str]] = {
    'move_slider_left': ('slider', 'left'), 'move_slider_right': ('slider', 'right'),
    'open_drawer': ('drawer', 'open'), 'close_drawer': ('drawer', 'closed'),
    'turn_on_lightbulb': ('lightbulb', 1), 'turn_off_lightbulb': ('lightbulb', 0),
    'turn_on_led': ('led', 1), 'turn_off_led': ('led', 0)}

# design/calvin.md section 5.4
EVALUATION_ROBOT_OBS = (
    0.02586889, -0.2313129, 0.5712808, 3.09045411, -0.02908596, 1.50013585, 0.07999963,
    -1.21779124, 1.03987629, 2.11978254, -2.34205014, -0.87015899, 1.64119093, 0.55344928, 1.0)
_TABLE_SPOTS = ((0.0500000896, -0.120000177, 0.459990009), (0.229995412, -0.11999514, 0.45999001))
_SLIDER_SPOTS = {'slider_left': (-0.240851662, 0.0924044687, 0.460990009),
                 'slider_right': (0.070341633, 0.0924044687, 0.460990009)}
_SLIDE_LEFT_M = 0.28


def initial_states() -> list[State]:
    """The 192 symbolic start states in CALVIN's order (the last key varies fastest)."""
    states = [dict(zip(_VALUES, values, strict=True))
              for values in itertools.product(*_VALUES.values())]
    return [s for s in states if _is_start(s)]


def _is_start(state: State) -> bool:
    places = [state[block] for block in BLOCKS]
    return places.count('table') in (1, 2) and all(places.count(side) < 2 for side in _SIDES)


# ---------------------------------------------------------------------- symbolic tasks
def category(task: str) -> str:
    """Kind of a task; the kinds of a chain all differ (design/calvin.md section 5.3)."""
    if task.startswith('rotate_') or (task.startswith('push_') and task != 'push_into_drawer'):
        return 'rotate or push'
    if task.startswith('move_slider'):
        return 'slider'
    if task in ('open_drawer', 'close_drawer'):
        return 'drawer'
    if task.startswith('lift_'):
        return f'lift from {task.rsplit("_", 1)[1]}'
    if task.startswith('place_'):
        return 'place'
    if task.startswith('turn_'):
        return 'light'
    return task


def effects(task: str, state: State) -> list[State]:
    """Changes of every variant of ``task`` that is applicable in ``state``."""
    if task in ('place_in_slider', 'place_in_drawer', 'stack_block'):
        return list(_release_effects(task, state)) if state['grasped'] else []
    if state['grasped']:
        return []
    return list(_free_effects(task, state))


def _release_effects(task: str, state: State) -> Iterator[State]:
    held = [block for block in BLOCKS if state[block] == 'grasped']
    for block in held:
        if task == 'place_in_slider':
            yield {block: f'slider_{state["slider"]}', 'grasped': 0}
        elif task == 'place_in_drawer':
            if state['drawer'] == 'open':
                yield {block: 'drawer', 'grasped': 0}
        else:
            for other in BLOCKS:
                if state[other] == 'table':
                    yield {block: 'stacked_top', other: 'stacked_bottom', 'grasped': 0}


def _free_effects(task: str, state: State) -> Iterator[State]:
    kind = category(task)
    if kind == 'rotate or push':
        if state[f'{task.split("_")[1]}_block'] == 'table':
            yield {}
    elif kind.startswith('lift'):
        yield from _lift_effects(f'{task.split("_")[1]}_block', kind.split()[-1], state)
    elif task == 'unstack_block':
        for top, bottom in itertools.permutations(BLOCKS, 2):
            if state[top] == 'stacked_top' and state[bottom] == 'stacked_bottom':
                yield {top: 'table', bottom: 'table'}
    elif task == 'push_into_drawer':
        for block in BLOCKS:
            others = [state[other] for other in BLOCKS if other != block]
            if state[block] == 'table' and state['drawer'] == 'open' \
                    and all(place in _SIDES for place in others):
                yield {block: 'drawer'}
    else:
        key, value = _FURNITURE_EFFECTS[task]
        if state[key] != value:
            yield {key: value}


def _lift_effects(block: str, place: str, state: State) -> Iterator[State]:
    reachable = {
        'table': state[block] == 'table',
        # The door covers the side that the slider's state names.
        'slider': (state[block], state['slider']) in (('slider_left', 'right'),
                                                      ('slider_right', 'left')),
        'drawer': state[block] == 'drawer' and state['drawer'] == 'open'}
    if reachable[place]:
        yield {block: 'grasped', 'grasped': 1}


def is_feasible(state: State, chain: tuple[str, ...]) -> bool:
    """Whether every task has exactly one applicable variant at its turn."""
    now = dict(state)
    for task in chain:
        variants = effects(task, now)
        if len(variants) != 1:
            return False
        now.update(variants[0])
    return True


# ---------------------------------------------------------------------- sampling
def _draw(job: tuple[int, State, int]) -> list[Sequence]:
    """``count`` chains for start state number ``seed``."""
    seed, state, count = job
    kinds = np.unique([category(task) for task in TASKS], return_inverse=True)[1].tolist()
    generator = np.random.RandomState(seed)
    found: list[Sequence] = []
    while len(found) < count:
        # What choice(TASKS, 5, replace=False) draws, without building arrays of names.
        numbers = generator.permutation(len(TASKS))[:CHAIN_LENGTH].tolist()
        if len({kinds[n] for n in numbers}) < CHAIN_LENGTH:
            continue
        chain = tuple(TASKS[n] for n in numbers)
        if is_feasible(state, chain):
            found.append((state, chain))
    return found


def generate(workers: int | None = None) -> list[Sequence]:
    """Draw all 1000 sequences; the result does not depend on the number of processes."""
    states = initial_states()
    counts = [len(part) for part in np.array_split(range(TOTAL), len(states))]
    jobs = list(zip(range(len(states)), states, counts, strict=True))
    with multiprocessing.get_context('spawn').Pool(workers or os.cpu_count()) as pool:
        sequences = [s for part in pool.map(_draw, jobs, chunksize=4) for s in part]
    np.random.RandomState(0).shuffle(sequences)  # type: ignore[arg-type]
    return sequences


def sha256(sequences: list[Sequence]) -> str:
    """The check value of design/calvin.md section 5.3."""
    return hashlib.sha256(_to_json(sequences).encode()).hexdigest()


def _to_json(sequences: list[Sequence]) -> str:
    return json.dumps([[state, list(chain)] for state, chain in sequences],
                      separators=(',', ':'))


def cache_file() -> Path:
    """Where the generated sequences are kept."""
    root = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(root) / 'dysl_vla_ros' / 'calvin_sequences.json'


def get_sequences(count: int = TOTAL) -> list[Sequence]:
    """The first ``count`` of CALVIN's 1000 evaluation sequences, in its order.

    Returns:
        Pairs of symbolic start state and five task names.

    Raises:
        SimulationError: If ``count`` is outside 1..1000, or this NumPy draws other numbers.
    """
    if not 1 <= count <= TOTAL:
        raise SimulationError(f'number of sequences: got {count}, expected 1 to {TOTAL}')
    path = cache_file()
    if path.is_file():
        text = path.read_text(encoding='utf-8')
        if hashlib.sha256(text.encode()).hexdigest() == SHA256:
            return [(state, tuple(chain)) for state, chain in json.loads(text)][:count]
    sequences = generate()
    if sha256(sequences) != SHA256:
        raise SimulationError("the generated chains differ from CALVIN's; NumPy "
                              f'{np.__version__} seems to draw other numbers than 2.4')
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f'.{os.getpid()}')
    partial.write_text(_to_json(sequences), encoding='utf-8')
    partial.replace(path)
    return sequences[:count]


# ---------------------------------------------------------------------- start states
def state_seed(state: State) -> int:
    """Seed of a start state: CALVIN's hash of its values' text."""
    return fnv1(str(state.values()))


def get_env_state_for_initial_condition(state: State) -> tuple[np.ndarray, np.ndarray]:
    """Arguments of ``PlayTableEnv.reset`` for a symbolic start state, scene D's block order.

    Args:
        state: One of ``initial_states()``, with its keys in CALVIN's order.

    Returns:
        robot_obs (15,) and scene_obs (24,) float64.

    Raises:
        SimulationError: If a key or value is not one of CALVIN's.
    """
    if tuple(state) != tuple(_VALUES) or any(
            state[k] not in values for k, values in _VALUES.items()):
        raise SimulationError(f'start state {state}: expected the keys {list(_VALUES)} with '
                              f'values of {_VALUES}')
    generator = np.random.RandomState(state_seed(state))
    spots = list(_TABLE_SPOTS)
    generator.shuffle(spots)  # type: ignore[arg-type]
    yaws = [generator.uniform(3 * np.pi / 8, 5 * np.pi / 8) for _ in BLOCKS]
    values: list[Any] = [
        _SLIDE_LEFT_M if state['slider'] == 'left' else 0.0,
        DRAWER_RANGE_M if state['drawer'] == 'open' else 0.0, 0.0,
        SWITCH_RANGE_M if state['lightbulb'] else 0.0, state['lightbulb'], state['led']]
    for block, yaw in zip(BLOCKS, yaws, strict=True):
        place = str(state[block])
        if place != 'table':
            position: tuple[float, ...] = _SLIDER_SPOTS[place]
        elif block == 'red_block':
            position = spots[0]
        elif block == 'blue_block':
            position = spots[1] if state['red_block'] == 'table' else spots[0]
        else:
            position = spots[1]
        values += [*position, 0.0, 0.0, yaw]
    return np.array(EVALUATION_ROBOT_OBS), np.array(values, dtype=np.float64)
