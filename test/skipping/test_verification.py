# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trigger must fire on the first sharp drop only, and never without a jump."""

import dataclasses
import math

import pytest

from dysl_vla_ros.skipping.config import SkippingConfig
from dysl_vla_ros.skipping.verification import must_verify

CONFIG = SkippingConfig(static_layers=(0, 2), n_layers=3, drop_threshold=-0.1)
LONG_AGO = 1 << 30


@pytest.mark.parametrize(('change', 'previous', 'has_jump', 'expected'), [
    (-0.2, 0.0, True, True),
    (-0.2, 0.0, False, False),       # nothing was skipped
    (-0.2, -0.2, True, False),       # not the first drop
    (-0.2, -0.1, True, False),       # strict comparison on both sides
    (-0.1, 0.0, True, False),
    (0.2, 0.0, True, False),
    (math.nan, 0.0, True, False),    # undefined history
    (-0.2, math.nan, True, False)])
def test_truth_table(change, previous, has_jump, expected):
    assert must_verify(change, previous, has_jump, LONG_AGO, CONFIG) is expected


def test_switched_off_it_never_fires():
    config = dataclasses.replace(CONFIG, use_post=False)
    assert not must_verify(-0.2, 0.0, True, LONG_AGO, config)


def test_refractory_period_counts_steps_after_a_verification():
    config = dataclasses.replace(CONFIG, refractory_steps=2)
    assert [must_verify(-0.2, 0.0, True, since, config) for since in (1, 2, 3)] \
        == [False, False, True]


def test_verify_always_needs_only_a_jump():
    config = dataclasses.replace(CONFIG, verify_always=True)
    assert must_verify(math.nan, math.nan, True, 1, config)
    assert not must_verify(-0.2, 0.0, False, LONG_AGO, config)
