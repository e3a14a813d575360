# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A small split in CALVIN's layout: frame i says i in its states, images and actions."""

from pathlib import Path

import numpy as np

from dysl_vla_ros.datasets.calvin import Annotation
from dysl_vla_ros.datasets.calvin_writer import write_index
from dysl_vla_ros.datasets.frames import frame_name, write_frame
from dysl_vla_ros.datasets.statistics import Statistics

SPANS = ((100, 139), (200, 214))
ANNOTATIONS = (Annotation(100, 119, 'open_drawer', 'open the drawer'),
               Annotation(120, 139, 'turn_on_led', 'turn on the led'),
               Annotation(200, 214, 'open_drawer', 'pull the drawer open'))


def frame_values(number: int, static: int = 20, gripper: int = 12) -> dict[str, np.ndarray]:
    """Arrays of frame ``number`` with images of the given sides."""
    return {
        'actions': np.append(np.full(6, number / 1000), 1.0),
        'rel_actions': np.append(np.full(6, number / 500 - 0.5), -1.0),
        'robot_obs': np.full(15, float(number)), 'scene_obs': np.full(24, float(number)),
        'rgb_static': np.full((static, static, 3), number % 251, np.uint8),
        'rgb_gripper': np.full((gripper, gripper, 3), (number + 1) % 251, np.uint8)}


def write_split(folder: Path, annotations=ANNOTATIONS, spans=SPANS) -> Path:
    """Write the split."""
    folder.mkdir(parents=True)
    numbers = [n for first, last in spans for n in range(first, last + 1)]
    for number in numbers:
        write_frame(folder / frame_name(number), frame_values(number))
    rows = np.array(numbers, dtype=float)[:, None]
    statistics = Statistics.of(rows.repeat(15, 1), rows.repeat(24, 1), rows.repeat(7, 1))
    write_index(folder, spans, annotations, statistics, {'calvin_scene_D': (100, 214)},
                {'open_drawer': 'open it'}, {'scene': {'name': 'calvin_scene_D'}})
    return folder
