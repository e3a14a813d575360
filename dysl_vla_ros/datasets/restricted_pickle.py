# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Read CALVIN's pickled ``.npy`` files without trusting them.

``auto_lang_ann.npy`` and ``scene_info.npy`` are pickles, and a pickle may call anything. Here
nothing of the file is called: the four names a numpy pickle needs are stood in for by recorders
of our own, and the arrays are built from what they recorded. Both spellings of numpy's module
are known, since the published files were written by numpy 1.

Source: design/calvin.md section 6.3.
"""

import math
from pathlib import Path
import pickle
import re
from typing import Any, BinaryIO

import numpy as np

from dysl_vla_ros.errors import DatasetError

_ALLOWED = {
    ('numpy', 'ndarray'), ('numpy', 'dtype'),
    *((module, name) for module in ('numpy.core.multiarray', 'numpy._core.multiarray')
      for name in ('_reconstruct', 'scalar')),
}
# Booleans, integers, floats, complex numbers, objects, bytes and text; no records, no dates.
_DTYPE = re.compile(r'b1|[iu][1248]|f[248]|c(8|16)|O8?|[SU]\d{1,6}')
_HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0,
                   (2, 0): np.lib.format.read_array_header_2_0}
_PLAIN = (str, bytes, bool, int, float, complex, type(None))


class _Refused(Exception):
    """What the file asked for and does not get."""


class _Dtype:
    """A recorded ``numpy.dtype``."""

    __slots__ = ('order', 'text')

    def __init__(self, text: Any) -> None:
        if not isinstance(text, str) or not _DTYPE.fullmatch(text):
            raise _Refused(f'dtype {text!r}')
        self.text, self.order = text, '='

    def __setstate__(self, state: Any) -> None:
        # (version, byte order, subarray, names, fields, item size, alignment, flags, ...)
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ('<', '>', '|', '=') \
                or any(part is not None for part in state[2:5]):
            raise _Refused(f'dtype {self.text} with state {state!r}')
        self.order = state[1]

    def build(self) -> np.dtype:
        return np.dtype(self.text).newbyteorder(self.order)  # type: ignore[arg-type]


class _Array:
    """A recorded ``numpy.ndarray``."""

    __slots__ = ('content', 'dtype', 'is_fortran', 'shape')

    def __init__(self) -> None:
        self.dtype: np.dtype | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, content = state
        if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple) \
                or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise _Refused(f'an array of shape {shape!r}')
        built = dtype.build()
        count, expected = math.prod(shape), list if built.kind == 'O' else bytes
        size = count if expected is list else count * built.itemsize
        if not isinstance(content, expected) or len(content) != size:
            raise _Refused(f'an array of shape {shape} and dtype {built} with '
                           f'{len(content)} instead of {size} values or bytes')
        self.dtype, self.shape = built, shape
        self.is_fortran, self.content = bool(is_fortran), content


class _Scalar:
    """A recorded numpy scalar."""

    __slots__ = ('value',)

    def __init__(self, dtype: Any, content: Any) -> None:
        if not isinstance(dtype, _Dtype) or not isinstance(content, bytes):
            raise _Refused('a scalar without dtype or bytes')
        built = dtype.build()
        if built.kind == 'O' or len(content) != built.itemsize:
            raise _Refused(f'a scalar of dtype {built} with {len(content)} bytes')
        self.value = np.frombuffer(content, built)[0]

    def __setstate__(self, state: Any) -> None:
        raise _Refused('a scalar with a state')


class _Recorder:
    """Stands for one of the allowed names; an instance, so that a pickle cannot change it."""

    __slots__ = ('name',)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *arguments: Any) -> Any:
        if self.name == 'dtype' and 1 <= len(arguments) <= 3:
            return _Dtype(arguments[0])
        if self.name == 'scalar' and len(arguments) == 2:
            return _Scalar(*arguments)
        if self.name == '_reconstruct' and len(arguments) == 3 \
                and isinstance(arguments[0], _Recorder) and arguments[0].name == 'ndarray':
            return _Array()
        raise _Refused(f'a call of {self.name} with {len(arguments)} arguments')

    def __setstate__(self, state: Any) -> None:
        raise _Refused(f'a state for {self.name}')


class _Unpickler(pickle.Unpickler):
    """Finds nothing but the recorders."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise _Refused(f'the class {module}.{name}')
        return _Recorder(name)

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused(f'the external object {pid!r}')


