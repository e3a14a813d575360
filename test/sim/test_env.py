# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CALVIN's public API. Existing CALVIN clients break silently on a renamed key or a new quirk."""

import numpy as np
import pytest

from dysl_vla_ros.errors import ContractError, SimulationError
from dysl_vla_ros.sim import PlayTableEnv
from dysl_vla_ros.sim.sequences import EVALUATION_ROBOT_OBS

STAY = np.array([0.0, 0, 0, 0, 0, 0, 1])
SCENE = np.array([0.1, 0.05, 0, 0.088, 1, 1, 0.05, -0.12, 0.46, 0, 0, 1.5,
                  0.23, -0.12, 0.46, 0, 0, 0, 0.1, 0.09, 0.461, 0, 0, 1.5])


def test_observation_and_info_have_calvins_keys_shapes_and_types():
    env = PlayTableEnv()
    observation, reward, done, info = env.step(STAY)
    assert (reward, done) == (0.0, False)
    assert set(observation) == {'rgb_obs', 'depth_obs', 'robot_obs', 'scene_obs'}
    shapes = {k: (v.shape, v.dtype) for part in ('rgb_obs', 'depth_obs')
              for k, v in observation[part].items()}
    assert shapes == {
        'rgb_static': ((200, 200, 3), np.uint8), 'rgb_gripper': ((84, 84, 3), np.uint8),
        'depth_static': ((200, 200), np.float32), 'depth_gripper': ((84, 84), np.float32)}
    assert observation['robot_obs'].shape == (15,)
    assert observation['scene_obs'].shape == (24,)
    assert observation['robot_obs'].dtype == observation['scene_obs'].dtype == np.float64
    assert set(info) == {'robot_info', 'scene_info'}
    assert {'tcp_pos', 'tcp_orn', 'gripper_opening_width', 'arm_joint_positions',
            'gripper_action', 'uid', 'contacts'} <= set(info['robot_info'])
    scene = info['scene_info']
    assert set(scene) == {'movable_objects', 'fixed_objects', 'doors', 'buttons', 'switches',
                          'lights'}
    assert list(scene['movable_objects']) == ['block_red', 'block_blue', 'block_pink']
    assert scene['fixed_objects']['table']['links'] == {
        'base_link': -1, 'button_link': 0, 'switch_link': 1, 'slide_link': 2, 'drawer_link': 3,
        'led_link': 4, 'light_link': 5, 'plank_link': 6}
    env.close()
    env.close()


def test_a_reset_sets_what_it_is_given(world):
    observation = world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)
    np.testing.assert_allclose(observation['robot_obs'][7:14], EVALUATION_ROBOT_OBS[7:14],
                               atol=1e-3)
    np.testing.assert_allclose(observation['scene_obs'][:6], SCENE[:6], atol=1e-3)
    np.testing.assert_allclose(observation['scene_obs'][6:9], SCENE[6:9], atol=2e-3)


@pytest.mark.parametrize(('reset', 'match'), [
    ((np.zeros(14), SCENE), r'robot_obs: expected 15 values, got shape \(14,\)'),
    ((np.array(EVALUATION_ROBOT_OBS), np.zeros(23)), 'scene_obs: expected 24'),
    ((np.full(15, np.nan), SCENE), 'robot_obs: not finite'),
    ((np.array(EVALUATION_ROBOT_OBS), np.full(24, np.inf)), 'scene_obs: not finite')])
def test_a_bad_reset_names_the_fault_and_leaves_the_world(world, reset, match):
    before = world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)
    with pytest.raises(ContractError, match=match):
        world.reset(*reset)
    after = world.get_state_obs()
    assert all(np.array_equal(before[k], after[k]) for k in after)


@pytest.mark.parametrize(('action', 'match'), [
    (np.full(7, np.nan), 'not finite'), (np.zeros(6), 'expected 7 values'),
    (np.array([0, 0, 0, 0, 0, 0, 0.3]), 'gripper command 0.3'),
    (np.array([0, 0, np.inf, 0, 0, 0, 1]), 'not finite'),
    ((np.zeros(3), np.zeros(2), 1.0), 'absolute action')])
def test_a_bad_action_names_the_fault_and_leaves_the_world(world, action, match):
    before = world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)
    with pytest.raises(ContractError, match=match):
        world.step(action)
    after = world.get_state_obs()
    assert all(np.array_equal(before[k], after[k]) for k in after)


def test_the_last_gripper_command_survives_a_reset(world):
    world.step(np.append(np.zeros(6), -1.0))
    assert world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)['robot_obs'][14] == -1.0
    world.step(STAY)
    assert world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)['robot_obs'][14] == 1.0


def test_relative_actions_add_to_a_stored_target_that_absolute_ones_do_not_move(world):
    start = world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)['robot_obs'][:3]
    for _ in range(5):
        world.step(np.array([0, 1.0, 0, 0, 0, 0, 1]))
    np.testing.assert_allclose(world.robot.target_position, start + [0, 0.1, 0], atol=1e-12)
    elsewhere = (start + [0.05, 0, 0.05], world.get_state_obs()['robot_obs'][3:6], 1.0)
    for _ in range(20):
        world.step(elsewhere)
    for _ in range(40):  # CALVIN: a zero relative action drives the arm back to the old target
        world.step(STAY)
    np.testing.assert_allclose(world.get_state_obs()['robot_obs'][:3], start + [0, 0.1, 0],
                               atol=3e-3)


