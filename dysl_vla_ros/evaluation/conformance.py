# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Our world against recorded vectors of the original CALVIN environment.

Finds files of known kinds in a folder by name and judges each: trajectories (``ref*.npz``),
relative-action conversions, start states, evaluation sequences and oracle pairs. Formats and
tolerances: the vectors' README and design/calvin.md section 10.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any
import zipfile

import numpy as np

from dysl_vla_ros.control.relative_action import relative_from_absolute, wrap_angle
from dysl_vla_ros.errors import DatasetError
from dysl_vla_ros.sim import (
    PlayTableEnv,
    TaskOracle,
    cameras,
    get_env_state_for_initial_condition,
    sequences,
)
from dysl_vla_ros.sim.physics import CALVIN

POSITION_M, ANGLE_RAD, WIDTH_M, TARGET, EXACT = 1e-4, 1e-3, 1e-4, 1e-6, 1e-9
SCENE_STATE, MATRIX = 1e-3, 1e-6
# With our own furniture contacts may differ a little; design/calvin.md section 10.
BUILT_IN_ORACLE_RATE = 0.95
_UNTOUCHED = 1e-3
_ROBOT, _BLOCKS = 0, ('block_red', 'block_blue', 'block_pink')
_LINKS = {'base_link': -1, 'button_link': 0, 'switch_link': 1, 'slide_link': 2, 'drawer_link': 3,
          'led_link': 4, 'light_link': 5, 'plank_link': 6}
_UIDS = {'robot': _ROBOT, 'block_red': 2, 'block_blue': 3, 'block_pink': 4, 'table': 5,
         'plane': 6}


@dataclass(frozen=True)
class Check:
    """One judged property of one file.

    Attributes:
        file: Name of the vector file.
        name: What was compared.
        passed, total: Cases.
        worst: Largest error, or None where cases are only right or wrong.
        limit: Largest error allowed, or None.
        required: Share of cases that must pass.
    """

    file: str
    name: str
    passed: int
    total: int
    worst: float | None = None
    limit: float | None = None
    required: float = 1.0

    @property
    def is_met(self) -> bool:
        """Whether enough cases passed; a file without cases is not met."""
        return self.total > 0 and self.passed >= self.required * self.total


def _errors(file: str, name: str, errors: np.ndarray, limit: float) -> Check:
    """Check of one error per case, cases along the first axis."""
    worst = np.nan_to_num(np.abs(errors).reshape(len(errors), -1).max(axis=1), nan=np.inf)
    return Check(file, name, int((worst <= limit).sum()), len(worst), float(worst.max()), limit)


def _cases(file: str, name: str, results: list[bool], required: float = 1.0) -> Check:
    return Check(file, name, sum(results), len(results), required=required)


def _read(path: Path) -> Any:
    try:
        if path.suffix == '.npz':
            with np.load(path, allow_pickle=False) as data:
                return {key: data[key] for key in data.files}
        return json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DatasetError(f'{path}: cannot be read as vectors: {error}') from error


