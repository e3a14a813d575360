# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Demonstrations as training input, packed or in CALVIN's layout, and window sampling."""

from dataclasses import dataclass
import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dysl_vla_ros.datasets.calvin import (
    LANGUAGE_FILE,
    SPANS_FILE,
    CalvinSplit,
    is_calvin_folder,
)
from dysl_vla_ros.datasets.packed import ARRAYS, open_packed
from dysl_vla_ros.datasets.windows import Windowing
from dysl_vla_ros.errors import DatasetError, FrameError
from dysl_vla_ros.observation.preprocess import ResizeMode
from dysl_vla_ros.training.frame_sources import CalvinFrames, Column, split_folders


@dataclass(frozen=True)
class Episode:
    """One subtask: frames start..end-1 of the joined arrays."""

    start: int
    end: int
    task: str
    instructions: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Batch:
    """A batch of windows.

    Attributes:
        images: (B, T, 2, 3, H, W) uint8, static then gripper.
        instructions: B sentences.
        robot_obs, scene_obs: (B, T, 15) and (B, T, 24) float32.
        actions: (B, T, 7) float32 labels.
        valid: (B, T) bool, False on frames after the episode's end.
    """

    images: torch.Tensor
    instructions: list[str]
    robot_obs: torch.Tensor
    scene_obs: torch.Tensor
    actions: torch.Tensor
    valid: torch.Tensor

    def split(self, parts: int) -> list['Batch']:
        """At most ``parts`` batches with the same windows in order, as tensor_split divides."""
        sizes = [len(p) for p in self.actions.tensor_split(parts) if len(p)]
        bounds = np.cumsum([0, *sizes])
        return [Batch(self.images[a:b], self.instructions[a:b], self.robot_obs[a:b],
                      self.scene_obs[a:b], self.actions[a:b], self.valid[a:b])
                for a, b in itertools.pairwise(bounds.tolist())]


