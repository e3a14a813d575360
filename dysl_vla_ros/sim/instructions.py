# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Task names and instructions, and the way back from a sentence to its task.

``VALIDATION`` holds CALVIN's single evaluation sentence per task (design/calvin.md section 4);
``TRAINING`` adds our own wordings for the furniture tasks, used by demonstrations.
"""

import difflib

from dysl_vla_ros.errors import InstructionError

TASKS: tuple[str, ...] = (
    'rotate_red_block_right', 'rotate_red_block_left', 'rotate_blue_block_right',
    'rotate_blue_block_left', 'rotate_pink_block_right', 'rotate_pink_block_left',
    'push_red_block_right', 'push_red_block_left', 'push_blue_block_right',
    'push_blue_block_left', 'push_pink_block_right', 'push_pink_block_left',
    'move_slider_left', 'move_slider_right', 'open_drawer', 'close_drawer',
    'lift_red_block_table', 'lift_red_block_slider', 'lift_red_block_drawer',
    'lift_blue_block_table', 'lift_blue_block_slider', 'lift_blue_block_drawer',
    'lift_pink_block_table', 'lift_pink_block_slider', 'lift_pink_block_drawer',
    'place_in_slider', 'place_in_drawer', 'stack_block', 'unstack_block',
    'turn_on_lightbulb', 'turn_off_lightbulb', 'turn_on_led', 'turn_off_led',
    'push_into_drawer',
)

FURNITURE_TASKS: tuple[str, ...] = (
    'move_slider_left', 'move_slider_right', 'open_drawer', 'close_drawer',
    'turn_on_lightbulb', 'turn_off_lightbulb', 'turn_on_led', 'turn_off_led',
)

_LIFT_DRAWER = 'Take the {} block from the drawer'
VALIDATION: dict[str, str] = {
    **{f'rotate_{c}_block_{s}': f'take the {c} block and rotate it to the {s}'
       for c in ('red', 'blue', 'pink') for s in ('right', 'left')},
    **{f'push_{c}_block_{s}': f'go push the {c} block {s}'
       for c in ('red', 'blue', 'pink') for s in ('right', 'left')},
    'move_slider_left': 'push the sliding door to the left side',
    'move_slider_right': 'push the sliding door to the right side',
    'open_drawer': 'pull the handle to open the drawer',
    'close_drawer': 'push the handle to close the drawer',
    **{f'lift_{c}_block_table': f'grasp and lift the {c} block'
       for c in ('red', 'blue', 'pink')},
    **{f'lift_{c}_block_slider': f'lift the {c} block from the sliding cabinet'
       for c in ('red', 'blue', 'pink')},
    **{f'lift_{c}_block_drawer': _LIFT_DRAWER.format(c) for c in ('red', 'blue', 'pink')},
    'place_in_slider': 'store the grasped block in the sliding cabinet',
    'place_in_drawer': 'store the grasped block in the drawer',
    'stack_block': 'stack the grasped block',
    'unstack_block': 'remove the stacked block',
    'turn_on_lightbulb': 'use the switch to turn on the light bulb',
    'turn_off_lightbulb': 'use the switch to turn off the light bulb',
    'turn_on_led': 'press the button to turn on the led light',
    'turn_off_led': 'press the button to turn off the led light',
    'push_into_drawer': 'slide the block that it falls into the drawer',
}

_EXTRA: dict[str, tuple[str, ...]] = {
    'move_slider_left': (
        'slide the door to the left', 'move the sliding door to the left',
        'grasp the door handle and slide it left', 'push the cabinet door left'),
    'move_slider_right': (
        'slide the door to the right', 'move the sliding door to the right',
        'grasp the door handle and slide it right', 'push the cabinet door right'),
    'open_drawer': ('open the drawer', 'pull the drawer open', 'go open the drawer',
                    'grasp the handle of the drawer and open it'),
    'close_drawer': ('close the drawer', 'push the drawer shut', 'go close the drawer',
                     'push the handle of the drawer and close it'),
    'turn_on_lightbulb': ('turn on the light bulb', 'move the switch up to turn on the bulb',
                          'switch on the yellow light', 'slide the switch upwards'),
    'turn_off_lightbulb': ('turn off the light bulb', 'move the switch down to turn off the bulb',
                           'switch off the yellow light', 'slide the switch downwards'),
    'turn_on_led': ('turn on the led', 'push the button to turn on the green light',
                    'press the button so that the led lights up', 'switch on the green light'),
    'turn_off_led': ('turn off the led', 'push the button to turn off the green light',
                     'press the button so that the led goes dark', 'switch off the green light'),
}
TRAINING: dict[str, tuple[str, ...]] = {
    task: (sentence, *_EXTRA.get(task, ())) for task, sentence in VALIDATION.items()}


def _plain(sentence: str) -> str:
    return ' '.join(sentence.casefold().rstrip(' .!').split())


_TASK_OF = {_plain(sentence): task for task, sentences in TRAINING.items()
            for sentence in sentences}


def task_of(instruction: str) -> str:
    """The task that a sentence of ``TRAINING`` or ``VALIDATION``, or a task's own name, means.

    Case, repeated spaces and a full stop at the end do not matter.

    Raises:
        InstructionError: For any other wording; names the nearest known one.
    """
    plain = _plain(instruction)
    task = plain if plain in TASKS else _TASK_OF.get(plain)
    if task is None:
        near = difflib.get_close_matches(plain, _TASK_OF, n=1, cutoff=0.0)
        raise InstructionError(
            f'unknown wording {instruction!r}: expected one of the {len(_TASK_OF)} sentences of '
            f'sim/instructions.py or a task name; the nearest is {near[0]!r}')
    return task
