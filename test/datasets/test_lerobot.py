# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A LeRobotDataset v3, read back through its own paths: a wrong offset shows other frames.

LeRobot itself is no dependency; what its loader relies on is checked here by hand.
"""

import json

from fakes.calvin_split import ANNOTATIONS, frame_values
import imageio_ffmpeg
import numpy as np
import pyarrow.parquet as pq
import pytest

from dysl_vla_ros.datasets.demonstrations import open_demonstrations
from dysl_vla_ros.datasets.lerobot import CAMERAS, LeRobotWriter
from dysl_vla_ros.datasets.lerobot_stats import FeatureStats, merged
from dysl_vla_ros.datasets.lerobot_video import VideoFiles
from dysl_vla_ros.errors import DatasetError, FrameError


@pytest.fixture
def dataset(split, tmp_path):
    with LeRobotWriter(tmp_path / 'lerobot') as writer:
        for demonstration in open_demonstrations(split):
            writer.add(demonstration)
    return tmp_path / 'lerobot'


def load_json(path):
    return json.loads(path.read_text())


def decode(path):
    """(N, H, W, 3) uint8 pictures of a video, and its frame rate."""
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    width, height = meta['size']
    return np.stack([np.frombuffer(f, np.uint8).reshape(height, width, 3) for f in reader]), \
        meta['fps']


def test_info_describes_features_and_paths(dataset):
    info = load_json(dataset / 'meta/info.json')
    assert info['codebase_version'] == 'v3.0'
    assert (info['fps'], info['total_episodes'], info['total_frames'], info['total_tasks']) == (
        30, 3, 55, 3)
    assert info['splits'] == {'train': '0:3'}
    assert info['features']['observation.images.static']['shape'] == [20, 20, 3]
    assert info['features']['observation.state']['shape'] == [15]
    for feature in info['features'].values():
        names = feature['names']
        assert names is None or len(names) == (3 if feature['dtype'] == 'video'
                                               else feature['shape'][0])
    table = pq.read_table(dataset / info['data_path'].format(chunk_index=0, file_index=0))
    stored = {k for k, f in info['features'].items() if f['dtype'] != 'video'}
    assert set(table.column_names) == stored
    assert [str(table.schema.field(k).type) for k in ('action', 'timestamp', 'index')] == [
        'fixed_size_list<element: float>[7]', 'float', 'int64']


def test_every_frame_is_found_where_the_loader_looks(dataset):
    info = load_json(dataset / 'meta/info.json')
    rows = pq.read_table(dataset / 'data/chunk-000/file-000.parquet').to_pylist()
    episodes = pq.read_table(dataset / 'meta/episodes/chunk-000/file-000.parquet').to_pylist()
    tasks = pq.read_table(dataset / 'meta/tasks.parquet')
    names = dict(zip(tasks['task_index'].to_pylist(), tasks['task'].to_pylist(), strict=True))
    assert json.loads(tasks.schema.metadata[b'pandas'])['index_columns'] == ['task']
    assert [r['index'] for r in rows] == list(range(55))
    for number, (episode, annotation) in enumerate(zip(episodes, ANNOTATIONS, strict=True)):
        own = rows[episode['dataset_from_index']:episode['dataset_to_index']]
        assert episode['episode_index'] == number
        assert len(own) == episode['length'] == annotation.end - annotation.start + 1
        assert episode['tasks'] == [annotation.sentence]
        for key, source in CAMERAS.items():
            place = {k: episode[f'videos/{key}/{k}'] for k in (
                'chunk_index', 'file_index', 'from_timestamp', 'to_timestamp')}
            path = info['video_path'].format(
                video_key=key, chunk_index=place['chunk_index'], file_index=place['file_index'])
            pictures, rate = decode(dataset / path)
            assert rate == 30
            assert place['to_timestamp'] - place['from_timestamp'] == pytest.approx(len(own) / 30)
            for k, row in enumerate(own):
                at = round((place['from_timestamp'] + row['timestamp']) * 30)
                expected = frame_values(annotation.start + k)[source]
                assert abs(pictures[at].astype(int) - expected).max() <= 3  # H.264
        for k, row in enumerate(own):
            frame = frame_values(annotation.start + k)
            assert names[row['task_index']] == annotation.sentence
            assert (row['episode_index'], row['frame_index']) == (number, k)
            assert row['timestamp'] == np.float32(k / 30)
            assert np.allclose(row['action'], frame['rel_actions'])
            assert np.allclose(row['observation.state'], frame['robot_obs'])
            assert np.allclose(row['observation.environment_state'], frame['scene_obs'])


def test_stats_are_those_of_all_frames(dataset):
    stats = load_json(dataset / 'meta/stats.json')
    rows = pq.read_table(dataset / 'data/chunk-000/file-000.parquet')
    actions = np.array(rows['action'].to_pylist())
    assert np.allclose(stats['action']['mean'], actions.mean(0))
    assert np.allclose(stats['action']['std'], actions.std(0), atol=1e-6)
    assert np.allclose(stats['action']['min'], actions.min(0))
    assert stats['action']['count'] == [55]
    assert np.shape(stats['observation.images.gripper']['mean']) == (3, 1, 1)
    assert 0 <= stats['observation.images.static']['max'][0][0][0] <= 1
    episodes = pq.read_table(dataset / 'meta/episodes/chunk-000/file-000.parquet').to_pylist()
    assert episodes[2]['stats/action/count'] == [15]
    assert np.shape(episodes[0]['stats/observation.images.static/std']) == (3, 1, 1)


def test_merged_statistics_equal_those_of_the_whole():
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(n, 3)) for n in (1, 7, 30)]
    whole, joined = FeatureStats.of(np.concatenate(parts)), merged([*map(FeatureStats.of, parts)])
    for name in ('low', 'high', 'mean', 'std'):
        assert np.allclose(getattr(whole, name), getattr(joined, name)), name
    assert joined.count == 38


def test_a_full_video_file_is_followed_by_another(tmp_path):
    files = VideoFiles(tmp_path, 'camera', 30, limit_mb=0)
    images = [np.zeros((16, 16, 3), np.uint8)] * 3
    files.check((16, 16, 3), 'a')
    files.add(images)
    files.close()  # flushed: its size is known
    place = files.add(images)
    files.close()
    assert place == {'chunk_index': 0, 'file_index': 1, 'from_timestamp': 0,
                     'to_timestamp': pytest.approx(0.1)}
    for number in range(2):
        assert len(decode(tmp_path / f'videos/camera/chunk-000/file-{number:03d}.mp4')[0]) == 3


def test_what_does_not_fit_is_refused(split, tmp_path):
    demonstrations = open_demonstrations(split)
    damaged = split / 'episode_0000125.npz'
    damaged.write_bytes(b'')
    with LeRobotWriter(tmp_path / 'a') as writer:
        writer.add(demonstrations[0])
        with pytest.raises(FrameError, match=r'episode_0000125\.npz'):
            writer.add(demonstrations[1])
        writer.add(demonstrations[2])
    assert load_json(tmp_path / 'a/meta/info.json')['total_frames'] == 35
    with pytest.raises(DatasetError, match='not empty'):
        LeRobotWriter(tmp_path / 'a')
    files = VideoFiles(tmp_path, 'camera', 30, 1)
    with pytest.raises(DatasetError, match=r'camera: images of 15 x 16 pixels.*even'):
        files.check((16, 15, 3), 'x')
    files.check((16, 16, 3), 'x')
    with pytest.raises(DatasetError, match='one size'):
        files.check((18, 16, 3), 'y')
    with pytest.raises(DatasetError, match='no demonstration'), LeRobotWriter(tmp_path / 'b'):
        pass
