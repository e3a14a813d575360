# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A wrong landing layer would silently run the wrong network."""

from hypothesis import given, strategies
import pytest

from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.skipping.partition import (
    Group,
    LayerPartition,
    select_static,
    static_count,
)


def test_groups_land_on_the_next_static_layer():
    partition = LayerPartition(8, (0, 1, 4, 7))
    assert partition.groups == (Group(2, 3, 4), Group(5, 6, 7))
    assert partition.dynamic == (2, 3, 5, 6)
    assert [partition.group_index(j) for j in range(8)] == [-1, -1, 0, 0, -1, 1, 1, -1]


def test_next_static_skips_the_layer_itself():
    partition = LayerPartition(6, (0, 3, 5))
    assert [partition.next_static(j) for j in range(6)] == [3, 3, 3, 5, 5, 6]


def test_group_of_one_layer_is_legal_and_adjacent_static_layers_have_no_group():
    assert LayerPartition(4, (0, 1, 3)).groups == (Group(2, 2, 3),)
    assert LayerPartition(3, (0, 1, 2)).groups == ()
    assert LayerPartition(1, (0,)).groups == ()


@pytest.mark.parametrize('static', [(), (0,), (0, 4), (1, 5), (0, 3, 3, 5), (5, 0), (0, 6)])
def test_partition_without_landing_layers_is_refused(static):
    with pytest.raises(ConfigError):
        LayerPartition(6, static)


def test_lowest_cosine_becomes_static_beside_the_forced_ones():
    similarity = [0.99, 0.9, 0.5, 0.8, 0.7, 0.99]
    assert select_static(similarity, 3).static == (0, 2, 5)
    assert select_static(similarity, 4).static == (0, 2, 4, 5)
    assert select_static(similarity, 2).static == (0, 5)
    assert select_static(similarity, 99).static == tuple(range(6))


def test_a_quarter_of_twelve_layers_is_three():
    assert static_count(12, 0.25) == 3
    assert static_count(24, 0.2) == 5  # 24 layers: about 5 static, method.md section 3
    assert static_count(12, 0.0) == 2
    with pytest.raises(ConfigError):
        static_count(12, 1.5)


@given(strategies.lists(strategies.floats(-1, 1), min_size=2, max_size=32),
       strategies.integers(2, 40))
def test_every_layer_is_static_or_in_exactly_one_group(similarity, count):
    partition = select_static(similarity, count)
    grouped = [j for g in partition.groups for j in range(g.first, g.last + 1)]
    assert sorted([*grouped, *partition.static]) == list(range(len(similarity)))
    for group in partition.groups:
        assert group.landing in partition.static
        assert all(partition.next_static(j) == group.landing
                   for j in range(group.first, group.last + 1))