# ---------------------------------------------------------------------- kinds
def check_trajectory(path: Path, assets_dir: Path | None = None,
                     physics: str = CALVIN) -> Iterator[Check]:
    """Replay recorded relative actions from a recorded reset."""
    data, file = _read(path), path.name
    scene = json.loads(str(data['meta']))['scene'].removesuffix('_eval')
    env = PlayTableEnv(scene, assets_dir, render=False, physics=physics)
    states = [env.reset(data['reset_robot_obs'], data['reset_scene_obs'])]
    views, targets, joints = [], [], []
    for index in range(len(data['actions']) + 1):
        views.append(cameras.gripper_view(env.client, *env.robot.camera_pose()))
        targets.append((env.robot.target_position, env.robot.target_euler))
        if index < len(data['actions']):
            states.append(env.step(data['actions'][index])[0])
            joints.append(env.robot.joint_target)
    robot = np.array([s['robot_obs'] for s in states])
    error = robot - data['robot_obs']
    yield _errors(file, 'TCP position [m]', error[:, :3], POSITION_M)
    yield _errors(file, 'TCP orientation [rad]', wrap_angle(error[:, 3:6]), ANGLE_RAD)
    yield _errors(file, 'gripper width [m]', error[:, 6], WIDTH_M)
    yield _errors(file, 'joints [rad]', error[:, 7:14], ANGLE_RAD)
    # The command before the first action is whatever the recording's episode before left.
    yield _errors(file, 'gripper command', error[1:, 14], 0.0)
    yield _errors(file, 'target position [m]',
                  np.array([t[0] for t in targets]) - data['target_pos'], TARGET)
    yield _errors(file, 'target orientation [rad]', wrap_angle(
        np.array([t[1] for t in targets]) - data['target_orn']), TARGET)
    yield _errors(file, 'joint target [rad]', np.array(joints) - data['joint_target'], ANGLE_RAD)
    recorded = data['scene_obs']
    still = np.abs(recorded - recorded[0]).max(axis=0) < _UNTOUCHED
    scenes = np.array([s['scene_obs'] for s in states])
    yield _errors(file, f'{int(still.sum())} untouched scene values',
                  (scenes - recorded)[:, still], SCENE_STATE)
    yield _errors(file, 'static camera matrices', np.array(
        [cameras.static_view(env.client), env.static_camera.projection(env.client)])
        - [data['static_view'], data['static_proj']], MATRIX)
    yield _errors(file, 'gripper camera pose', np.array(views) - data['gripper_view'], ANGLE_RAD)
    env.close()


def check_relative_actions(path: Path, assets_dir: Path | None = None,
                           physics: str = CALVIN) -> Iterator[Check]:
    """Conversion of absolute actions to the dataset's relative ones."""
    del assets_dir, physics
    data = _read(path)
    cases = data if isinstance(data, list) else data['vectors']
    errors = np.array([relative_from_absolute(np.array(c['action']), np.array(c['robot_obs']))
                       - c['rel_action'] for c in cases])
    yield _errors(path.name, 'relative action', errors, EXACT)


def check_starts(path: Path, assets_dir: Path | None = None,
                 physics: str = CALVIN) -> Iterator[Check]:
    """State after a reset without arguments, and block order, per scene."""
    errors, orders = [], []
    for letter, expected in _read(path).items():
        env = PlayTableEnv(f'calvin_scene_{letter[-1]}', assets_dir, render=False,
                           physics=physics)
        error = env.reset()['robot_obs'] - expected['robot_obs']
        errors.append([*error[:3] / POSITION_M, *wrap_angle(error[3:6]) / ANGLE_RAD])
        orders.append(list(env.scene.block_order) == expected['block_order'])
        env.close()
    yield _errors(path.name, 'start pose, in tolerances', np.array(errors), 1.0)
    yield _cases(path.name, 'block order', orders)


def check_sequences(path: Path, assets_dir: Path | None = None,
                    physics: str = CALVIN) -> Iterator[Check]:
    """The first of the 1000 chains and their start states."""
    del assets_dir, physics
    items = _read(path)['sequences']
    found = sequences.get_sequences(len(items))
    yield _cases(path.name, 'chains', [
        (state, list(chain)) == (item['initial_state'], item['subtasks'])
        for (state, chain), item in zip(found, items, strict=True)])
    yield _cases(path.name, 'seeds', [
        sequences.state_seed(item['initial_state']) == item['hash_seed'] for item in items])
    states = [np.concatenate(get_env_state_for_initial_condition(item['initial_state']))
              for item in items]
    expected = [[*item['robot_obs'], *item['scene_obs']] for item in items]
    yield _errors(path.name, 'start states', np.array(states) - expected, EXACT)


