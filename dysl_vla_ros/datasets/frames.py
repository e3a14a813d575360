# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One frame of CALVIN's dataset: ``episode_XXXXXXX.npz``, 1/30 s each.

Source: design/calvin.md section 6.2. ``rel_actions`` is the label of the frame, ``actions`` the
measured tool pose of the next frame with its gripper command.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dysl_vla_ros.errors import FrameError


@dataclass(frozen=True)
class FrameKey:
    """Shape and type of one array of a frame; None in a shape is any size of at least one."""

    shape: tuple[int | None, ...]
    kind: str
    dtype: Any


_VECTOR = 'f'  # float64 in the files, float32 in the documentation: both are read
KEYS: dict[str, FrameKey] = {
    'actions': FrameKey((7,), _VECTOR, np.float64),
    'rel_actions': FrameKey((7,), _VECTOR, np.float64),
    'robot_obs': FrameKey((15,), _VECTOR, np.float64),
    'scene_obs': FrameKey((24,), _VECTOR, np.float64),
    'rgb_static': FrameKey((None, None, 3), 'u', np.uint8),
    'rgb_gripper': FrameKey((None, None, 3), 'u', np.uint8),
    'rgb_tactile': FrameKey((None, None, 6), 'u', np.uint8),
    'depth_static': FrameKey((None, None), 'f', np.float32),
    'depth_gripper': FrameKey((None, None), 'f', np.float32),
    'depth_tactile': FrameKey((None, None, 2), 'f', np.float32),
    # Ours: what was done in a chain with action noise, where it differs from the label.
    'executed_rel_actions': FrameKey((7,), _VECTOR, np.float64),
}
REQUIRED = ('actions', 'rel_actions', 'robot_obs', 'scene_obs', 'rgb_static', 'rgb_gripper')


def frame_name(number: int) -> str:
    """File name of frame ``number``."""
    return f'episode_{number:07d}.npz'


def check_frame(path: Path, name: str, value: np.ndarray) -> np.ndarray:
    """Return ``value`` in CALVIN's type.

    Raises:
        FrameError: For another shape or kind of number or a value that is not finite.
    """
    wanted = KEYS[name]
    fits = len(value.shape) == len(wanted.shape) and all(
        have == want if want is not None else have > 0
        for have, want in zip(value.shape, wanted.shape, strict=True))
    if not fits or value.dtype.kind != wanted.kind or (wanted.kind == 'u'
                                                       and value.dtype != np.uint8):
        shape = tuple('any' if n is None else n for n in wanted.shape)
        raise FrameError(path, f'{name}: expected shape {shape} of {np.dtype(wanted.dtype)}, got '
                               f'{value.shape} of {value.dtype}')
    if wanted.kind == 'f' and not np.isfinite(value).all():
        raise FrameError(path, f'{name}: not finite: {value}')
    return value.astype(wanted.dtype, copy=False)


def read_frame(path: str | Path, keys: Iterable[str] = REQUIRED) -> dict[str, np.ndarray]:
    """Read some arrays of one frame file.

    Args:
        path: The file.
        keys: Names out of ``KEYS``.

    Returns:
        The arrays by name, in CALVIN's types.

    Raises:
        FrameError: If the file is missing, truncated or damaged, lacks a key or holds an array
            of another shape or type; its ``path`` is the file.
    """
    path = Path(path)
    result = {}
    try:
        data = np.load(path, allow_pickle=False)
        if not isinstance(data, np.lib.npyio.NpzFile):
            raise FrameError(path, 'not an .npz archive')
        with data:
            for name in keys:
                if name not in data.files:
                    raise FrameError(path, f'no key {name!r}; it has {sorted(data.files)}')
                result[name] = check_frame(path, name, data[name])
    except FrameError:
        raise
    except FileNotFoundError as error:
        raise FrameError(path, 'no such frame file') from error
    except Exception as error:  # damaged bytes can make zipfile, zlib and numpy raise anything
        raise FrameError(path, f'truncated or damaged: {type(error).__name__}: {error}') from error
    return result


def write_frame(path: str | Path, values: Mapping[str, np.ndarray]) -> None:
    """Write one frame file; equal values give equal bytes.

    Raises:
        FrameError: If a required key is missing or an array does not fit ``KEYS``.
    """
    path = Path(path)
    missing = [name for name in REQUIRED if name not in values]
    unknown = [name for name in values if name not in KEYS]
    if missing or unknown:
        raise FrameError(path, f'missing keys {missing}, unknown keys {unknown}')
    arrays: dict[str, Any] = {name: check_frame(path, name, np.asarray(value))
                              for name, value in values.items()}
    with path.open('wb') as stream:
        np.savez_compressed(stream, **arrays)
