# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write demonstrations as a LeRobotDataset v3.0.

    meta/info.json, meta/stats.json, meta/tasks.parquet
    meta/episodes/chunk-000/file-000.parquet          one row per episode
    data/chunk-000/file-000.parquet                   one row per frame
    videos/<camera>/chunk-000/file-000.mp4            many episodes per file

A frame's row is found by ``index``, its pictures by the episode's ``from_timestamp`` plus its own
``timestamp``. Layout and names: LeRobot 0.4 and later (huggingface/lerobot, ``codebase_version``
v3.0).
"""

from collections.abc import Sequence
import json
from pathlib import Path
import shutil
from types import TracebackType
from typing import Any

import numpy as np

from dysl_vla_ros.control.action_spec import CONTROL_RATE_HZ
from dysl_vla_ros.datasets.demonstrations import Demonstration, Frame
from dysl_vla_ros.datasets.lerobot_stats import FeatureStats, merged
from dysl_vla_ros.datasets.lerobot_video import VideoFiles
from dysl_vla_ros.errors import DatasetError

VERSION = 'v3.0'
CAMERAS = {'observation.images.static': 'rgb_static',
           'observation.images.gripper': 'rgb_gripper'}
_CHUNK = 'chunk-000/file-000'
_FILE_MB = {'data_files_size_in_mb': 100, 'video_files_size_in_mb': 200}
_ROBOT_NAMES = [
    *(f'tcp_{axis}' for axis in ('x', 'y', 'z', 'roll', 'pitch', 'yaw')), 'gripper_width',
    *(f'panda_joint{i}' for i in range(1, 8)), 'gripper_command']
_SCENE_NAMES = [
    'slide', 'drawer', 'button', 'switch', 'lightbulb', 'led',
    *(f'block{i}_{axis}' for i in range(1, 4) for axis in ('x', 'y', 'z', 'roll', 'pitch', 'yaw'))]
_ACTION_NAMES = ['x', 'y', 'z', 'roll', 'pitch', 'yaw', 'gripper']
VECTORS: dict[str, tuple[str, list[str]]] = {
    'observation.state': ('robot_obs', _ROBOT_NAMES),
    'observation.environment_state': ('scene_obs', _SCENE_NAMES),
    'action': ('rel_actions', _ACTION_NAMES)}
_COUNTERS = {'timestamp': 'float32', 'frame_index': 'int64', 'episode_index': 'int64',
             'index': 'int64', 'task_index': 'int64'}


class LeRobotWriter:
    """Adds one episode at a time; a context manager that completes the dataset at its end."""

    def __init__(self, folder: str | Path) -> None:
        """Start a dataset.

        Raises:
            DatasetError: If ``folder`` exists and is not empty.
        """
        self.folder = Path(folder)
        if self.folder.exists() and any(self.folder.iterdir()):
            raise DatasetError(f'{self.folder}: not empty; choose another output folder or delete '
                               'it')
        self._tasks: dict[str, int] = {}
        self._episodes: list[dict[str, Any]] = []
        self._stats: list[dict[str, FeatureStats]] = []
        self._frames = 0
        self._videos = {key: VideoFiles(self.folder, key, CONTROL_RATE_HZ,
                                        _FILE_MB['video_files_size_in_mb']) for key in CAMERAS}
        self._data: Any = None

    def __enter__(self) -> 'LeRobotWriter':
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for video in self._videos.values():
            video.close()
        if self._data is not None:
            self._data.close()
        if kind is None:
            self._write_meta()
        else:  # half a dataset is of no use
            shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, demonstration: Demonstration) -> None:
        """Add a demonstration as one episode.

        Raises:
            FrameError: If a frame cannot be read; the dataset is as before, since all frames are
                read first.
            DatasetError: If the images have another size than those before.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq
        frames = list(demonstration.frames())
        count, number = len(frames), len(self._episodes)
        for key, source in CAMERAS.items():
            self._videos[key].check(frames[0][source].shape, demonstration.name)
        task = self._tasks.setdefault(demonstration.sentence, len(self._tasks))
        columns: dict[str, np.ndarray] = {
            key: np.array([f[source] for f in frames], dtype=np.float32)
            for key, (source, _) in VECTORS.items()}
        columns |= {
            'timestamp': (np.arange(count) / CONTROL_RATE_HZ).astype(np.float32),
            'frame_index': np.arange(count), 'episode_index': np.full(count, number),
            'index': self._frames + np.arange(count), 'task_index': np.full(count, task)}
        table = pa.table({key: _column(pa, values) for key, values in columns.items()})
        if self._data is None:
            path = self.folder / f'data/{_CHUNK}.parquet'
            path.parent.mkdir(parents=True)
            self._data = pq.ParquetWriter(path, table.schema, compression='snappy')
        self._data.write_table(table)  # a row group of its own: fast to fetch
        stats = {key: FeatureStats.of(values) for key, values in columns.items()}
        stats |= {key: FeatureStats.of_images([f[source] for f in frames])
                  for key, source in CAMERAS.items()}
        self._stats.append(stats)
        self._episodes.append(self._episode(demonstration, frames, stats))
        self._frames += count

    def _episode(self, demonstration: Demonstration, frames: Sequence[Frame],
                 stats: dict[str, FeatureStats]) -> dict[str, Any]:
        row: dict[str, Any] = {
            'episode_index': len(self._episodes), 'tasks': [demonstration.sentence],
            'length': len(frames), 'data/chunk_index': 0, 'data/file_index': 0,
            'dataset_from_index': self._frames,
            'dataset_to_index': self._frames + len(frames)}
        for key, source in CAMERAS.items():
            place = self._videos[key].add([f[source] for f in frames])
            row |= {f'videos/{key}/{name}': value for name, value in place.items()}
        row |= {'meta/episodes/chunk_index': 0, 'meta/episodes/file_index': 0}
        return row | {f'stats/{key}/{name}': value for key, s in stats.items()
                      for name, value in s.to_mapping().items()}

    def _write_meta(self) -> None:
        if not self._episodes:
            raise DatasetError(f'{self.folder}: no demonstration to write')
        import pyarrow as pa
        import pyarrow.parquet as pq
        meta = self.folder / 'meta'
        (meta / f'episodes/{_CHUNK}').parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(self._episodes),
                       meta / f'episodes/{_CHUNK}.parquet', compression='snappy')
        pq.write_table(_task_table(pa, self._tasks), meta / 'tasks.parquet')
        stats = {key: merged([s[key] for s in self._stats]).to_mapping()
                 for key in self._stats[0]}
        (meta / 'stats.json').write_text(json.dumps(stats, indent=4), encoding='utf-8')
        (meta / 'info.json').write_text(json.dumps(self._info(), indent=4), encoding='utf-8')

    def _info(self) -> dict[str, Any]:
        features: dict[str, Any] = {
            key: {'dtype': 'float32', 'shape': [len(names)], 'names': names}
            for key, (_, names) in VECTORS.items()}
        features |= {key: video.feature() for key, video in self._videos.items()}
        features |= {key: {'dtype': dtype, 'shape': [1], 'names': None}
                     for key, dtype in _COUNTERS.items()}
        pattern = 'chunk-{chunk_index:03d}/file-{file_index:03d}'
        return {
            'codebase_version': VERSION, 'robot_type': 'panda', 'fps': CONTROL_RATE_HZ,
            'total_episodes': len(self._episodes), 'total_frames': self._frames,
            'total_tasks': len(self._tasks), 'chunks_size': 1000, **_FILE_MB,
            'splits': {'train': f'0:{len(self._episodes)}'},
            'data_path': f'data/{pattern}.parquet',
            'video_path': f'videos/{{video_key}}/{pattern}.mp4', 'features': features}


def _column(pa: Any, values: np.ndarray) -> Any:
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def _task_table(pa: Any, tasks: dict[str, int]) -> Any:
    """Sentences and their numbers; the metadata makes pandas read the sentences as index."""
    def column(name: str, kind: str, numpy_type: str) -> dict[str, Any]:
        return {'name': name, 'field_name': name, 'pandas_type': kind, 'numpy_type': numpy_type,
                'metadata': None}

    table = pa.table({'task_index': pa.array(list(tasks.values()), pa.int64()),
                      'task': pa.array(list(tasks), pa.string())})
    pandas = {'index_columns': ['task'], 'column_indexes': [],
              'columns': [column('task_index', 'int64', 'int64'),
                          column('task', 'unicode', 'object')], 'pandas_version': '2.2.0'}
    return table.replace_schema_metadata({'pandas': json.dumps(pandas)})
