# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recording of rollouts: one folder per episode, written by evaluator and bridge alike.

    <folder>/episodes/<episode_id>/steps.npz      one row per control step
    <folder>/episodes/<episode_id>/episode.json   specification and result
    <folder>/episodes/<episode_id>/video.mp4      if videos are on; and its poster.jpg

An episode becomes visible only when it has ended; an interrupted attempt leaves nothing.
Arrays and keys are listed in docs/reference/results_format.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
import json
import math
from pathlib import Path
import shutil
import time
from typing import Any

import numpy as np

from dysl_vla_ros.errors import DatasetError
from dysl_vla_ros.evaluation.episode import EpisodeSpec
from dysl_vla_ros.evaluation.video import VideoWriter
from dysl_vla_ros.skipping.step import Step

EPISODES = 'episodes'
OPTIONS_FILE = 'recording.json'
_PARTIAL = '.partial'
SCALARS = ('continuity', 'continuity_change', 'gripper_probability', 'preprocess_ms', 'vision_ms',
           'decoder_ms', 'head_ms', 'total_ms', 'observation_age_ms', 'latency_ms')


def step_stats(step: Step) -> dict[str, Any]:
    """The statistics of an in-process step, with the field names of InferenceStats.msg."""
    trace, timing = step.trace, step.timing
    return {
        'executed': trace.executed, 'executed_total': trace.n_executed_total,
        'groups': [{'first': g.first, 'last': g.last, 'reason': int(g.reason),
                    'jump_from': g.jump_from, 'allow_point': g.allow_point}
                   for g in trace.groups],
        'is_verified': trace.is_verified, 'continuity': trace.continuity,
        'continuity_change': trace.continuity_change,
        'gripper_probability': step.gripper_probability,
        'preprocess_ms': timing.preprocess_ms, 'vision_ms': timing.vision_ms,
        'decoder_ms': timing.decoder_ms, 'head_ms': timing.head_ms, 'total_ms': timing.total_ms}


class RolloutRecorder:
    """Writes one episode at a time."""

    def __init__(self, folder: str | Path, videos: bool | None = None) -> None:
        """Record into ``folder``.

        Args:
            folder: Results folder; created.
            videos: Whether to encode videos. None asks ``<folder>/recording.json`` (written by
                ``dysl-vla evaluate`` for the bridge process) and else means yes.
        """
        self.folder = Path(folder)
        (self.folder / EPISODES).mkdir(parents=True, exist_ok=True)
        options = self.folder / OPTIONS_FILE
        if videos is None and options.is_file():
            videos = bool(json.loads(options.read_text(encoding='utf-8'))['videos'])
        self._videos = videos if videos is not None else True
        self._spec: EpisodeSpec | None = None
        self._video: VideoWriter | None = None

    def begin(self, spec: EpisodeSpec) -> None:
        """Start an episode; a running one is discarded."""
        self.discard()
        self._spec = spec
        self._partial = self.folder / EPISODES / (spec.episode_id + _PARTIAL)
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir()
        self._rows: list[dict[str, Any]] = []

    def step(self, subtask_index: int, observation: Mapping[str, Any], action: np.ndarray,
             stats: Mapping[str, Any] | None) -> None:
        """Add one control step.

        Args:
            subtask_index: Of the current subtask.
            observation: The environment's, as the policy saw it.
            action: (7,) as executed.
            stats: ``step_stats`` or ``nodes.messages.stats_to_dict``; None if they were lost.
        """
        assert self._spec is not None, 'step() before begin()'
        row: dict[str, Any] = {
            'subtask': subtask_index, 'wall_s': time.monotonic(),
            'action': np.array(action, dtype=np.float64),
            'robot_obs': np.array(observation['robot_obs']),
            'scene_obs': np.array(observation['scene_obs']),
            'stats': dict(stats) if stats is not None else None}
        is_first = not self._rows or self._rows[-1]['subtask'] != subtask_index
        row['subtask_step'] = 0 if is_first else self._rows[-1]['subtask_step'] + 1
        self._rows.append(row)
        if self._videos:
            if self._video is None:
                self._video = VideoWriter(self._partial / 'video.mp4', self._spec)
            self._video.add(observation['rgb_obs'], subtask_index, row['subtask_step'],
                            row['stats'])

    def end(self, result: Mapping[str, Any]) -> None:
        """Finish the episode with ``EpisodeRunner.summary`` (or the bridge's equal form)."""
        assert self._spec is not None, 'end() before begin()'
        if self._video is not None:
            self._video.close(int(result['succeeded']))
            self._video = None
        columns: dict[str, Any] = _columns(self._rows)  # numpy's stub mixes in its own options
        np.savez_compressed(self._partial / 'steps.npz', **columns)
        content = {'format': 1, 'spec': self._spec.to_mapping(), 'result': dict(result)}
        (self._partial / 'episode.json').write_text(json.dumps(content, indent=1),
                                                    encoding='utf-8')
        final = self.folder / EPISODES / self._spec.episode_id
        shutil.rmtree(final, ignore_errors=True)
        self._partial.rename(final)
        self._spec = None

    def discard(self) -> None:
        """Drop a running episode; safe to call at any time."""
        if self._video is not None:
            self._video.abort()
            self._video = None
        if self._spec is not None:
            shutil.rmtree(self._partial, ignore_errors=True)
            self._spec = None


