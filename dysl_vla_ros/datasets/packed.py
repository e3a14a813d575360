# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The packed layout: a folder of long arrays, which training reads fastest.

rgb_static.npy, rgb_gripper.npy (N, s, s, 3) uint8, robot_obs.npy (N, 15) and scene_obs.npy
(N, 24) float64, actions.npy (N, 7) float32 relative actions (labels), episodes.json,
manifest.json.
"""

from collections.abc import Iterable, Mapping
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from dysl_vla_ros.errors import DatasetError

ARRAYS = ('rgb_static', 'rgb_gripper', 'robot_obs', 'scene_obs', 'actions')
_DTYPES: dict[str, Any] = {'rgb_static': np.uint8, 'rgb_gripper': np.uint8,
                           'robot_obs': np.float64, 'scene_obs': np.float64,
                           'actions': np.float32}


def write_packed(folder: Path, image_size: int, count: int, episodes: list[dict[str, Any]],
                 parts: Iterable[Mapping[str, np.ndarray]], manifest: dict[str, Any]) -> None:
    """Write the folder; the manifest comes last, so a folder with one is complete.

    Args:
        folder: Existing folder.
        image_size: Side of the square images in pixels.
        count: Frames of all parts together.
        episodes: Entries with start, end (exclusive), task, instructions, seed, success.
        parts: The arrays piece by piece.
        manifest: Further entries of manifest.json; frames, episodes, sha256 are added.
    """
    shapes = {'rgb_static': (image_size, image_size, 3),
              'rgb_gripper': (image_size, image_size, 3),
              'robot_obs': (15,), 'scene_obs': (24,), 'actions': (7,)}
    packed = {name: np.lib.format.open_memmap(folder / f'{name}.npy', mode='w+',
                                              dtype=_DTYPES[name], shape=(count, *shapes[name]))
              for name in ARRAYS}
    position = 0
    for part in parts:
        size = len(part['actions'])
        for name in ARRAYS:
            if size:
                packed[name][position:position + size] = part[name]
        position += size
    for array in packed.values():
        array.flush()
    (folder / 'episodes.json').write_text(json.dumps(
        {'image_size': image_size, 'episodes': episodes}, indent=0))
    digest = hashlib.sha256((folder / 'actions.npy').read_bytes()
                            + (folder / 'episodes.json').read_bytes()).hexdigest()
    content = {**manifest, 'frames': count, 'episodes': len(episodes), 'sha256': digest}
    temporary = folder / 'manifest.tmp'
    temporary.write_text(json.dumps(content, indent=1))
    temporary.replace(folder / 'manifest.json')


def open_packed(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray], str]:
    """Open a packed folder.

    Returns:
        episodes.json, the memory-mapped arrays by name, and the manifest's sha256.

    Raises:
        DatasetError: If a file is missing, truncated or inconsistent with the others.
    """
    for name in (*(f'{a}.npy' for a in ARRAYS), 'episodes.json', 'manifest.json'):
        if not (folder / name).is_file():
            raise DatasetError(f'{folder}/{name}: no such file; expected a folder written by '
                               "dysl-vla collect, packed or in CALVIN's layout")
    index = json.loads((folder / 'episodes.json').read_text())
    arrays = {}
    for name in ARRAYS:
        try:
            arrays[name] = np.load(folder / f'{name}.npy', mmap_mode='r', allow_pickle=False)
        except ValueError as error:
            raise DatasetError(f'{folder}/{name}.npy: {error}') from error
    lengths = {len(array) for array in arrays.values()}
    if len(lengths) != 1:
        raise DatasetError(f'{folder}: arrays of different lengths {sorted(lengths)}')
    return index, arrays, json.loads((folder / 'manifest.json').read_text())['sha256']
