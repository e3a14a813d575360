# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``TaskOracle``: judges the 34 CALVIN tasks on a pair of infos.

Predicates, thresholds and quirks follow design/calvin.md section 4. ``start`` is the info at
the beginning of a subtask, ``end`` the info after the current control step.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np
import pybullet

from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.sim.instructions import TASKS

Info = dict[str, Any]
Predicate = Callable[[Info, Info], bool]

ROTATION_THRESHOLD_DEG = 60.0
_MAX_TILT_DEG = 30.0
_MAX_SHIFT_M = 0.1
PUSH_THRESHOLD_M = 0.1
SLIDE_THRESHOLD_M = 0.15
DRAWER_THRESHOLD_M = 0.12
LIFT_THRESHOLD_M = 0.05
LIFT_FROM_SLIDER_THRESHOLD_M = 0.03
_AT_REST = 1.0
_BLOCKS = ('block_red', 'block_blue', 'block_pink')


def _block(info: Info, name: str) -> dict[str, Any]:
    return info['scene_info']['movable_objects'][name]


def _contacts(entry: dict[str, Any]) -> set[tuple[int, int]]:
    """(other body, other link) pairs of PyBullet's contact points."""
    return {(contact[2], contact[4]) for contact in entry['contacts']}


def _bodies(entry: dict[str, Any]) -> set[int]:
    return {contact[2] for contact in entry['contacts']}


def _robot(info: Info) -> int:
    return info['robot_info']['uid']


def _table_link(info: Info, link: str) -> tuple[int, int]:
    table = info['scene_info']['fixed_objects']['table']
    return table['uid'], table['links'][link]


def _block_uids(info: Info) -> set[int]:
    return {entry['uid'] for entry in info['scene_info']['movable_objects'].values()}


def _is_at_rest(entry: dict[str, Any]) -> bool:
    velocity = np.array([*entry['current_lin_vel'], *entry['current_ang_vel']])
    return bool((np.abs(velocity) < _AT_REST).all())


def _rotate(block: str, threshold_deg: float) -> Predicate:
    def predicate(start: Info, end: Info) -> bool:
        before, after = _block(start, block), _block(end, block)
        _, inverse = pybullet.invertTransform((0, 0, 0), before['current_orn'])
        _, rotation = pybullet.multiplyTransforms((0, 0, 0), after['current_orn'],
                                                  (0, 0, 0), inverse)
        rx, ry, rz = np.degrees(pybullet.getEulerFromQuaternion(rotation))
        shift = np.linalg.norm(np.subtract(after['current_pos'], before['current_pos']))
        if threshold_deg > 0:
            has_turned = threshold_deg < rz < 180
        else:
            has_turned = -180 < rz < threshold_deg
        rests = bool(_bodies(after) - {_robot(end)})
        return bool(has_turned and abs(rx) < _MAX_TILT_DEG and abs(ry) < _MAX_TILT_DEG
                    and shift <= _MAX_SHIFT_M and rests)
    return predicate


def _push(block: str, distance_m: float) -> Predicate:
    def predicate(start: Info, end: Info) -> bool:
        before, after = _block(start, block), _block(end, block)
        moved = after['current_pos'][0] - before['current_pos'][0]
        has_moved = moved > distance_m if distance_m > 0 else moved < distance_m
        first = {c for c in _contacts(before) if c[0] != _robot(start)}
        last = {c for c in _contacts(after) if c[0] != _robot(end)}
        return bool(has_moved and first and last and first <= last)
    return predicate


def _door(joint: str, distance_m: float) -> Predicate:
    def predicate(start: Info, end: Info) -> bool:
        moved = (end['scene_info']['doors'][joint]['current_state']
                 - start['scene_info']['doors'][joint]['current_state'])
        return bool(moved > distance_m if distance_m > 0 else moved < distance_m)
    return predicate


def _lift(block: str, height_m: float, link: str) -> Predicate:
    def predicate(start: Info, end: Info) -> bool:
        before, after = _block(start, block), _block(end, block)
        raised = after['current_pos'][2] - before['current_pos'][2] > height_m
        return bool(raised and _bodies(after) == {_robot(end)}
                    and _table_link(start, link) in _contacts(before))
    return predicate


def _place(link: str) -> Predicate:
    def predicate(start: Info, end: Info) -> bool:
        touched = _bodies(start['robot_info'])
        if len(touched) != 1:
            return False
        for name, before in start['scene_info']['movable_objects'].items():
            if before['uid'] in touched and _bodies(before) == {_robot(start)}:
                after = _block(end, name)
                return (_robot(end) not in _bodies(after)
                        and _table_link(end, link) in _contacts(after))
        return False
    return predicate


