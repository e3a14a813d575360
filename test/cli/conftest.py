# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fakes on the path, also of child processes."""

import os
from pathlib import Path
import sys

import pytest

FAKES = str(Path(__file__).resolve().parents[1] / 'fakes')
sys.path.insert(0, FAKES)


@pytest.fixture
def fakes_for_children(monkeypatch):
    root = str(Path(__file__).resolve().parents[2])
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(
        [root, FAKES, os.environ.get('PYTHONPATH', '')]))
