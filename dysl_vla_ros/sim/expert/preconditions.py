# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a task can be done in a state at all, in words."""

from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.sim.expert.view import View
from dysl_vla_ros.sim.instructions import TASKS
from dysl_vla_ros.sim.tasks import DRAWER_THRESHOLD_M, SLIDE_THRESHOLD_M

_DRAWER_RANGE_M = 0.22
_MIN_OPEN_DRAWER_M = 0.1


def why_infeasible(view: View, task: str) -> str | None:
    """Reason why ``task`` cannot succeed from this state, or None.

    Raises:
        ContractError: For an unknown task.
    """
    if task not in TASKS:
        raise ContractError(f"the scripted expert knows CALVIN's tasks {list(TASKS)}, not "
                            f'{task!r}')
    words = task.split('_')
    if words[0] == 'lift':
        return _wrong_place(view, f'block_{words[1]}', words[3])
    if words[0] == 'rotate' and (held := view.held()) is not None \
            and held.name == f'block_{words[1]}':
        return None
    if words[0] == 'rotate' or (words[0] == 'push' and task != 'push_into_drawer'):
        return _wrong_place(view, f'block_{words[1]}', 'table')
    if task in ('place_in_slider', 'place_in_drawer'):
        if view.held() is None:
            return f'{task} needs a block in the hand'
        return _closed_drawer(view) if task == 'place_in_drawer' else None
    return _other(view, task)


def hangs_in_hand(view: View, name: str) -> bool:
    """Whether the hand holds the block above everything, as unstacking may end.

    Whoever needs it on the table then lays it there first.
    """
    held = view.held()
    return held is not None and held.name == name and view.place(held) in ('air', 'stacked')


def _wrong_place(view: View, name: str, wanted: str) -> str | None:
    place = view.place(view.blocks[name])
    if wanted == 'table' and hangs_in_hand(view, name):
        return None
    if place != wanted:
        return f'{name}: expected it in or on the {wanted}, it is: {place}'
    if wanted == 'drawer':
        return _closed_drawer(view, 0.07)
    return None


def _closed_drawer(view: View, needed_m: float = _MIN_OPEN_DRAWER_M) -> str | None:
    if view.drawer < needed_m:
        return f'the drawer is open by {view.drawer:.3f} m only, needed are {needed_m} m'
    return None


def _other(view: View, task: str) -> str | None:
    if task == 'push_into_drawer':
        if all(view.place(block) != 'table' and not hangs_in_hand(view, block.name)
               for block in view.blocks.values()):
            return 'no block lies on the table'
        return _closed_drawer(view)
    if task == 'stack_block':
        free = [b for b in view.blocks.values() if view.place(b) in ('table', 'air')]
        return None if len(free) > 1 else 'needs two blocks, one of them on the table'
    if task == 'unstack_block':
        return None if any(view.support(b) is not None for b in view.blocks.values()) \
            else 'no block lies on another'
    room = {'move_slider_left': (view.scene.slide_range - view.slide, SLIDE_THRESHOLD_M),
            'move_slider_right': (view.slide, SLIDE_THRESHOLD_M),
            'open_drawer': (_DRAWER_RANGE_M - view.drawer, DRAWER_THRESHOLD_M),
            'close_drawer': (view.drawer, DRAWER_THRESHOLD_M)}
    if task in room:
        left, needed = room[task]
        return None if left > needed else \
            f'{left:.3f} m of travel are left, the task needs more than {needed} m'
    is_on = view.is_bulb_on if task.endswith('lightbulb') else view.is_led_on
    if is_on == task.startswith('turn_on'):
        return f'the light is {"on" if is_on else "off"} already'
    return None