def check_oracle(path: Path, assets_dir: Path | None = None,
                 physics: str = CALVIN) -> Iterator[Check]:
    """Judgements of start/end pairs: from recorded contacts, and from our own world's."""
    pairs, oracle = _read(path)['vectors'], TaskOracle()
    yield _cases(path.name, 'task sets from recorded contacts', [
        oracle.get_task_info(info_from_summary(p['start_info']),
                             info_from_summary(p['end_info'])) == set(p['achieved'])
        for p in pairs])
    env = PlayTableEnv(assets_dir=assets_dir, render=False, physics=physics)
    found = []
    for pair in pairs:
        infos = []
        for end in ('start', 'end'):
            env.reset(np.array(pair[end]['robot_obs']), np.array(pair[end]['scene_obs']))
            infos.append(env.get_info())
        found.append(oracle.get_task_info(*infos))
    env.close()
    required = 1.0 if assets_dir is not None else BUILT_IN_ORACLE_RATE
    yield _cases(path.name, 'task from our world', [
        (p['task'] in tasks) == p['expect'] for p, tasks in zip(pairs, found, strict=True)],
        required)
    yield _cases(path.name, 'task sets from our world', [
        tasks == set(p['achieved']) for p, tasks in zip(pairs, found, strict=True)], required)


def info_from_summary(summary: dict[str, Any]) -> dict[str, Any]:
    """CALVIN's info rebuilt from a recorded summary; body ids are those of the load order."""

    def contact(body: str, link: Any) -> tuple[int, int, int, int, int]:
        number = _LINKS[link] if link in _LINKS else -1 if body == 'plane' else int(link)
        return 0, 0, _UIDS[body], 0, number

    movable = {
        name: {'current_pos': b['pos'], 'current_orn': b['quat_xyzw'], 'uid': _UIDS[name],
               'current_lin_vel': b['lin_vel'], 'current_ang_vel': b['ang_vel'],
               'contacts': [contact(*pair) for pair in b['contacts']]}
        for name, b in summary['blocks'].items()}
    return {
        'robot_info': {'uid': _ROBOT, 'contacts': [(0, 0, _UIDS[body], 0, -1)
                                                   for body in summary['robot_contacts']]},
        'scene_info': {
            'movable_objects': movable,
            'fixed_objects': {'table': {'uid': _UIDS['table'], 'links': _LINKS, 'contacts': []}},
            'doors': {k: {'current_state': v} for k, v in summary['doors'].items()},
            'lights': {k: {'logical_state': v} for k, v in summary['lights'].items()}}}


KINDS: tuple[tuple[str, Callable[[Path, Path | None, str], Iterator[Check]]], ...] = (
    ('ref*.npz', check_trajectory), ('*rel_action*.json', check_relative_actions),
    ('*scenes_start*.json', check_starts), ('*sequences*.json', check_sequences),
    ('*oracle*.json', check_oracle))


def check_folder(folder: Path, assets_dir: Path | None = None,
                 physics: str = CALVIN) -> Iterator[Check]:
    """Judge every vector file of a known kind in a folder.

    Args:
        folder: Holds vector files.
        assets_dir: A calvin_env ``data`` folder, or None for the built-in furniture.
        physics: One of ``sim.physics.PHYSICS``.

    Raises:
        DatasetError: If the folder holds no file of a known kind, or one is damaged.
    """
    if not folder.is_dir():
        raise DatasetError(f'{folder}: no such folder')
    files = [(path, check) for pattern, check in KINDS for path in sorted(folder.glob(pattern))]
    if not files:
        raise DatasetError(f'{folder}: no vector file; known kinds are '
                           f'{", ".join(pattern for pattern, _ in KINDS)}')
    for path, check in files:
        try:
            yield from check(path, assets_dir, physics)
        except (KeyError, IndexError, TypeError) as error:
            raise DatasetError(f'{path}: not the documented layout: {error!r}') from error
