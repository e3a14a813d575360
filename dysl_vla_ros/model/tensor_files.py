# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files of named tensors, read one tensor at a time and without running pickled code.

Says which keys do not fit what is expected; what the keys mean is decided elsewhere.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
import pickle
from typing import Any

from safetensors import SafetensorError, safe_open
import torch

from dysl_vla_ros.errors import CheckpointError

FLOATS = (torch.float32, torch.bfloat16, torch.float16)
_SAFETENSORS = {'F32': torch.float32, 'BF16': torch.bfloat16, 'F16': torch.float16,
                'F64': torch.float64, 'I64': torch.int64, 'I32': torch.int32, 'I16': torch.int16,
                'I8': torch.int8, 'U8': torch.uint8, 'BOOL': torch.bool}
_STATE_DICTS = ('model_state_dict', 'state_dict')


@dataclass(frozen=True)
class Entry:
    """Shape and dtype of a stored tensor; dtype is a name where torch has none for it."""

    shape: torch.Size
    dtype: torch.dtype | str


@dataclass(frozen=True)
class Origin:
    """Where one of our tensors comes from.

    Attributes:
        keys: Stored tensors, concatenated along the first axis.
        alias: Another name of a single stored tensor, which must hold the same values.
    """

    keys: tuple[str, ...]
    alias: str | None = None


class TensorFile:
    """A file of named tensors; ``read`` loads one."""

    def __init__(self, path: Path, entries: Mapping[str, Entry]) -> None:
        """Wrap what was found."""
        self.path = path
        self.entries = dict(entries)

    def opened(self) -> AbstractContextManager[Callable[[str], torch.Tensor]]:
        """Give a function that returns a stored tensor, mapped from the file, while open."""
        raise NotImplementedError

    def read(self, origin: Origin, device: torch.device | str = 'cpu',
             dtype: torch.dtype | None = None, copy: bool = True) -> torch.Tensor:
        """The tensor of an origin, moved and cast straight from the mapped file.

        Args:
            origin: Its keys.
            device, dtype: Target; dtype None keeps the stored one.
            copy: Whether the result must not share memory with the file.

        Raises:
            CheckpointError: If a value is not finite or an alias differs; names the key.
        """
        with self.opened() as get:
            parts = [get(key) for key in origin.keys]
            for key, part in zip(origin.keys, parts, strict=True):
                if not is_finite(part):
                    raise CheckpointError(f'{self.path}: {key}: not finite (NaN or infinite '
                                          'values)')
            if origin.alias is not None and not torch.equal(parts[0], get(origin.alias)):
                raise CheckpointError(f'{self.path}: {origin.keys[0]} differs from its alias '
                                      f'{origin.alias}')
            if len(parts) > 1:
                result = torch.cat(parts).to(device=device, dtype=dtype)
            else:
                result = parts[0].to(device=device, dtype=dtype, copy=copy)
        if dtype == torch.float16 and not is_finite(result):
            raise CheckpointError(f'{self.path}: {origin.keys[0]}: values beyond the range of '
                                  'float16; use bfloat16 or float32')
        return result


