# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A dataset file is a pickle from the internet: reading one must never run what it says."""

import collections
import contextlib
import io
import os
from pathlib import Path
import pickle
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest

from dysl_vla_ros.datasets.restricted_pickle import load_object_array
from dysl_vla_ros.errors import DatasetError

_HEADER = {'descr': '|O', 'fortran_order': False, 'shape': ()}


def file_bytes(payload, shape=(), version=(1, 0)):
    """A .npy file of objects with the given pickle."""
    stream = io.BytesIO()
    write = np.lib.format.write_array_header_1_0 if version == (1, 0) \
        else np.lib.format.write_array_header_2_0
    write(stream, {**_HEADER, 'shape': shape})
    return stream.getvalue() + payload


def boxed(content):
    array = np.empty((), dtype=object)
    array[()] = content
    return array


def load(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'x.npy'
        path.write_bytes(data)
        return load_object_array(path)


def as_numpy_1(payload):
    """The same pickle as numpy 1 wrote it; text opcodes only (protocols 2 and 3)."""
    return payload.replace(b'cnumpy._core.multiarray\n', b'cnumpy.core.multiarray\n')


def equal(a, b):
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and all(
            equal(x, y) for x, y in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True))
    if isinstance(a, dict):
        return type(b) is dict and list(a) == list(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and (a == b or a != a)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() \
    | st.integers(-2**31, 2**31 - 1).map(np.int64) | st.floats(width=32).map(np.float32)
arrays = hnp.arrays(
    st.sampled_from(['<f4', '>f8', '<i8', '|u1', '|b1', '<U5', '|S3', '<c16', '<f2']),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
values = st.recursive(
    scalars | arrays,
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner)
    | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4), max_leaves=12)


@settings(deadline=None, max_examples=80)
@given(values, st.integers(2, 4), st.sampled_from([(1, 0), (2, 0)]), st.booleans())
def test_plain_data_come_back_as_numpy_itself_reads_them(content, protocol, version, is_old):
    payload = pickle.dumps(boxed(content), protocol=protocol)
    old = as_numpy_1(payload) if is_old and protocol < 4 else payload
    if b'_codecs' in payload:  # protocol 2 has no bytes: they are a call of that module
        with pytest.raises(DatasetError, match=r'_codecs\.encode'):
            load(file_bytes(old, version=version))
    else:
        result = load(file_bytes(old, version=version))
        assert equal(result.item(), pickle.loads(payload).item())


@settings(deadline=None, max_examples=50)
@given(hnp.arrays(object, hnp.array_shapes(max_dims=2, max_side=3),
                  elements=st.text() | st.integers()), st.booleans())
def test_arrays_of_objects_keep_shape_and_order(array, is_fortran):
    array = np.asfortranarray(array) if is_fortran else array
    payload = pickle.dumps(array, protocol=4)
    result = load(file_bytes(payload, shape=array.shape))
    assert result.dtype == object
    assert np.array_equal(result, array)


def test_numpys_own_files_are_read(tmp_path):
    content = {'language': {'ann': ['a', 'b'], 'emb': np.ones((2, 1, 384), np.float32)},
               'info': {'indx': [(np.int64(3), np.int64(9)), (10, 20)]}}
    np.save(tmp_path / 'a.npy', content, allow_pickle=True)
    assert equal(load_object_array(tmp_path / 'a.npy').item(), content)


class Call:
    """Pickles as a call of ``function``."""

    def __init__(self, function, *arguments):
        self.what = function, arguments

    def __reduce__(self):
        return self.what


