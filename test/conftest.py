# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the reference data lies; it is no part of the repository."""

import os
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).resolve().parents[2] / 'shared' / 'reference'


def reference_path(name: str) -> Path:
    """Path of a reference file or folder; skips the test, naming the reason, where absent."""
    path = Path(os.environ.get('DYSL_REFERENCE_DIR', _DEFAULT)) / name
    if not path.exists():
        pytest.skip(f'reference data {path} is absent (set DYSL_REFERENCE_DIR)')
    return path


@pytest.fixture(scope='session')
def reference_file():
    """The function ``reference_path``."""
    return reference_path
