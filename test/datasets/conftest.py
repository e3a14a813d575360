# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A small split in CALVIN's layout."""

from fakes.calvin_split import write_split
import pytest


@pytest.fixture
def split(tmp_path):
    """One split folder."""
    return write_split(tmp_path / 'training')