def test_the_led_toggles_on_the_first_press_unless_the_old_version_is_asked_for():
    presses = {}
    for survives in (True, False):
        env = PlayTableEnv(render=False, led_survives_reset=survives)
        env.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)  # LED on
        states = []
        for depth in (0.02, 0.0, 0.02):
            env.table._set(0, depth)
            env.table.update()
            states.append(env.get_state_obs()['scene_obs'][5])
        presses[survives] = states
        env.close()
    assert presses == {True: [0.0, 0.0, 1.0], False: [1.0, 1.0, 0.0]}


def test_two_worlds_in_one_process_do_not_disturb_each_other():
    action = np.array([0.5, 0.5, -1, 0, 0, 0.2, -1])

    def fresh():  # PyBullet keeps traces of the motion before a reset
        env = PlayTableEnv(render=False)
        env.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)
        return env
    env = fresh()
    alone = [env.step(action)[0]['robot_obs'] for _ in range(10)]
    env.close()
    env, other = fresh(), PlayTableEnv('calvin_scene_A', render=False)
    together = []
    for _ in range(10):
        together.append(env.step(action)[0]['robot_obs'])
        other.step(np.array([-1.0, 0, 1, 0, 0, 0, 1]))
    other.close()
    assert np.array_equal(alone, together)
    env.step(STAY)  # still connected
    env.close()


def test_every_form_of_an_absolute_action_moves_the_arm_alike(world):
    import pybullet
    results = []
    start = world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)['robot_obs']
    position, euler = start[:3] + [0.03, 0.02, -0.05], start[3:6]
    quaternion = np.array(pybullet.getQuaternionFromEuler(euler))
    for action in (
            (position, euler, 1), [position, quaternion, [1.0]],
            {'type': 'cartesian_abs', 'action': (position, euler, np.array([1]))},
            {'type': 'cartesian_abs', 'action': np.concatenate([position, euler, [1]])},
            {'type': 'cartesian_abs', 'action': np.concatenate([position, quaternion, [1]])}):
        world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)
        for _ in range(20):
            world.step(action)
        results.append(world.get_state_obs()['robot_obs'][:6])
        np.testing.assert_allclose(world.robot.target_position, start[:3], atol=1e-9)
    np.testing.assert_allclose(results[0][:3], position, atol=2e-3)
    np.testing.assert_allclose(results, [results[0]] * 5, atol=1e-6)


def test_joint_actions_bypass_the_inverse_kinematics(world):
    start = world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)['robot_obs'][7:14]
    change = np.array([0.1, -0.05, 0, 0, 0, 0, 0.2])
    for _ in range(20):
        world.step({'type': 'joint_abs', 'action': np.append(start + change, -1)})
    reached = world.get_state_obs()['robot_obs']
    np.testing.assert_allclose(reached[7:14], start + change, atol=1e-3)
    assert reached[14] == -1.0
    world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)
    world.step({'type': 'joint_rel', 'action': np.append(change, 1)})
    np.testing.assert_allclose(world.robot.joint_target, start + change, atol=1e-9)


def test_a_relative_action_as_a_mapping_equals_the_plain_one(world):
    action, seen = np.array([0.5, 0, -0.5, 0, 0, 0.3, 1]), []
    for form in (action, list(action), tuple(action),
                 {'type': 'cartesian_rel', 'action': action}):
        world.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)
        world.step(form)
        seen.append(world.robot.target_position)
    assert all(np.array_equal(s, seen[0]) for s in seen)


def test_the_evaluation_variant_of_scene_d_has_its_own_block_poses():
    env = PlayTableEnv('calvin_scene_D_eval', render=False)
    blocks = env.reset()['scene_obs'][6:].reshape(3, 6)
    np.testing.assert_allclose(blocks[:, :2], [[0.05, -0.12], [0.23, -0.12], [0.10, 0.08]],
                               atol=2e-3)
    np.testing.assert_allclose(blocks[:, 5], [1.57, 0, 1.57], atol=1e-2)
    env.close()


def test_only_the_cameras_asked_for_are_rendered():
    env = PlayTableEnv(camera_names=('gripper',))
    observation = env.get_obs()
    assert list(observation['rgb_obs']) == ['rgb_gripper']
    assert list(observation['depth_obs']) == ['depth_gripper']
    env.close()


def test_the_eight_physics_steps_in_one_call_change_nothing():
    """The speed of ``step`` must not be bought with other results."""
    import pybullet
    action, states = np.array([0.3, 0.8, -1, 0, 0, 0.2, -1]), []
    for at_once in (True, False):
        env = PlayTableEnv(render=False)
        env.reset(np.array(EVALUATION_ROBOT_OBS), SCENE)
        for _ in range(30):
            if at_once:
                env.step(action)
            else:
                env.robot.apply_relative(action)
                for _ in range(8):
                    pybullet.stepSimulation(physicsClientId=env.client)
                env.table.update()
        states.append(repr((env.get_state_obs(), env.get_info())))
        env.close()
    assert states[0] == states[1]


def test_the_egl_renderer_works_or_says_why_not():
    from dysl_vla_ros.sim import egl
    if egl.why_unavailable():
        with pytest.raises(SimulationError, match="renderer 'egl' is not available here"):
            PlayTableEnv(renderer='egl')
        return
    env = PlayTableEnv(renderer='egl')
    assert env.renderer_name.startswith('egl')
    assert env.get_obs()['rgb_obs']['rgb_static'].std() > 10
    env.close()


def test_an_unknown_scene_and_a_wrong_asset_folder_are_named(tmp_path):
    with pytest.raises(SimulationError, match=r'calvin_scene_E.*calvin_scene_A'):
        PlayTableEnv('calvin_scene_E')
    with pytest.raises(SimulationError, match=r'missing franka_panda/panda_longer_finger'):
        PlayTableEnv(assets_dir=tmp_path)