def _stack() -> Predicate:
    def predicate(start: Info, end: Info) -> bool:
        for name, before in start['scene_info']['movable_objects'].items():
            if _bodies(before) & _block_uids(start):
                continue
            after = _block(end, name)
            bodies = _bodies(after)
            if bodies and bodies <= _block_uids(end) and _is_at_rest(after):
                return True
        return False
    return predicate


def _unstack() -> Predicate:
    def predicate(start: Info, end: Info) -> bool:
        for name, before in start['scene_info']['movable_objects'].items():
            bodies = _bodies(before)
            if bodies and bodies <= _block_uids(start) and _is_at_rest(before) \
                    and not _bodies(_block(end, name)) & _block_uids(end):
                return True
        return False
    return predicate


def _light(name: str, first: int, last: int) -> Predicate:
    def predicate(start: Info, end: Info) -> bool:
        return (start['scene_info']['lights'][name]['logical_state'] == first
                and end['scene_info']['lights'][name]['logical_state'] == last)
    return predicate


def _push_into(source: str, target: str) -> Predicate:
    # CALVIN also means to require that the robot does not touch the block at the end, but
    # compares a body id with (body, link) pairs; the test never fires and is left out.
    def predicate(start: Info, end: Info) -> bool:
        for name, before in start['scene_info']['movable_objects'].items():
            if _contacts(before) == {_table_link(start, source)} \
                    and _table_link(end, target) in _contacts(_block(end, name)):
                return True
        return False
    return predicate


def _predicates() -> dict[str, Predicate]:
    found: dict[str, Predicate] = {}
    for block in _BLOCKS:
        found[f'rotate_{block.removeprefix("block_")}_block_right'] = _rotate(
            block, -ROTATION_THRESHOLD_DEG)
        found[f'rotate_{block.removeprefix("block_")}_block_left'] = _rotate(
            block, ROTATION_THRESHOLD_DEG)
        colour = block.removeprefix('block_')
        found[f'push_{colour}_block_right'] = _push(block, PUSH_THRESHOLD_M)
        found[f'push_{colour}_block_left'] = _push(block, -PUSH_THRESHOLD_M)
        found[f'lift_{colour}_block_table'] = _lift(block, LIFT_THRESHOLD_M, 'base_link')
        found[f'lift_{colour}_block_slider'] = _lift(block, LIFT_FROM_SLIDER_THRESHOLD_M,
                                                     'plank_link')
        found[f'lift_{colour}_block_drawer'] = _lift(block, LIFT_THRESHOLD_M, 'drawer_link')
    found |= {
        'move_slider_left': _door('base__slide', SLIDE_THRESHOLD_M),
        'move_slider_right': _door('base__slide', -SLIDE_THRESHOLD_M),
        'open_drawer': _door('base__drawer', DRAWER_THRESHOLD_M),
        'close_drawer': _door('base__drawer', -DRAWER_THRESHOLD_M),
        'place_in_slider': _place('plank_link'),
        'place_in_drawer': _place('drawer_link'),
        'stack_block': _stack(),
        'unstack_block': _unstack(),
        'turn_on_lightbulb': _light('lightbulb', 0, 1),
        'turn_off_lightbulb': _light('lightbulb', 1, 0),
        'turn_on_led': _light('led', 0, 1),
        'turn_off_led': _light('led', 1, 0),
        'push_into_drawer': _push_into('base_link', 'drawer_link'),
    }
    return {task: found[task] for task in TASKS}


class TaskOracle:
    """Decides which tasks were achieved between two infos."""

    def __init__(self) -> None:
        """Build the 34 predicates."""
        self.tasks: dict[str, Predicate] = _predicates()

    def get_task_info(self, start_info: Info, end_info: Info) -> set[str]:
        """Names of all tasks achieved between the two infos."""
        return self.get_task_info_for_set(start_info, end_info, self.tasks)

    def get_task_info_for_set(self, start_info: Info, end_info: Info,
                              tasks: Collection[str] | Iterable[str]) -> set[str]:
        """Names of those of ``tasks`` that were achieved.

        Raises:
            ContractError: For an unknown task name.
        """
        names = list(tasks)
        unknown = [name for name in names if name not in self.tasks]
        if unknown:
            raise ContractError(f'unknown task(s) {unknown}; expected names from '
                                'dysl_vla_ros.sim.instructions.TASKS')
        return {name for name in names if self.tasks[name](start_info, end_info)}