@pytest.mark.parametrize(('content', 'name'), [
    (Call(os.system, 'touch {}'), 'posix.system'),
    (Call(eval, 'open({!r}, "w")'), 'builtins.eval'),
    (Call(os.open, '{}', os.O_CREAT), 'posix.open'),
    (collections.OrderedDict(a=1), 'collections.OrderedDict'),
    (Path('x'), 'pathlib'),
    (np.datetime64('2020-01-01'), 'dtype'),
    (np.zeros(2, dtype=[('a', 'i4')]), 'dtype'),
    (np.random.default_rng(0), 'numpy.random'),
    (np.zeros, 'numpy'),
])
@pytest.mark.parametrize('protocol', [3, 4])
def test_a_foreign_class_is_named_and_nothing_is_executed(tmp_path, content, name, protocol):
    canary = tmp_path / 'canary'
    if isinstance(content, Call):
        function, arguments = content.what
        content = Call(function, *(a.format(str(canary)) if isinstance(a, str) else a
                                   for a in arguments))
    path = tmp_path / 'evil.npy'
    path.write_bytes(file_bytes(pickle.dumps(boxed({'language': content}), protocol=protocol)))
    with pytest.raises(DatasetError, match=name) as caught:
        load_object_array(path)
    assert str(path) in str(caught.value)
    assert not canary.exists()
    if isinstance(content, Call):
        np.load(path, allow_pickle=True)  # the same file does harm where pickles are trusted
        assert canary.exists()


_DTYPE = b'cnumpy\ndtype\n(X\x02\x00\x00\x00O8I00\nI01\ntR'
_EMPTY = b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR'


@pytest.mark.parametrize('payload', [
    b'cnumpy\nndarray\n((I1\ntX\x02\x00\x00\x00O8C\x08AAAAAAAAtR.',  # pointers from bytes
    _EMPTY + b'(I1\n(I1\nt' + _DTYPE + b'I00\nC\x08AAAAAAAAtb.',
    b'cnumpy\ndtype\n(X\x02\x00\x00\x00O8I00\nI01\ntR'
    b'(I3\nX\x01\x00\x00\x00|NNNI-1\nI-1\nI0\ntb.',  # a bare dtype is no data
    b'cnumpy.core.multiarray\nscalar\n(' + _DTYPE + b'C\x08AAAAAAAAtR.',
    b'cnumpy.core.multiarray\nscalar\n(N}tb.',  # a state for the constructor itself
    b'(lp0\n0g0\ng0\na.',  # a list that contains itself
    b'Pposix.system\n.',
    b']' * 100_000 + b'.',
    b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntC\x01btR.',
    _EMPTY + b'.',
    _EMPTY + b'(I1\n(I1000000000000\nt' + _DTYPE + b'I00\n(ltb.',
])
def test_tricks_with_the_allowed_names_are_refused(payload):
    with pytest.raises(DatasetError):
        load(file_bytes(payload))


def test_shared_parts_do_not_grow():
    level = ['x']
    for _ in range(60):  # 2**60 leaves if every mention were converted anew
        level = [level, level]
    result = load(file_bytes(pickle.dumps(boxed(level), protocol=4))).item()
    assert result[0] is result[1]


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_bytes_are_a_dataset_error_or_other_plain_data(data):
    content = {'language': {'ann': ['open it'], 'emb': np.zeros((1, 1, 3), np.float32)},
               'info': {'indx': [(1, 2)]}}
    good = file_bytes(pickle.dumps(boxed(content), protocol=data.draw(st.integers(2, 4))))
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[:data.draw(st.integers(0, len(good)))]
    with contextlib.suppress(DatasetError):  # and nothing else
        load(bytes(damaged))


@pytest.mark.parametrize('data', [
    b'', b'PK\x03\x04', pickle.dumps(1), file_bytes(pickle.dumps({})),
    file_bytes(pickle.dumps(np.empty(3, object)), shape=(4,))])
def test_other_files_are_refused(data):
    with pytest.raises(DatasetError, match=r'x\.npy: not a readable'):
        load(data)


def test_a_numeric_array_and_a_missing_file_are_refused(tmp_path):
    np.save(tmp_path / 'a.npy', np.zeros(3))
    with pytest.raises(DatasetError, match='float64, expected pickled objects'):
        load_object_array(tmp_path / 'a.npy')
    with pytest.raises(DatasetError, match=r'b\.npy: no such file'):
        load_object_array(tmp_path / 'b.npy')
