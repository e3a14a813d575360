# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Packed demonstration folders (see training/collect.py) and window sampling."""

from dataclasses import dataclass
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dysl_vla_ros.errors import DatasetError
from dysl_vla_ros.training.layout import ARRAYS


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
    """Several packed folders joined; every ``held_out_every``-th seed is held out."""

    def __init__(self, folders: list[str | Path], held_out_every: int = 20) -> None:
        """Open the folders.

        Raises:
            DatasetError: If a file is missing, truncated or inconsistent with the others.
        """
        parts: dict[str, list[np.ndarray]] = {name: [] for name in ARRAYS}
        self.train: list[Episode] = []
        self.held_out: list[Episode] = []
        self.hashes: list[str] = []
        self.image_size = 0
        offset = 0
        for folder in map(Path, folders):
            index = self._open(folder, parts)
            for entry in index['episodes']:
                episode = Episode(entry['start'] + offset, entry['end'] + offset, entry['task'],
                                  tuple(entry['instructions']), entry['seed'])
                if episode.end <= episode.start:
                    raise DatasetError(f'{folder}/episodes.json: empty episode {entry}')
                target = self.held_out if episode.seed % held_out_every == 0 else self.train
                target.append(episode)
            offset += len(parts['actions'][-1])
        if not self.train:
            raise DatasetError(f'no training episodes in {folders}')
        self.arrays = {name: np.concatenate(values) for name, values in parts.items()}

    def _open(self, folder: Path, parts: dict[str, list[np.ndarray]]) -> Any:
        for name in (*(f'{a}.npy' for a in ARRAYS), 'episodes.json', 'manifest.json'):
            if not (folder / name).is_file():
                raise DatasetError(f'{folder}/{name}: no such file; expected a folder written by '
                                   'dysl-vla collect')
        index = json.loads((folder / 'episodes.json').read_text())
        if self.image_size not in (0, index['image_size']):
            raise DatasetError(f'{folder}: image size {index["image_size"]} differs from '
                               f'{self.image_size} of the folders before')
        self.image_size = index['image_size']
        self.hashes.append(json.loads((folder / 'manifest.json').read_text())['sha256'])
        lengths = set()
        for name in ARRAYS:
            try:
                array = np.load(folder / f'{name}.npy', mmap_mode='r', allow_pickle=False)
            except ValueError as error:
                raise DatasetError(f'{folder}/{name}.npy: {error}') from error
            parts[name].append(array)
            lengths.add(len(array))
        if len(lengths) != 1:
            raise DatasetError(f'{folder}: arrays of different lengths {sorted(lengths)}')
        return index

    def windows(self, episodes: list[Episode], rng: np.random.Generator, batch: int,
                window: int, lead_share: float = 0.3) -> Batch:
        """Draw random windows of consecutive frames.

        A start is drawn uniformly over all frames; a share of the windows starts at frame 0
        of an episode, since every rollout begins there.
        """
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

    def gather(self, indices: np.ndarray, valid: np.ndarray, sentences: list[str]) -> Batch:
        """Batch of the frames at ``indices`` (B, T)."""
        images = np.stack((self.arrays['rgb_static'][indices],
                           self.arrays['rgb_gripper'][indices]), axis=2)  # (B, T, 2, H, W, 3)
        return Batch(
            torch.from_numpy(images).permute(0, 1, 2, 5, 3, 4), sentences,
            torch.from_numpy(self.arrays['robot_obs'][indices]).float(),
            torch.from_numpy(self.arrays['scene_obs'][indices]).float(),
            torch.from_numpy(self.arrays['actions'][indices]), torch.from_numpy(valid))


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