class Demonstrations:
    """Several datasets joined, packed folders and CALVIN's layout alike.

    ``arrays`` holds the columns of ``datasets.packed.ARRAYS`` over all frames; an episode's
    ``start`` and ``end`` index them. Held out: every ``held_out_every``-th seed of a packed
    folder; the validation split of a dataset in CALVIN's layout or, where there is none, every
    ``held_out_every``-th annotation.
    """

    def __init__(self, folders: list[str | Path], held_out_every: int = 20,
                 image_size: int | None = None, resize: ResizeMode = 'area',
                 skip_damaged: bool = False, windowing: Windowing | None = None,
                 needs_training: bool = True) -> None:
        """Open the folders.

        Args:
            folders: Packed folders, dataset folders or splits in CALVIN's layout.
            held_out_every: See above.
            image_size: The network's input side in pixels: images of CALVIN's layout are resized
                to it, lazily; packed ones must have it already. None takes what packed folders
                have.
            resize: How.
            skip_damaged: Read every frame of CALVIN's layout now and leave out annotations with
                a missing, truncated or malformed one; ``skipped`` lists them. Otherwise such a
                frame is an error when it is first needed.
            windowing: None pads windows at the end of an episode; otherwise windows start where
                this says and are never padded.
            needs_training: Whether held-out episodes alone are an error.

        Raises:
            DatasetError: If a file is missing, truncated or inconsistent with the others.
        """
        parts: dict[str, list[np.ndarray | CalvinFrames]] = {name: [] for name in ARRAYS}
        self.train: list[Episode] = []
        self.held_out: list[Episode] = []
        self.hashes: list[str] = []
        self.skipped: list[FrameError] = []
        self.image_size, self._network_size = image_size or 0, image_size
        self.windowing = windowing
        self._every, self._resize, self._skip = held_out_every, resize, skip_damaged
        self._offset = 0
        for folder in map(Path, folders):
            if is_calvin_folder(folder):
                self._open_calvin(folder, parts)
            else:
                self._open_packed(folder, parts)
        if needs_training and not self.train:
            raise DatasetError(f'no training episodes in {folders}')
        self.arrays: dict[str, Any] = {
            name: Column(name, values) if any(isinstance(v, CalvinFrames) for v in values)
            else np.concatenate(values) for name, values in parts.items()}  # type: ignore[arg-type]

    def _open_packed(self, folder: Path, parts: dict[str, list[Any]]) -> None:
        index, arrays, digest = open_packed(folder)
        size = index['image_size']
        if self._network_size not in (None, size):
            raise DatasetError(f'{folder}: images are {size} pixels wide, the network expects '
                               f'{self._network_size}')
        if self.image_size not in (0, size):
            raise DatasetError(f'{folder}: image size {size} differs from {self.image_size} of '
                               'the folders before')
        self.image_size = size
        self.hashes.append(digest)
        for name in ARRAYS:
            parts[name].append(arrays[name])
        for entry in index['episodes']:
            episode = Episode(entry['start'] + self._offset, entry['end'] + self._offset,
                              entry['task'], tuple(entry['instructions']), entry['seed'])
            if episode.end <= episode.start:
                raise DatasetError(f'{folder}/episodes.json: empty episode {entry}')
            target = self.held_out if episode.seed % self._every == 0 else self.train
            target.append(episode)
        self._offset += len(arrays['actions'])

    def _open_calvin(self, folder: Path, parts: dict[str, list[Any]]) -> None:
        if not self.image_size:
            raise DatasetError(f"{folder}: give image_size: images in CALVIN's layout are "
                               "resized to the network's input")
        training, validation = split_folders(folder)
        self.hashes.append(calvin_hash(folder))
        for path in filter(None, (training, validation)):
            split = CalvinSplit(path)
            frames = CalvinFrames(split, split.annotations, self.image_size, self._resize)
            for number, annotation in enumerate(split.annotations):
                problem = frames.damaged(annotation) if self._skip else None
                if problem is not None:
                    self.skipped.append(problem)
                    continue
                start, end = frames.positions(annotation)
                is_held_out = path == validation or (validation is None
                                                     and number % self._every == 0)
                (self.held_out if is_held_out else self.train).append(Episode(
                    start + self._offset, end + self._offset, annotation.task,
                    (annotation.sentence,), number))
            for name in ARRAYS:
                parts[name].append(frames)
            self._offset += len(frames)

    def windows(self, episodes: list[Episode], rng: np.random.Generator, batch: int,
                window: int, lead_share: float = 0.3) -> Batch:
        """Draw random windows of consecutive frames.

        A start is drawn uniformly over all frames; a share of the windows starts at frame 0
        of an episode, since every rollout begins there. With ``windowing`` all its windows are
        equally likely instead.

        Raises:
            DatasetError: If ``windowing`` finds no window.
            FrameError: If a frame of CALVIN's layout cannot be read.
        """
        if self.windowing is not None:
            return self._whole_windows(episodes, rng, batch, window)
        lengths = np.array([e.end - e.start for e in episodes])
        chosen = rng.choice(len(episodes), size=batch, p=lengths / lengths.sum())
        indices = np.empty((batch, window), dtype=np.int64)
        valid = np.empty((batch, window), dtype=bool)
        sentences = []
        for row, number in enumerate(chosen):
            episode = episodes[number]
            length = episode.end - episode.start
            # Windows may start late enough to be cut, never so late that most of it is padding.
            last = max(0, length - max(1, window // 2))
            first = 0 if rng.random() < lead_share * min(1.0, window / 12) \
                else int(rng.integers(last + 1))
            frame = first + np.arange(window)
            valid[row] = frame < length
            indices[row] = episode.start + np.minimum(frame, length - 1)
            sentences.append(episode.instructions[rng.integers(len(episode.instructions))])
        return self.gather(indices, valid, sentences)

    def can_draw(self, episodes: list[Episode]) -> bool:
        """Whether ``windows`` finds any in ``episodes``."""
        return bool(episodes) and (self.windowing is None or any(
            len(self.windowing.starts(e.start, e.end - 1)) for e in episodes))

    def _whole_windows(self, episodes: list[Episode], rng: np.random.Generator, batch: int,
                       window: int) -> Batch:
        """RoboFlamingo's windows, shortened to their last ``window`` frames where it is less."""
        assert self.windowing is not None
        starts = [self.windowing.starts(e.start, e.end - 1) for e in episodes]
        counts = np.array([len(s) for s in starts])
        if not counts.any():
            raise DatasetError(f'no annotation is long enough for windows of '
                               f'{self.windowing.min_window} frames')
        chosen = rng.choice(len(episodes), size=batch, p=counts / counts.sum())
        rows, sentences = [], []
        for number in chosen:
            episode, options = episodes[number], starts[number]
            first = options[int(rng.integers(len(options)))]
            # A phase with short windows sees the same frames: any part of the whole window.
            spare = max(0, self.windowing.min_window - window)
            rows.append(first + int(rng.integers(spare + 1)) + np.arange(window))
            sentences.append(episode.instructions[rng.integers(len(episode.instructions))])
        indices = np.stack(rows)
        ends = np.array([episodes[n].end for n in chosen])[:, None]
        valid = indices < ends
        return self.gather(np.minimum(indices, ends - 1), valid, sentences)

    def gather(self, indices: np.ndarray, valid: np.ndarray, sentences: list[str]) -> Batch:
        """Batch of the frames at ``indices`` (B, T)."""
        images = np.stack((self.arrays['rgb_static'][indices],
                           self.arrays['rgb_gripper'][indices]), axis=2)  # (B, T, 2, H, W, 3)
        return Batch(
            torch.from_numpy(images).permute(0, 1, 2, 5, 3, 4), sentences,
            torch.from_numpy(self.arrays['robot_obs'][indices]).float(),
            torch.from_numpy(self.arrays['scene_obs'][indices]).float(),
            torch.from_numpy(self.arrays['actions'][indices]), torch.from_numpy(valid))


def calvin_hash(folder: Path) -> str:
    """What identifies a dataset in CALVIN's layout: our manifest's hash, else of its index."""
    if (folder / 'manifest.json').is_file():
        return str(json.loads((folder / 'manifest.json').read_text())['sha256'])
    digest = hashlib.sha256()
    for split in filter(None, split_folders(folder)):
        for name in (SPANS_FILE, LANGUAGE_FILE):
            if (split / name).is_file():
                digest.update((split / name).read_bytes())
    return digest.hexdigest()


def draw_shifts(count: int, pad: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """Random offsets in pixels, (count, 2 cameras, 2): dy, dx within each camera's ``pad``."""
    return torch.stack([torch.randint(-limit, limit + 1, (count, 2), generator=generator)
                        for limit in pad], dim=1)


def shift_images(images: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """Shift images by whole pixels with replicated borders.

    Args:
        images: (B, T, 2, 3, H, W).
        offsets: (B, 2, 2) dy, dx per window and camera, equal over time.
    """
    size = images.shape[-1]
    out = torch.empty_like(images)
    grid = torch.arange(size)
    for row, cameras in enumerate(offsets.tolist()):
        for camera, (dy, dx) in enumerate(cameras):
            ys, xs = (grid + dy).clamp(0, size - 1), (grid + dx).clamp(0, size - 1)
            out[row, :, camera] = images[row, :, camera][..., ys, :][..., xs]
    return out
