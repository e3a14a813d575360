# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small real bags."""

from pathlib import Path
import sys

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'fakes'))


@pytest.fixture
def make_bag(tmp_path):
    """make_bag(count=..., **BagWriter options) -> folder of a new bag."""
    import fake_bag
    return lambda **options: fake_bag.make_bag(tmp_path / 'bag', **options)
