# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The evaluator: instructions at the right moment, limits applied, workers without influence."""

from fake_rollout import CountingOracle, FakeFactory, NumberedWorld, SkippingPolicy
import numpy as np
import pytest

from dysl_vla_ros.errors import InstructionError
from dysl_vla_ros.evaluation.inprocess import evaluate, evaluate_parallel, run_episode
from dysl_vla_ros.evaluation.recording import read_recordings


def test_the_policy_is_reset_once_per_subtask_with_its_sentence(spec):
    policy = SkippingPolicy()
    run_episode(policy, NumberedWorld(), CountingOracle(4), spec('a', 'b', 'never'))
    assert policy.instructions == ['do a', 'do b', 'do never']


def test_actions_are_limited_before_they_are_executed(spec):
    class Wild(SkippingPolicy):
        def act(self, observation):
            step = super().act(observation)
            step.action[:3] = 7.0
            return step
    world = NumberedWorld()
    run_episode(Wild(), world, CountingOracle(2), spec('a'))
    assert np.array_equal(np.array(world.actions)[:, :3], np.ones((2, 3)))


def test_a_policy_that_gives_up_has_failed(spec):
    class Modest(SkippingPolicy):
        def act(self, observation):
            if len(self.instructions) == 2 and self.index == 3:
                raise InstructionError('too hard')
            return super().act(observation)
    result = run_episode(Modest(), NumberedWorld(), CountingOracle(4), spec('a', 'b', 'c'))
    assert (result['succeeded'], result['steps']) == (1, [4, 3])
    assert result['reason'] == 'InstructionError: too hard'


def test_results_come_in_the_order_of_the_suite(spec):
    specs = [spec('a', episode_id='z'), spec('never', episode_id='a')]
    seen = []
    results = evaluate(SkippingPolicy(), NumberedWorld(), CountingOracle(3), specs,
                       progress=lambda r: seen.append(r['episode_id']))
    assert [r['episode_id'] for r in results] == seen == ['z', 'a']
    assert [r['succeeded'] for r in results] == [1, 0]


@pytest.mark.slow
def test_two_workers_record_the_same_actions_as_one(spec, tmp_path, monkeypatch):
    from pathlib import Path
    monkeypatch.setenv('PYTHONPATH', str(Path(__file__).resolve().parents[1] / 'fakes'))
    specs = [spec('a', 'b', episode_id=f'e{i}') for i in range(4)]

    results = {}
    for workers in (1, 2):
        results[workers] = evaluate_parallel(FakeFactory(), specs, tmp_path / str(workers),
                                             workers=workers)
    assert results[1] == results[2]
    assert len(results[1]) == 4
    one, two = (read_recordings(tmp_path / str(w)) for w in (1, 2))
    for a, b in zip(one, two, strict=True):
        assert a.steps['robot_obs'].tobytes() == b.steps['robot_obs'].tobytes()


def test_worlds_are_closed_even_if_the_policy_fails(spec):
    worlds = []

    class Failing(SkippingPolicy):
        def act(self, observation):
            raise RuntimeError('scripted')

    class Factory(FakeFactory):
        def policy(self):
            return Failing()

        def world(self):
            worlds.append(NumberedWorld())
            return worlds[-1], CountingOracle()

    with pytest.raises(RuntimeError, match='scripted'):
        evaluate_parallel(Factory(), [spec('a')])
    assert worlds[0].is_closed
