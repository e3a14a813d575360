# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A split in CALVIN's layout: what was written is read, what is wrong is named."""

from fakes.calvin_split import ANNOTATIONS, SPANS, frame_values, write_split
import numpy as np
import pytest
import yaml

from dysl_vla_ros.datasets.calvin import CalvinSplit, is_calvin_folder
from dysl_vla_ros.datasets.restricted_pickle import load_object_array
from dysl_vla_ros.errors import DatasetError


def test_a_written_split_reads_back(split):
    data = CalvinSplit(split)
    assert np.array_equal(data.spans, SPANS)
    assert data.lengths.tolist() == [40, 15]
    assert tuple(data.annotations) == ANNOTATIONS
    assert data.scenes == {'calvin_scene_D': (100, 214)}
    assert np.allclose(data.statistics.act_min_bound, 100)
    frame = data.frame(123)
    assert all(np.array_equal(frame[k], v) for k, v in frame_values(123).items())
    assert data.verify() == []
    assert CalvinSplit(split.parent).folder == split
    assert is_calvin_folder(split.parent)
    assert is_calvin_folder(split)


def test_the_language_file_has_the_published_structure(split):
    """Read the way upstream loaders do."""
    content = np.load(split / 'lang_annotations/auto_lang_ann.npy', allow_pickle=True).item()
    assert set(content) == {'language', 'info'}
    assert content['language']['ann'] == [a.sentence for a in ANNOTATIONS]
    assert content['language']['task'] == [a.task for a in ANNOTATIONS]
    assert content['language']['emb'].shape == (3, 1, 384)
    assert content['info'] == {'indx': [(a.start, a.end) for a in ANNOTATIONS], 'episodes': []}
    embeddings = np.load(split / 'lang_annotations/embeddings.npy', allow_pickle=True).item()
    assert embeddings['open_drawer']['ann'] == ['open it']
    assert embeddings['open_drawer']['emb'].shape == (1, 1, 384)
    assert np.load(split / 'scene_info.npy', allow_pickle=True).item() == {
        'calvin_scene_D': [100, 214]}


def test_statistics_have_calvins_entries_and_foreign_targets_are_not_imported(split):
    path = split / 'statistics.yaml'
    content = yaml.safe_load(path.read_text())
    assert content['robot_obs'][0]['_target_'].endswith('NormalizeVector')
    content['robot_obs'].insert(0, {'_target_': 'os.abort'})
    content['scene_obs'][0]['_target_'] = 'no.such.module'
    path.write_text(yaml.safe_dump(content))
    assert CalvinSplit(split).statistics.mean['scene_obs'].shape == (24,)
    content['scene_obs'][0]['std'] = [1.0] * 23
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(DatasetError, match=r'statistics\.yaml: scene_obs\.std: expected 24'):
        _ = CalvinSplit(split).statistics


def test_every_damaged_frame_is_reported_by_its_file(split):
    truncated, missing, empty = (split / f'episode_{n:07d}.npz' for n in (101, 130, 214))
    truncated.write_bytes(truncated.read_bytes()[:-40])
    missing.unlink()
    empty.write_bytes(b'')
    seen = []
    problems = CalvinSplit(split).verify(report=lambda *counts: seen.append(counts))
    assert [p.path for p in problems] == [truncated, missing, empty]
    assert 'truncated or damaged' in str(problems[0])
    assert 'no such' in str(problems[1])
    assert seen[-1] == (55, 55)


def _save(path, content):
    array = np.empty((), dtype=object)
    array[()] = content
    np.save(path, array, allow_pickle=True)


@pytest.mark.parametrize(('content', 'problem'), [
    ([1], 'expected one mapping'),
    ({'language': {'ann': [], 'task': []}}, "no key 'info'"),
    ({'language': {'ann': ['a'], 'task': ['b', 'c']}, 'info': {'indx': [(1, 2)]}}, 'do not fit'),
    ({'language': {'ann': ['a'], 'task': ['b']}, 'info': {'indx': [(1.5, 2)]}}, '1.5 is no frame'),
    ({'language': {'ann': ['a'], 'task': ['b']}, 'info': {'indx': [(1, 2, 3)]}}, 'do not fit'),
    ({'language': {'ann': ['a'], 'task': ['b']}, 'info': {'indx': [(9, 2)]}},
     'annotation 0: frames 9 to 2'),
])
def test_a_malformed_language_file_is_named(split, content, problem):
    path = split / 'lang_annotations/auto_lang_ann.npy'
    _save(path, content)
    with pytest.raises(DatasetError, match=problem) as caught:
        _ = CalvinSplit(split).annotations
    assert str(path) in str(caught.value)


def test_numpy_integers_in_the_language_file_are_read(split):
    path = split / 'lang_annotations/auto_lang_ann.npy'
    content = load_object_array(path).item()
    content['info']['indx'] = np.array(content['info']['indx'])
    content['language']['ann'] = np.array(content['language']['ann'])
    _save(path, content)
    assert tuple(CalvinSplit(split).annotations) == ANNOTATIONS


@pytest.mark.parametrize(('spans', 'problem'), [
    (np.zeros((2, 3), int), r'shape \(n, 2\)'), (np.zeros((0, 2), int), r'shape \(n, 2\)'),
    (np.zeros((2, 2)), 'float64'), (np.array([[0, 3], [9, 4]]), r'row 1: \[9, 4\]'),
    (np.array([[-1, 3]]), r'row 0: \[-1, 3\]'),
])
def test_a_malformed_index_of_episodes_is_named(split, spans, problem):
    np.save(split / 'ep_start_end_ids.npy', spans)
    with pytest.raises(DatasetError, match=problem) as caught:
        CalvinSplit(split)
    assert 'ep_start_end_ids.npy' in str(caught.value)


def test_missing_and_pickled_index_files_are_refused(split, tmp_path):
    with pytest.raises(DatasetError, match=r'ep_start_end_ids\.npy: no such file'):
        CalvinSplit(tmp_path / 'nowhere')
    _save(split / 'ep_start_end_ids.npy', [[1, 2]])
    with pytest.raises(DatasetError, match='not a readable array'):
        CalvinSplit(split)
    (split / 'lang_annotations/auto_lang_ann.npy').unlink()


def test_equal_splits_are_equal_files(tmp_path):
    folders = [write_split(tmp_path / name) for name in 'ab']
    names = sorted(p.relative_to(folders[0]) for p in folders[0].rglob('*') if p.is_file())
    assert len(names) == 55 + 7
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name