class _Builder:
    """Replaces what was recorded by plain objects; shared parts stay shared."""

    def __init__(self) -> None:
        self._done: dict[int, Any] = {}
        self._kept: list[Any] = []  # so that no id is used twice
        self._open: set[int] = set()

    def build(self, value: Any) -> Any:
        if isinstance(value, _PLAIN):
            return value
        key = id(value)
        if key in self._done:
            return self._done[key]
        if key in self._open:
            raise _Refused('an object that contains itself')
        self._open.add(key)
        result = self._convert(value)
        self._open.discard(key)
        self._kept.append(value)
        self._done[key] = result
        return result

    def _convert(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._key(k): self.build(v) for k, v in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return type(value)(self.build(v) for v in value)
        if isinstance(value, _Scalar):
            return value.value
        if isinstance(value, _Array) and value.dtype is not None:
            return self._array(value)
        raise _Refused(f'an object of type {type(value).__name__.strip("_")} as data')

    def _key(self, key: Any) -> Any:
        built = self.build(key)
        hash(built)
        return built

    def _array(self, value: _Array) -> np.ndarray:
        assert value.dtype is not None
        # Objects are listed in C order whatever the array's own order is.
        order = 'F' if value.is_fortran and value.dtype.kind != 'O' else 'C'
        if value.dtype.kind != 'O':
            assert isinstance(value.content, bytes)
            flat = np.frombuffer(value.content, value.dtype) if value.content \
                else np.empty(0, value.dtype)
        else:
            flat = np.empty(len(value.content), dtype=object)
            for i, item in enumerate(value.content):
                flat[i] = self.build(item)
        native = flat.astype(flat.dtype.newbyteorder('='))  # as numpy's own reader does
        return native.reshape(value.shape, order=order)  # type: ignore[call-overload]


def load_object_array(path: str | Path) -> np.ndarray:
    """Read a ``.npy`` file of dtype object that holds plain data only.

    Args:
        path: The file. Allowed inside are None, booleans, numbers, text, bytes, lists, tuples,
            dicts, sets and numpy arrays and scalars of these.

    Returns:
        The array as stored; CALVIN's files hold a 0-d array with one dict (``.item()``).

    Raises:
        DatasetError: If the file is missing, is not such a file, is damaged, or asks for any
            other class; names the file and the class. Nothing is executed.
    """
    path = Path(path)
    try:
        with path.open('rb') as stream:
            return _read(stream)
    except FileNotFoundError as error:
        raise DatasetError(f'{path}: no such file') from error
    except _Refused as error:
        raise DatasetError(f'{path}: refused {error}: only numpy arrays of plain data are read '
                           'from a pickle, nothing in it is executed') from error
    except Exception as error:  # a damaged pickle can make the unpickler raise anything
        raise DatasetError(f'{path}: not a readable .npy file of objects: '
                           f'{type(error).__name__}: {error}') from error


def _read(stream: BinaryIO) -> np.ndarray:
    version = np.lib.format.read_magic(stream)
    if version not in _HEADER_READERS:
        raise ValueError(f'.npy format version {version}, expected 1.0 or 2.0')
    shape, _, dtype = _HEADER_READERS[version](stream)
    if dtype != np.dtype(object):
        raise ValueError(f'holds {dtype}, expected pickled objects')
    result = _Builder().build(_Unpickler(stream).load())
    if not isinstance(result, np.ndarray) or result.shape != shape:
        raise ValueError(f'expected an array of shape {shape}, got '
                         f'{getattr(result, "shape", type(result).__name__)}')
    return result
