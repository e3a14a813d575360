# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Video of one episode: both cameras side by side, with instruction, step and outcome burnt in.

H.264 at 30 frames per second, one frame per control step, so that playback is real time and the
video's clock is the time axis of the report's plots.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dysl_vla_ros.control.action_spec import CONTROL_RATE_HZ
from dysl_vla_ros.evaluation.episode import EpisodeSpec

SIDE = 352
BAR = 64
SIZE = (2 * SIDE, SIDE + BAR)  # both multiples of 16, which H.264 wants
_HOLD_FRAMES = 20
POSTER = 'poster.jpg'
_WHITE, _GREY, _GREEN, _RED = (240, 240, 240), (150, 150, 150), (110, 200, 120), (240, 110, 100)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class VideoWriter:
    """Encodes frames as they come, in ffmpeg's own process."""

    def __init__(self, path: Path, spec: EpisodeSpec) -> None:
        """Open the file."""
        import imageio_ffmpeg
        self._spec = spec
        self._poster = path.with_name(POSTER)
        self._writer = imageio_ffmpeg.write_frames(
            str(path), SIZE, fps=CONTROL_RATE_HZ, codec='libx264', pix_fmt_out='yuv420p',
            quality=None, macro_block_size=16, ffmpeg_log_level='error',
            output_params=['-preset', 'veryfast', '-crf', '24', '-threads', '1',
                           '-movflags', '+faststart'])
        self._writer.send(None)
        self._cameras = np.zeros((SIDE, 2 * SIDE, 3), dtype=np.uint8)
        self._last = (0, 0)

    def add(self, images: Mapping[str, np.ndarray], subtask_index: int, step: int,
            stats: Mapping[str, Any] | None) -> None:
        """Add the frame of one control step."""
        self._cameras = np.hstack([
            cv2.resize(images[name], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
            for name in ('rgb_static', 'rgb_gripper')])
        self._last = (subtask_index, step)
        note = ''
        if stats is not None and len(stats['executed']):
            executed = int(np.count_nonzero(stats['executed']))
            note = f'{executed}/{len(stats["executed"])} layers'
            if stats['is_verified']:
                note += ' verified'
        self._send(note, subtask_index, None)

    def close(self, succeeded: int) -> None:
        """Hold the last picture with the outcome, then finish the file."""
        is_success = succeeded == len(self._spec.subtasks)
        for _ in range(_HOLD_FRAMES):
            self._send('', succeeded, is_success)
        self._writer.close()

    def abort(self) -> None:
        """Stop encoding; the file is of no use."""
        self._writer.close()

    def _send(self, note: str, succeeded: int, outcome: bool | None) -> None:
        bar = np.full((BAR, SIZE[0], 3), 24, dtype=np.uint8)
        index, step = self._last
        subtask = self._spec.subtasks[min(index, len(self._spec.subtasks) - 1)]
        _write(bar, subtask.instruction, (12, 26), 0.55, _WHITE)
        for i in range(len(self._spec.subtasks)):
            has_failed = outcome is False and i == succeeded
            colour = _GREEN if i < succeeded else _RED if has_failed else (80, 80, 80)
            cv2.circle(bar, (20 + 20 * i, 46), 6, colour, -1, cv2.LINE_AA)
        left = 24 + 20 * len(self._spec.subtasks)
        _write(bar, f'{subtask.task}  step {step}', (left, 51), 0.45, _GREY)
        if outcome is not None:
            verdict = 'SUCCESS' if outcome else 'FAILED'
            text = f'{succeeded}/{len(self._spec.subtasks)} {verdict}'
            _write(bar, text, (SIZE[0] - 150, 51), 0.55, _GREEN if outcome else _RED)
        elif note:
            _write(bar, note, (SIZE[0] - 190, 51), 0.45, _GREY)
        # On top: a player's controls cover the bottom.
        picture = np.ascontiguousarray(np.vstack([bar, self._cameras]))
        if not self._poster.is_file():
            cv2.imwrite(str(self._poster), picture[:, :, ::-1])
        self._writer.send(picture)


def _write(image: np.ndarray, text: str, origin: tuple[int, int], scale: float,
           colour: tuple[int, int, int]) -> None:
    # OpenCV's built-in font has ASCII only.
    ascii_text = text.encode('ascii', 'replace').decode()
    cv2.putText(image, ascii_text, origin, _FONT, scale, colour, 1, cv2.LINE_AA)
