# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CALVIN's text hash: it seeds start states (``sim``) and draws window lengths (``datasets``).

Source: design/calvin.md sections 5.4 and 6.6.
"""

_FNV_PRIME = 16777619


def fnv1(text: str) -> int:
    """FNV-1's 32-bit recurrence over the UTF-16-LE bytes of ``text``, from 0.

    FNV-1 itself starts from another value; other harnesses that start there, or hash UTF-8, draw
    other start states.
    """
    value = 0
    for byte in text.encode('utf-16-le'):
        value = (value * _FNV_PRIME % 2**32) ^ byte
    return value