class SafetensorsFile(TensorFile):
    """A safetensors file."""

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            CheckpointError: If the file is missing, truncated or not safetensors.
        """
        if not path.is_file():
            raise CheckpointError(f'{path}: no such file')
        try:
            with safe_open(path, 'pt') as file:
                entries = {}
                for key in file.keys():  # noqa: SIM118, it is no mapping
                    part = file.get_slice(key)
                    name = part.get_dtype()
                    entries[key] = Entry(torch.Size(part.get_shape()),
                                         _SAFETENSORS.get(name, name))
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f'{path}: cannot be read (truncated?): {error}') from error
        super().__init__(path, entries)

    @contextmanager
    def opened(self) -> Iterator[Callable[[str], torch.Tensor]]:
        """Map the file anew each time, so that pages already read are given back."""
        with safe_open(self.path, 'pt') as file:
            yield file.get_tensor


class TorchFile(TensorFile):
    """A ``.pth`` file: a bare state dict, or a container that holds one; ``module.`` is removed.

    Attributes:
        extras: What the container holds beside the state dict.
    """

    def __init__(self, path: Path) -> None:
        """Map the file into memory.

        Raises:
            CheckpointError: If the file is missing, unreadable, holds anything but plain data and
                tensors, or has no state dict.
        """
        if not path.is_file():
            raise CheckpointError(f'{path}: no such file')
        try:
            content = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
        except (RuntimeError, ValueError, OSError, EOFError, KeyError, AttributeError, TypeError,
                IndexError, AssertionError, pickle.UnpicklingError) as error:
            # Damaged pickles fail in many ways.
            raise CheckpointError(f'{path}: not a weights-only torch file: {error}') from error
        self.extras: dict[str, Any] = {}
        name = next((n for n in _STATE_DICTS if isinstance(content, Mapping) and n in content),
                    None)
        if name is not None:
            self.extras = {str(k): v for k, v in content.items() if k != name}
            content = content[name]
        if not isinstance(content, Mapping) or not content:
            raise CheckpointError(f'{path}: expected a state dict or a container with '
                                  f'"{_STATE_DICTS[0]}", got '
                                  f'{"an empty" if content == {} else "a"} '
                                  f'{type(content).__name__}')
        strange = [f'{k} ({type(v).__name__})' for k, v in content.items()
                   if not isinstance(k, str) or not isinstance(v, torch.Tensor)]
        if strange:
            raise CheckpointError(f'{path}: expected only tensors in the state dict, got '
                                  + ', '.join(strange[:20]))
        prefixed = sum(k.startswith('module.') for k in content)
        if prefixed not in (0, len(content)):
            few = [k for k in content if k.startswith('module.') == (prefixed * 2 < len(content))]
            raise CheckpointError(f'{path}: {prefixed} of {len(content)} keys carry the prefix '
                                  f'"module."; expected all or none; see {", ".join(few[:5])}')
        self._tensors = {k.removeprefix('module.'): v for k, v in content.items()}
        super().__init__(path, {k: Entry(v.shape, v.dtype) for k, v in self._tensors.items()})

    @contextmanager
    def opened(self) -> Iterator[Callable[[str], torch.Tensor]]:
        """Views of the mapped file."""
        yield self._tensors.__getitem__


def open_tensors(path: Path) -> TensorFile:
    """Open by suffix: ``.safetensors``, else a torch file."""
    return SafetensorsFile(path) if path.suffix == '.safetensors' else TorchFile(path)


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether every value is finite, without a temporary of the tensor's size."""
    if tensor.numel() == 0:
        return True
    low, high = tensor.aminmax()
    return bool(low.isfinite() and high.isfinite())


def check_keys(file: TensorFile, origins: Mapping[str, Origin], shapes: Mapping[str, torch.Size],
               ignored: Collection[str] = (), is_uniform: bool = True) -> None:
    """Compare a file with what is expected.

    Args:
        file: What is there.
        origins: Where each of our tensors comes from.
        shapes: Shape of each of our tensors.
        ignored: Keys that may be there and are not used.
        is_uniform: Whether every tensor must have the same dtype.

    Raises:
        CheckpointError: Listing every missing, unexpected and mis-shaped key and wrong dtype.
    """
    expected: dict[str, torch.Size] = {}
    for name, origin in origins.items():
        shape = shapes[name]
        part = torch.Size((shape[0] // len(origin.keys), *shape[1:])) if shape else shape
        expected |= dict.fromkeys(origin.keys, part)
        if origin.alias is not None:
            expected[origin.alias] = shape
    found = {k: e for k, e in file.entries.items() if k not in ignored}
    common = sorted(found.keys() & expected.keys())
    problems = [f'missing {k} {tuple(expected[k])}' for k in sorted(expected.keys() - found.keys())]
    problems += [f'unexpected {k} {tuple(found[k].shape)}'
                 for k in sorted(found.keys() - expected.keys())]
    problems += [f'{k}: expected {tuple(expected[k])}, got {tuple(found[k].shape)}'
                 for k in common if found[k].shape != expected[k]]
    usual = Counter(found[k].dtype for k in common).most_common(1)
    for k in common:
        dtype = found[k].dtype
        if dtype not in FLOATS:
            problems.append(f'{k}: dtype {dtype}, expected float32, bfloat16 or float16')
        elif is_uniform and dtype != usual[0][0]:
            problems.append(f'{k}: dtype {dtype}, but most tensors have {usual[0][0]}')
    if problems:
        raise CheckpointError(f'{file.path}: {len(problems)} key(s) do not fit: '
                              + '; '.join(problems))
