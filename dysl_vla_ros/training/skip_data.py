# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Media latents of whole episodes in memory: the backbone is frozen, so vision runs once."""

from collections.abc import Callable
from dataclasses import dataclass, replace
import hashlib
from pathlib import Path

import numpy as np
from safetensors.torch import save_file
import torch

from dysl_vla_ros.model.checkpoint import read_tensors
from dysl_vla_ros.model.tokenizer import InstructionTokenizer
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.training.dataset import Demonstrations, Episode

_ENCODE_BATCH = 128


@dataclass(frozen=True)
class MediaBatch:
    """Windows of frames with their prompts.

    Attributes:
        x: (B * T, S, d) embedded prompts, repeated for each frame of a window.
        mask: (B * T, S) True on real tokens.
        media: (B * T, M, width) float32.
        robot_obs: (B * T, 15), or None if the network does not use it.
        actions: (B, T, 7) labels.
        valid: (B, T) False on frames after the episode's end.
    """

    x: torch.Tensor
    mask: torch.Tensor
    media: torch.Tensor
    robot_obs: torch.Tensor | None
    actions: torch.Tensor
    valid: torch.Tensor


class MediaCache:
    """Frames of some training and some held-out episodes, vision already done."""

    def __init__(self, model: DySLVLA, tokenizer: InstructionTokenizer, data: Demonstrations,
                 max_frames: int, held_out_episodes: int, seed: int,
                 report: Callable[[int, int], None] | None = None,
                 folder: Path | None = None, identity: str = '') -> None:
        """Encode whole episodes, drawn evenly, until ``max_frames`` training frames are in.

        Args:
            model: Frozen network.
            tokenizer: Its tokenizer.
            data: Opened demonstrations; not kept.
            max_frames: Training frames (the last episode may exceed it).
            held_out_episodes: Episodes for calibration; training ones if none are held out.
            seed: Order of the draw.
            report: Called with (frames done, frames in total).
            folder: Where the latents are kept for the next run; None keeps nothing.
            identity: Hashes of network and data, which the kept latents must match.
        """
        self.model, self.tokenizer = model, tokenizer
        rng = np.random.default_rng(seed)
        train = _draw(data.train, rng, max_frames=max_frames)
        held_out = _draw(data.held_out or data.train, rng, max_episodes=held_out_episodes)
        source = np.concatenate([np.arange(e.start, e.end) for e in (*train, *held_out)])
        self.train, offset = _renumber(train, 0)
        self.held_out, _ = _renumber(held_out, offset)
        self.actions = torch.from_numpy(data.arrays['actions'][source])
        self.robot_obs = torch.from_numpy(data.arrays['robot_obs'][source]).float()
        self.media = self._stored(data, source, report, folder, identity)
        self._lengths = np.array([e.end - e.start for e in self.train])

    def _stored(self, data: Demonstrations, source: np.ndarray,
                report: Callable[[int, int], None] | None, folder: Path | None,
                identity: str) -> torch.Tensor:
        """Latents from the file of an earlier run on the same frames, or encoded and kept."""
        if folder is None:
            return self._encode(data, source, report)
        digest = hashlib.sha256(identity.encode() + source.tobytes()).hexdigest()[:16]
        path = folder / f'media-{digest}.safetensors'
        if path.is_file():
            return read_tensors(path)['media']
        media = self._encode(data, source, report)
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix('.tmp')
        save_file({'media': media}, temporary)
        temporary.replace(path)
        return media

    @torch.no_grad()
    def _encode(self, data: Demonstrations, source: np.ndarray,
                report: Callable[[int, int], None] | None) -> torch.Tensor:
        # float16 halves the memory; its rounding lies far below the adapters' error.
        parts = []
        for start in range(0, len(source), _ENCODE_BATCH):
            index = source[start:start + _ENCODE_BATCH]
            images = np.stack((data.arrays['rgb_static'][index],
                               data.arrays['rgb_gripper'][index]), axis=1)
            tensor = torch.from_numpy(images).permute(0, 1, 4, 2, 3)  # (B, 2, 3, H, W)
            parts.append(self.model.encode_vision(self.model.normalise(tensor)).half())
            if report is not None:
                report(start + len(index), len(source))
        return torch.cat(parts)

    def frames(self, rng: np.random.Generator, count: int) -> MediaBatch:
        """Draw single frames, uniform over tasks first: rare tasks count as much."""
        tasks: dict[str, list[int]] = {}
        for number, episode in enumerate(self.train):
            tasks.setdefault(episode.task, []).append(number)
        names = sorted(tasks)
        numbers = [int(rng.choice(tasks[names[rng.integers(len(names))]])) for _ in range(count)]
        first = np.array([rng.integers(self._lengths[n]) for n in numbers])
        return self._gather(numbers, first, 1, rng)

    def windows(self, rng: np.random.Generator, batch: int, window: int,
                lead_share: float = 0.3) -> MediaBatch:
        """Draw windows as behaviour cloning does: some start at an episode's first frame."""
        numbers = rng.choice(len(self.train), size=batch, p=self._lengths / self._lengths.sum())
        last = np.maximum(0, self._lengths[numbers] - max(1, window // 2))
        first = rng.integers(last + 1)
        first[rng.random(batch) < lead_share] = 0
        return self._gather([int(n) for n in numbers], first, window, rng)

    def _gather(self, numbers: list[int], first: np.ndarray, window: int,
                rng: np.random.Generator) -> MediaBatch:
        episodes = [self.train[n] for n in numbers]
        sentences = [e.instructions[rng.integers(len(e.instructions))] for e in episodes]
        frame = first[:, None] + np.arange(window)  # (B, T)
        lengths = self._lengths[numbers][:, None]
        starts = np.array([e.start for e in episodes])[:, None]
        index = torch.from_numpy(starts + np.minimum(frame, lengths - 1))
        ids, mask = self.tokenizer.encode_batch(sentences)
        with torch.no_grad():
            x = self.model.embed(ids).repeat_interleave(window, dim=0)
        flat = index.flatten()
        return MediaBatch(
            x, mask.repeat_interleave(window, dim=0), self.media[flat].float(),
            self.robot_obs[flat] if self.model.config.head.use_state else None,
            self.actions[index], torch.from_numpy(frame < lengths))


def _draw(episodes: list[Episode], rng: np.random.Generator, max_frames: int | None = None,
          max_episodes: int | None = None) -> list[Episode]:
    chosen: list[Episode] = []
    frames = 0
    for number in rng.permutation(len(episodes)):
        if max_frames is not None and frames >= max_frames:
            break
        if max_episodes is not None and len(chosen) >= max_episodes:
            break
        chosen.append(episodes[number])
        frames += episodes[number].end - episodes[number].start
    return chosen


def _renumber(episodes: list[Episode], offset: int) -> tuple[list[Episode], int]:
    result = []
    for episode in episodes:
        length = episode.end - episode.start
        result.append(replace(episode, start=offset, end=offset + length))
        offset += length
    return result, offset
