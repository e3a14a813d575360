# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Strict loading of frozen dataclasses from mappings and YAML files.

Unknown keys, wrong types and missing values are errors that name the file, the key, the
value and the nearest valid key. Nested dataclasses, tuples, enums of literals and optional
values are supported; nothing else is, on purpose.
"""

import dataclasses
import difflib
from pathlib import Path
import types
import typing
from typing import Any, TypeVar

import yaml

from dysl_vla_ros.errors import ConfigError

T = TypeVar('T')


def load_yaml(cls: type[T], path: str | Path) -> T:
    """Read a YAML file into the frozen dataclass ``cls``.

    Raises:
        ConfigError: If the file is missing, is not YAML, or does not fit the dataclass.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f'{path}: no such configuration file')
    try:
        data = yaml.safe_load(path.read_text(encoding='utf-8'))
    except yaml.YAMLError as error:
        raise ConfigError(f'{path}: not valid YAML: {error}') from error
    return from_mapping(cls, data if data is not None else {}, source=str(path))


def from_mapping(cls: type[T], data: Any, source: str = 'configuration', key: str = '') -> T:
    """Build the dataclass ``cls`` from a mapping, strictly.

    Args:
        cls: A dataclass type.
        data: Mapping with the field names of ``cls``; fields with defaults may be left out.
        source: Name of the file or object the data came from, for messages.
        key: Dotted path of ``data`` inside the source, for messages.

    Raises:
        ConfigError: On an unknown key, a missing value or a value of the wrong type.
    """
    where = f'{source}: {key}' if key else source
    if not isinstance(data, dict):
        raise ConfigError(f'{where}: expected a mapping for {cls.__name__}, '
                          f'got {type(data).__name__}')
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for name in data:
        if name not in fields:
            near = difflib.get_close_matches(str(name), fields, n=1)
            hint = f'; did you mean {near[0]!r}?' if near else f'; valid keys: {sorted(fields)}'
            raise ConfigError(f'{where}: unknown key {name!r}{hint}')
    hints = typing.get_type_hints(cls)
    values = {}
    for name, field in fields.items():
        if name in data:
            dotted = f'{key}.{name}' if key else name
            values[name] = _convert(hints[name], data[name], source, dotted)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f'{where}: missing value for {name!r}')
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:
        raise ConfigError(f'{where}: {error}') from error


def to_mapping(config: Any) -> dict[str, Any]:
    """Return the dataclass as plain JSON/YAML-ready types (tuples become lists)."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, (tuple, list)):
            return [plain(v) for v in value]
        return value

    return plain(dataclasses.asdict(config))


def _convert(hint: Any, value: Any, source: str, key: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
        if value is None and type(None) in options:
            return None
        concrete = [o for o in options if o is not type(None)]
        for option in concrete[:-1]:
            try:
                return _convert(option, value, source, key)
            except ConfigError:
                continue
        return _convert(concrete[-1], value, source, key)
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise ConfigError(f'{source}: {key}: got {value!r}, expected one of '
                              f'{list(typing.get_args(hint))}')
        return value
    if origin is tuple:
        args = typing.get_args(hint)
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f'{source}: {key}: expected a list, got {value!r}')
        if len(args) == 2 and args[1] is Ellipsis:
            args = (args[0],) * len(value)
        if len(args) != len(value):
            raise ConfigError(f'{source}: {key}: expected {len(args)} values, got {len(value)}')
        return tuple(_convert(a, v, source, f'{key}[{i}]')
                     for i, (a, v) in enumerate(zip(args, value, strict=True)))
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f'{source}: {key}: expected a mapping, got {value!r}')
        key_hint, value_hint = typing.get_args(hint)
        return {_convert(key_hint, k, source, key): _convert(value_hint, v, source, f'{key}.{k}')
                for k, v in value.items()}
    if dataclasses.is_dataclass(hint):
        if isinstance(value, hint):  # type: ignore[arg-type]
            return value
        return from_mapping(hint, value, source, key)  # type: ignore[arg-type]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Any:
        return value
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f'{source}: {key}: expected {hint.__name__}, got {value!r}')
    return value
