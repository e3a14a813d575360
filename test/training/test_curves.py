# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Curves are a PNG whatever keys a run recorded."""

from dysl_vla_ros.training.curves import plot_curves


def test_rows_with_different_keys_make_one_png(tmp_path):
    path = tmp_path / 'curves.png'
    plot_curves([{'step': 1, 'loss': 2.0}, {'step': 2, 'loss': 1.0}, {'step': 2, 'mae': 0.5}],
                path, 'test')
    assert path.read_bytes().startswith(b'\x89PNG')


def test_an_empty_history_writes_nothing(tmp_path):
    plot_curves([], tmp_path / 'curves.png', 'test')
    assert not list(tmp_path.iterdir())