def _columns(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Rows to arrays; a step without statistics has NaN, False and -1."""
    known = [row['stats'] for row in rows if row['stats'] is not None]
    n_layers = max((len(s['executed']) for s in known), default=0)
    n_groups = max((len(s['groups']) for s in known), default=0)
    groups: list[dict[str, Any]] = next(
        (s['groups'] for s in known if len(s['groups']) == n_groups), [])
    count = len(rows)
    columns = {
        'actions': np.array([r['action'] for r in rows]).reshape(count, 7),
        'robot_obs': np.array([r['robot_obs'] for r in rows]).reshape(count, 15),
        'scene_obs': np.array([r['scene_obs'] for r in rows]).reshape(count, 24),
        'subtask': np.array([r['subtask'] for r in rows], dtype=np.int16),
        'subtask_step': np.array([r['subtask_step'] for r in rows], dtype=np.int32),
        'wall_s': np.array([r['wall_s'] for r in rows], dtype=np.float64),
        'has_stats': np.array([r['stats'] is not None for r in rows], dtype=bool),
        'executed': np.zeros((count, n_layers), dtype=bool),
        'executed_total': np.full(count, -1, dtype=np.int32),
        'is_verified': np.zeros(count, dtype=bool),
        'group_layers': np.array([[g['first'], g['last']] for g in groups],
                                 dtype=np.int16).reshape(len(groups), 2),
        'group_reason': np.full((count, n_groups), -1, dtype=np.int8),
        'group_jump_from': np.full((count, n_groups), -1, dtype=np.int16),
        'group_allow_point': np.full((count, n_groups), -1, dtype=np.int16),
        **{name: np.full(count, np.nan) for name in SCALARS}}
    for i, row in enumerate(rows):
        stats = row['stats']
        if stats is None:
            continue
        columns['executed'][i, :len(stats['executed'])] = stats['executed']
        columns['executed_total'][i] = stats['executed_total']
        columns['is_verified'][i] = stats['is_verified']
        for g, group in enumerate(stats['groups']):
            columns['group_reason'][i, g] = group['reason']
            columns['group_jump_from'][i, g] = group['jump_from']
            columns['group_allow_point'][i, g] = group['allow_point']
        for name in SCALARS:
            value = stats.get(name)
            columns[name][i] = math.nan if value is None else value
    return columns


@dataclass(frozen=True)
class Recording:
    """One finished episode, read back.

    Attributes:
        folder: Where it lies.
        spec: What was asked.
        result: ``EpisodeRunner.summary``.
        steps: Arrays of steps.npz by name.
    """

    folder: Path
    spec: EpisodeSpec
    result: dict[str, Any]
    steps: dict[str, np.ndarray]

    @property
    def video(self) -> Path | None:
        """The video, if one was made."""
        path = self.folder / 'video.mp4'
        return path if path.is_file() else None


def read_recording(folder: str | Path) -> Recording:
    """Read one episode's folder.

    Raises:
        DatasetError: If a file is missing or damaged.
    """
    folder = Path(folder)
    try:
        content = json.loads((folder / 'episode.json').read_text(encoding='utf-8'))
        with np.load(folder / 'steps.npz', allow_pickle=False) as data:
            steps = {name: data[name] for name in data.files}
        return Recording(folder, EpisodeSpec.from_mapping(content['spec']), content['result'],
                         steps)
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(f'{folder}: not a complete recording: {error!r}; run the evaluation '
                           'again') from error


def finished_episodes(folder: str | Path) -> list[str]:
    """Ids of the episodes that have ended so far."""
    root = Path(folder) / EPISODES
    if not root.is_dir():
        return []
    return sorted(p.parent.name for p in root.glob('*/episode.json')
                  if not p.parent.name.endswith(_PARTIAL))


def read_recordings(folder: str | Path, order: list[str] | None = None) -> list[Recording]:
    """Read all finished episodes, by id or in the given order.

    Raises:
        DatasetError: If one of ``order`` is missing or a file is damaged.
    """
    root = Path(folder) / EPISODES
    return [read_recording(root / name) for name in (order or finished_episodes(folder))]
