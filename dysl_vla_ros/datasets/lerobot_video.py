# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Videos of a LeRobotDataset v3: episodes behind each other in files of limited size."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dysl_vla_ros.errors import DatasetError

_FILES_PER_CHUNK = 1000
# A key frame every second frame, as LeRobot's encoder sets it: loaders fetch single frames. No
# B-frames: the first frame's time is exactly zero.
_OPTIONS = ['-preset', 'veryfast', '-crf', '23', '-g', '2', '-bf', '0', '-threads', '1']


class VideoFiles:
    """The files of one camera, written one after the other."""

    def __init__(self, folder: Path, key: str, rate_hz: int, limit_mb: float) -> None:
        """Start; no file yet.

        Args:
            folder: Dataset folder.
            key: Feature name of the camera.
            rate_hz: Frames per second.
            limit_mb: A file that has grown beyond this takes no further episode.
        """
        self._folder, self._key, self._rate = folder, key, rate_hz
        self._limit = limit_mb * 1e6
        self._number, self._frames = -1, 0
        self._shape: tuple[int, ...] | None = None
        self._path: Path | None = None
        self._encoder: Any = None

    def check(self, shape: tuple[int, ...], name: str) -> None:
        """Raise DatasetError unless images of demonstration ``name`` fit those before."""
        if shape[0] % 2 or shape[1] % 2:
            raise DatasetError(f'{name}: {self._key}: images of {shape[1]} x {shape[0]} pixels; '
                               'H.264 needs even sides')
        if self._shape not in (None, shape):
            raise DatasetError(f'{name}: {self._key}: images of shape {shape}, those before had '
                               f'{self._shape}; a LeRobot dataset has one size')
        self._shape = shape

    def add(self, images: Sequence[np.ndarray]) -> dict[str, float]:
        """Append an episode; returns its place, with LeRobot's names."""
        if self._path is None or (self._path.exists()
                                  and self._path.stat().st_size >= self._limit):
            self._open()
        first = self._frames
        for image in images:
            self._encoder.send(np.ascontiguousarray(image))
        self._frames += len(images)
        return {'chunk_index': self._number // _FILES_PER_CHUNK,
                'file_index': self._number % _FILES_PER_CHUNK,
                'from_timestamp': first / self._rate, 'to_timestamp': self._frames / self._rate}

    def _open(self) -> None:
        import imageio_ffmpeg
        self.close()
        assert self._shape is not None
        self._number, self._frames = self._number + 1, 0
        chunk, file = divmod(self._number, _FILES_PER_CHUNK)
        self._path = (self._folder / 'videos' / self._key / f'chunk-{chunk:03d}'
                      / f'file-{file:03d}.mp4')
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._encoder = imageio_ffmpeg.write_frames(
            str(self._path), (self._shape[1], self._shape[0]), fps=self._rate, codec='libx264',
            pix_fmt_out='yuv420p', quality=None, macro_block_size=2, ffmpeg_log_level='error',
            output_params=_OPTIONS)
        self._encoder.send(None)

    def close(self) -> None:
        """Finish the file being written."""
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None

    def feature(self) -> dict[str, Any]:
        """Entry of info.json."""
        assert self._shape is not None
        height, width, channels = self._shape
        return {
            'dtype': 'video', 'shape': [height, width, channels],
            'names': ['height', 'width', 'channels'],
            'info': {'video.height': height, 'video.width': width, 'video.codec': 'h264',
                     'video.pix_fmt': 'yuv420p', 'video.is_depth_map': False,
                     'video.fps': self._rate, 'video.channels': channels, 'has_audio': False}}
