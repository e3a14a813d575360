# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The upper bound of the tables must be the expert itself, and fail as a policy fails."""

import dataclasses

import numpy as np
import pytest

from dysl_vla_ros.errors import ContractError, InstructionError
from dysl_vla_ros.evaluation.episode import EpisodeRunner, StepOutcome
from dysl_vla_ros.evaluation.expert import single_episode
from dysl_vla_ros.evaluation.expert_policy import ExpertPolicy
from dysl_vla_ros.evaluation.inprocess import evaluate_parallel
from dysl_vla_ros.evaluation.manifest import build_manifest
from dysl_vla_ros.evaluation.recording import read_recordings
from dysl_vla_ros.evaluation.results import build_results, write_results
from dysl_vla_ros.observation.observation import Observation
from dysl_vla_ros.sim import PlayTableEnv, TaskOracle
from dysl_vla_ros.sim.expert import InfeasibleTask, ScriptedExpert, scene_state

pytestmark = pytest.mark.sim
GREY = np.zeros((2, 2, 3), np.uint8)


class StateOnlyFactory:
    """The expert in worlds that render nothing."""

    def policy(self):
        return ExpertPolicy()

    def world(self):
        env = PlayTableEnv(render=False)
        step = env.step
        env.step = lambda action: self._with_images(step(action))
        reset = env.reset
        env.reset = lambda **state: self._with_images((reset(**state),))[0]
        return env, TaskOracle()

    @staticmethod
    def _with_images(answer):
        answer[0]['rgb_obs'] = {'rgb_static': GREY, 'rgb_gripper': GREY}
        return answer


@pytest.fixture(scope='module')
def world():
    env = PlayTableEnv(render=False)
    yield env
    env.close()


def observe(world):
    return Observation(GREY, GREY, None, 0, scene_state(world))


def test_from_reported_state_it_acts_exactly_as_beside_the_world(world):
    runner = EpisodeRunner(world, TaskOracle())
    spec = single_episode('calvin_scene_D', 'push_blue_block_left', 3)
    runner.start(spec)
    expert, policy = ScriptedExpert(world), ExpertPolicy()
    expert.reset('push_blue_block_left')
    policy.reset(spec.subtasks[0].instruction)
    outcome, count = StepOutcome.CONTINUE, 0
    while outcome is StepOutcome.CONTINUE:
        step = policy.act(observe(world))
        action = expert.act()
        assert np.array_equal(step.action, action)
        assert step.index == count
        outcome, count = runner.apply(action), count + 1
    assert outcome is StepOutcome.EPISODE_SUCCEEDED
    assert policy.describe()['uses_scene_state']


def test_it_says_what_it_lacks(world):
    policy = ExpertPolicy()
    with pytest.raises(InstructionError, match='dance'):
        policy.reset('dance')
    with pytest.raises(ContractError, match='before reset'):
        policy.act(observe(world))
    policy.reset('open the drawer')
    with pytest.raises(ContractError, match='publish_scene_state'):
        policy.act(dataclasses.replace(observe(world), scene=None))
    spec = single_episode('calvin_scene_D', 'open_drawer', 0)
    world.reset(spec.robot_obs, spec.scene_obs)
    policy.reset('store the grasped block in the drawer')
    with pytest.raises(InfeasibleTask, match='block in the hand'):
        policy.act(observe(world))


def test_a_task_that_is_given_up_fails_and_the_report_says_why(tmp_path):
    from dysl_vla_ros.evaluation.episode import Subtask
    from dysl_vla_ros.evaluation.report import write_report
    good = single_episode('calvin_scene_D', 'turn_on_led', 0)
    lost = dataclasses.replace(good, episode_id='lost', subtasks=(
        Subtask('place_in_drawer', 'store the grasped block in the drawer'),))
    results = evaluate_parallel(StateOnlyFactory(), [good, lost], tmp_path / 'run')
    assert [r['succeeded'] for r in results] == [1, 0]
    assert 'reason' not in results[0]
    assert results[1]['steps'] == [0]
    assert results[1]['reason'].startswith('InfeasibleTask: place_in_drawer')
    recordings = read_recordings(tmp_path / 'run', [good.episode_id, 'lost'])
    write_results(tmp_path / 'run', build_results('mixed', 'expert', 'in-process', recordings,
                                                  build_manifest({'privileged_state': True})))
    page = write_report([tmp_path / 'run'], tmp_path / 'report').read_text(encoding='utf-8')
    assert 'expert (privileged state)' in page
    assert 'upper bound' in page
    assert 'failed, given up: InfeasibleTask: place_in_drawer' in page
