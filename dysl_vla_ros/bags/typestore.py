# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Message classes without ROS: the standard ones of Jazzy and ours, read from ``msg/*.msg``.

The definitions are the files that ROS' own generator reads, so both sides agree on every byte (a
test compares serialised messages of both).
"""

from collections.abc import Mapping
from functools import lru_cache
import struct
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.resources import PACKAGE, share_directory


@lru_cache(maxsize=1)
def own_definitions() -> dict[str, Any]:
    """Parsed definitions of our messages by type name.

    Raises:
        ConfigError: If the share folder has no ``msg/``.
    """
    folder = share_directory() / 'msg'
    files = sorted(folder.glob('*.msg'))
    if not files:
        raise ConfigError(f'{folder}: no message definitions; expected the *.msg files of '
                          f'{PACKAGE}; install the package again')
    definitions: dict[str, Any] = {}
    for path in files:
        definitions.update(get_types_from_msg(path.read_text(encoding='utf-8'),
                                              f'{PACKAGE}/msg/{path.stem}'))
    return definitions


@lru_cache(maxsize=1)
def typestore() -> Typestore:
    """Return the message classes that we write with; shared, do not register into it."""
    return store_with(own_definitions())


def store_with(definitions: Mapping[str, Any]) -> Typestore:
    """Return the standard messages of Jazzy and the given parsed definitions."""
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(dict(definitions))
    return store


def build(name: str, fields: Mapping[str, Any]) -> Any:
    """Make a message as rclpy would: fields that are not named are zero or empty.

    Args:
        name: Type, for example 'std_msgs/msg/String'.
        fields: Values by field; a nested message is a mapping or a message.

    Raises:
        KeyError: If a field does not exist.
    """
    store = typestore()
    known = {field: kind for field, kind in store.fielddefs[name][1]
             if field != 'structure_needs_at_least_one_member'}
    unknown = set(fields) - set(known)
    if unknown:
        raise KeyError(f'{name} has no field {sorted(unknown)}; it has {sorted(known)}')
    return store.types[name](**{field: _value(kind, fields.get(field))
                                for field, kind in known.items()})


def _value(kind: Any, given: Any) -> Any:
    node, detail = kind
    if node == Nodetype.NAME:
        return build(detail, given or {}) if given is None or isinstance(given, Mapping) else given
    if node == Nodetype.BASE:
        if given is not None:
            return given
        return {'string': '', 'bool': False}.get(detail[0], 0)
    (item_node, item), size = detail
    if item_node == Nodetype.NAME:
        return [build(item, value) if isinstance(value, Mapping) else value
                for value in (given if given is not None else ())]
    if item[0] == 'string':
        return list(given) if given is not None else [''] * size
    if given is None:
        given = np.zeros(size, dtype=item[0])
    return np.asarray(given, dtype=item[0])


def decode(store: Typestore, raw: bytes, name: str) -> Any:
    """Deserialise a CDR message.

    Not by ``Typestore.deserialize_cdr``: it refuses more than three bytes behind the message, and
    Fast CDR leaves eight behind a JointState without velocities and efforts.

    Raises:
        ValueError: If the bytes are not a message of this type.
    """
    if len(raw) < 4 or raw[:2] not in (b'\x00\x00', b'\x00\x01'):
        raise ValueError('not in CDR')
    definition = store.get_msgdef(name)
    function = definition.deserialize_cdr_le if raw[1] else definition.deserialize_cdr_be
    try:
        return function(raw[4:], 0, definition.cls, store)[0]
    except (struct.error, IndexError, AssertionError, SerdeError) as error:
        raise ValueError(str(error) or type(error).__name__) from error
