# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Real PyBullet worlds; state-only where no image is looked at."""

import pytest

from dysl_vla_ros.sim import PlayTableEnv


def pytest_collection_modifyitems(items):
    for item in items:
        if '/test/sim/' in str(item.path):
            item.add_marker(pytest.mark.sim)


@pytest.fixture(scope='module')
def world():
    """Scene D without cameras; every test starts with a reset of its own."""
    env = PlayTableEnv(render=False)
    yield env
    env.close()
