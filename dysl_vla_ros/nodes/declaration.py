# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a frozen dataclass to declared ROS parameters: one source for name, type, range and text.

A field made by ``field`` becomes a parameter; a nested dataclass a group with a dotted prefix. No
parameter may be changed at run time: all are declared read-only.
"""

import dataclasses
import difflib
import math
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from dysl_vla_ros.errors import ConfigError

T = TypeVar('T')
_FOREIGN = ('use_sim_time', 'start_type_description_service', 'qos_overrides.',
            'diagnostic_updater.')


def field(default: Any, description: str, low: float | None = None, high: float | None = None,
          choices: tuple[str, ...] = ()) -> Any:
    """Define one parameter: default value, what it is for, and what it may be."""
    return dataclasses.field(default=default, metadata={
        'description': description, 'low': low, 'high': high, 'choices': choices})


def flatten(cls: type, prefix: str = '') -> dict[str, dataclasses.Field]:
    """Every parameter of a (nested) dataclass by its dotted ROS name, in order."""
    fields: dict[str, dataclasses.Field] = {}
    for item in dataclasses.fields(cls):
        if dataclasses.is_dataclass(item.type):
            fields.update(flatten(item.type, f'{prefix}{item.name}.'))
        else:
            fields[prefix + item.name] = item
    return fields


def declare(node: Node, cls: type[T]) -> T:
    """Declare every field of ``cls`` on the node and return the resolved values.

    Raises:
        ConfigError: For an unknown parameter, a wrong type or a value out of range.
    """
    fields = flatten(cls)
    for name in getattr(node, '_parameter_overrides', {}):
        if name not in fields and not name.startswith(_FOREIGN):
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f'did you mean {near[0]!r}?' if near else f'valid names: {sorted(fields)}'
            raise ConfigError(f'{node.get_name()}: unknown parameter {name!r}; {hint}')
    values = {}
    for name, item in fields.items():
        try:
            value = node.declare_parameter(name, item.default, _descriptor(name, item)).value
        except Exception as error:
            raise ConfigError(f'{node.get_name()}: parameter {name!r}: {error}') from error
        values[name] = tuple(value) if isinstance(item.default, tuple) else value
    try:
        return _build(cls, values)
    except (ValueError, ConfigError) as error:
        raise ConfigError(f'{node.get_name()}: {error}') from error


def _build(cls: type[T], values: dict[str, Any], prefix: str = '') -> T:
    return cls(**{
        item.name: (_build(item.type, values, f'{prefix}{item.name}.')
                    if dataclasses.is_dataclass(item.type) else values[prefix + item.name])
        for item in dataclasses.fields(cls)})


def _descriptor(name: str, item: dataclasses.Field) -> ParameterDescriptor:
    data = item.metadata
    descriptor = ParameterDescriptor(
        name=name, description=data['description'], read_only=True,
        additional_constraints=f'one of {list(data["choices"])}' if data['choices'] else '')
    if data['low'] is not None and isinstance(item.default, float):
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=float(data['low']), to_value=float(data['high']))]
    elif data['low'] is not None:
        descriptor.integer_range = [
            IntegerRange(from_value=int(data['low']), to_value=int(data['high']), step=1)]
    return descriptor


def validate(parameters: Any) -> None:
    """Raise ValueError for a value outside its range or choices."""
    for item in dataclasses.fields(parameters):
        value, data = getattr(parameters, item.name), item.metadata
        if not data:  # a group, which has validated itself
            continue
        if data['choices'] and value not in data['choices']:
            raise ValueError(f'parameter {item.name!r}: got {value!r}, expected one of '
                             f'{list(data["choices"])}')
        if isinstance(value, tuple) and all(isinstance(v, float) for v in value) \
                and not all(math.isfinite(v) for v in value):
            raise ValueError(f'parameter {item.name!r}: not finite: {value}')
        if data['low'] is not None and not data['low'] <= value <= data['high']:
            raise ValueError(f'parameter {item.name!r}: got {value}, expected '
                             f'{data["low"]} to {data["high"]}')
