# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fakes on the path, and small recorded runs that several tests read."""

from pathlib import Path
import sys

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'fakes'))


@pytest.fixture
def spec():
    """spec(*tasks, max_steps=...) -> EpisodeSpec without physics."""
    import numpy as np

    from dysl_vla_ros.evaluation.episode import EpisodeSpec, Subtask

    def make(*tasks, episode_id='e0', max_steps=50):
        return EpisodeSpec(episode_id, np.zeros(15), np.zeros(24),
                           tuple(Subtask(t, f'do {t}') for t in tasks), max_steps)
    return make


@pytest.fixture
def record_run(tmp_path, spec):
    """record_run(strategy) -> results folder of two episodes (one fails), without videos."""
    from fake_rollout import FakeFactory

    from dysl_vla_ros.evaluation.inprocess import evaluate_parallel
    from dysl_vla_ros.evaluation.manifest import build_manifest
    from dysl_vla_ros.evaluation.recording import read_recordings
    from dysl_vla_ros.evaluation.results import build_results, write_results

    def record(strategy):
        folder = tmp_path / strategy
        specs = [spec('a_task', 'b_task', episode_id='good'),
                 spec('a_task', 'never_b', episode_id='<bad> & "name"')]
        evaluate_parallel(FakeFactory(strategy, 8), specs, folder)
        recordings = read_recordings(folder, [s.episode_id for s in specs])
        write_results(folder, build_results('fake-suite', strategy, 'in-process', recordings,
                                            build_manifest({'scene': 'fake'})))
        return folder
    return record
