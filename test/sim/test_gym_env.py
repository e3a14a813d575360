# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The gymnasium face: what generic learning code relies on."""

import numpy as np
import pytest

import dysl_vla_ros.sim
from dysl_vla_ros.errors import ContractError, SimulationError

gymnasium = pytest.importorskip('gymnasium')
ENV_ID = 'dysl_vla_ros/PlayTable-v0'


@pytest.mark.filterwarnings('ignore:.*Box.*:UserWarning')
def test_gymnasiums_checker_is_content():
    from gymnasium.utils.env_checker import check_env
    assert dysl_vla_ros.sim.PlayTableEnv is not None  # importing the room registers the name
    env = gymnasium.make(ENV_ID, render_mode='rgb_array')
    check_env(env.unwrapped)
    assert env.unwrapped.render().shape == (200, 200, 3)
    env.close()


def test_a_task_gives_reward_and_ends_the_episode():
    env = gymnasium.make(ENV_ID, task='move_slider_left', render=False)
    observation, _ = env.reset(seed=3)
    assert set(observation) == {'robot_obs', 'scene_obs'}
    step = env.unwrapped.world.table
    step._set(2, observation['scene_obs'][0] + 0.2)  # as a hand would
    _, reward, terminated, truncated, _ = env.step(np.zeros(7))
    assert (reward, terminated, truncated) == (1.0, True, False)
    env.close()


def test_a_start_state_can_be_given_and_equal_seeds_give_equal_starts():
    env = gymnasium.make(ENV_ID, render=False)
    first = env.reset(seed=5)[0]
    other = env.reset(seed=6)[0]
    again = env.reset(seed=5)[0]
    assert np.array_equal(first['scene_obs'], again['scene_obs'])
    assert not np.allclose(first['scene_obs'], other['scene_obs'])
    given = env.reset(options={'robot_obs': first['robot_obs'],
                               'scene_obs': first['scene_obs']})[0]
    np.testing.assert_allclose(given['scene_obs'], first['scene_obs'], atol=2e-3)
    with pytest.raises(ContractError, match='pose'):
        env.reset(options={'pose': 1})
    env.close()


@pytest.mark.parametrize(('options', 'error'), [
    ({'task': 'make_coffee'}, ContractError), ({'scene': 'kitchen'}, SimulationError)])
def test_bad_options_are_named(options, error):
    with pytest.raises(error, match='make_coffee|kitchen'):
        gymnasium.make(ENV_ID, **options)
