# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bad input: a clear error, and a world that has not moved.

Without these a NaN or a swapped vector would go on into the physics and spoil every later
episode of the process.
"""

import numpy as np
import pytest

from dysl_vla_ros.errors import ConfigError, ContractError, DatasetError, SimulationError
from dysl_vla_ros.evaluation import conformance
from dysl_vla_ros.sim import PlayTableEnv, TaskOracle
from dysl_vla_ros.sim.cameras import CameraSpec
from dysl_vla_ros.sim.sequences import EVALUATION_ROBOT_OBS, get_sequences

ROBOT = np.array(EVALUATION_ROBOT_OBS)
SCENE = np.zeros(24)
SCENE[6:] = [0.05, -0.12, 0.46, 0, 0, 0, 0.23, -0.12, 0.46, 0, 0, 0, 0.1, 0.09, 0.461, 0, 0, 0]


def changed(vector, index, value):
    copy = vector.copy()
    copy[index] = value
    return copy


def move(**values):
    action = np.array([0.0, 0, 0, 0, 0, 0, 1])
    for name, value in values.items():
        action[['x', 'y', 'z', 'roll', 'pitch', 'yaw', 'gripper'].index(name)] = value
    return action


ACTIONS = {
    'not a number': (move(x=np.nan), 'not finite.*nan'),
    'infinite': (move(z=np.inf), 'not finite.*inf'),
    'gripper not a number': (move(gripper=np.nan), 'not finite'),
    'gripper 0.3': (move(gripper=0.3), r'gripper command 0\.3: expected exactly -1 or \+1'),
    'gripper 0': (move(gripper=0.0), 'gripper command 0.0'),
    'six values': (np.zeros(6), r'expected 7 values, got shape \(6,\)'),
    'eight values': (np.ones(8), r'expected 7 values, got shape \(8,\)'),
    'a batch': (np.ones((1, 7)), r'expected 7 values, got shape \(1, 7\)'),
    'a number': (1.0, r'expected 7 values, got shape \(\)'),
    'nothing': (None, 'expected numbers, got NoneType'),
    'text': ('open', "expected numbers, got str 'open'"),
    'words': (['0'] * 7, 'expected numbers, got list'),
    'complex': (np.ones(7, complex), 'expected numbers, got ndarray'),
    'ragged': ([1, 2, 3, 4, 5, 6, [7, 8]], 'expected numbers, got list'),
    'two coordinates': ((np.zeros(2), np.zeros(3), 1), r'got shapes \(2,\)'),
    'orientation of five': ((np.zeros(3), np.zeros(5), 1), r'\(3,\) or \(4,\).*\(5,\)'),
    'absolute gripper 0.5': ((np.zeros(3), np.zeros(3), 0.5), 'gripper command 0.5'),
    'quaternion of length 0': ((np.zeros(3), np.zeros(4), 1), 'quaternion.*expected length 1'),
    'unknown type': ({'type': 'velocity', 'action': move()}, "type 'velocity': expected one of"),
    'no type': ({'action': move()}, "expected the keys 'type' and 'action'"),
    'extra key': ({'type': 'joint_abs', 'action': np.ones(8), 'speed': 2}, 'speed'),
    'seven joint values': ({'type': 'joint_abs', 'action': move()}, 'expected 8 values'),
    'joints not a number': ({'type': 'joint_rel', 'action': np.full(8, np.nan)}, 'not finite'),
}
STATES = {
    'short robot_obs': (np.zeros(14), SCENE, r'robot_obs: expected 15 values.*\(14,\)'),
    'swapped': (SCENE, ROBOT, r'robot_obs: expected 15 values, got shape \(24,\)'),
    'robot not a number': (changed(ROBOT, 9, np.nan), SCENE, r'robot_obs: not finite at \[9\]'),
    'scene infinite': (ROBOT, changed(SCENE, 7, np.inf), r'scene_obs: not finite at \[7\]'),
    'joint in degrees': (changed(ROBOT, 8, 59.6), SCENE, r'robot_obs\[8\].*got 59\.6'),
    'width in millimetres': (changed(ROBOT, 6, 80), SCENE, r'robot_obs\[6\].*width.*got 80'),
    'slide of 3 m': (ROBOT, changed(SCENE, 0, 3.0), r'scene_obs\[0\].*got 3'),
    'drawer pushed in': (ROBOT, changed(SCENE, 1, -0.5), r'scene_obs\[1\].*got -0\.5'),
    'switch of 1 m': (ROBOT, changed(SCENE, 3, 1.0), r'scene_obs\[3\].*got 1'),
    'half a bulb': (ROBOT, changed(SCENE, 4, 0.5), r'lightbulb.*expected 0 or 1, got 0\.5'),
    'LED of 2': (ROBOT, changed(SCENE, 5, 2), r'LED.*expected 0 or 1, got 2'),
    'block on the moon': (ROBOT, changed(SCENE, 8, 3.8e8), r'scene_obs\[8\].*got 3\.8e'),
    'yaw in degrees': (ROBOT, changed(SCENE, 11, 90), r'scene_obs\[11\].*Euler.*got 90'),
    'text': ('start', SCENE, "robot_obs: expected 15 numbers, got str 'start'"),
    'objects': (ROBOT, np.array([None] * 24), 'scene_obs: expected 24 numbers'),
}


@pytest.fixture
def still(world):
    """A world in a known state; afterwards it must be in it still, contacts included."""
    world.reset(ROBOT, SCENE)
    world.step(move(y=1.0))
    before = world.get_state_obs(), repr(world.get_info()), world.robot.target_position.copy()
    yield world
    after = world.get_state_obs()
    assert all(np.array_equal(before[0][key], after[key]) for key in after)
    assert repr(world.get_info()) == before[1]
    assert np.array_equal(world.robot.target_position, before[2])


@pytest.mark.parametrize(('action', 'match'), ACTIONS.values(), ids=ACTIONS)
def test_a_bad_action(still, action, match):
    with pytest.raises(ContractError, match=match):
        still.step(action)


@pytest.mark.parametrize(('robot', 'scene', 'match'), STATES.values(), ids=STATES)
def test_an_absurd_state(still, robot, scene, match):
    with pytest.raises(ContractError, match=match):
        still.reset(robot, scene)


@pytest.mark.parametrize(('options', 'match'), [
    ({'scene': 'calvin_scene_E'}, r"unknown scene 'calvin_scene_E'.*calvin_scene_A"),
    ({'scene': None}, 'unknown scene None'),
    ({'seed': -1}, 'seed -1: expected a whole number >= 0'),
    ({'seed': 0.5}, 'seed 0.5'), ({'seed': True}, 'seed True'),
    ({'renderer': 'blender'}, "unknown renderer 'blender'.*'egl', 'tiny'"),
    ({'camera_names': ('wrist',)}, r"camera_names \('wrist',\).*static"),
    ({'camera_names': 'static'}, "camera_names 'static'"),
    ({'assets_dir': 7}, 'assets_dir 7: expected a path')])
def test_a_bad_option_of_the_environment(still, options, match):
    with pytest.raises(SimulationError, match=match):
        PlayTableEnv(render=False, **options)


@pytest.mark.parametrize(('values', 'match'), [
    ((0, 200, 10.0, 0.01, 10.0), 'camera width: expected 1 to 4096 pixels, got 0'),
    ((200, 99999, 10.0, 0.01, 10.0), 'camera height.*99999'),
    ((200.5, 200, 10.0, 0.01, 10.0), r'camera width.*200\.5'),
    ((200, 200, 190.0, 0.01, 10.0), 'camera fov_deg.*190'),
    ((200, 200, 10.0, 10.0, 0.01), 'camera near_m, far_m.*10.0 and 0.01')])
def test_a_camera_that_cannot_be(values, match):
    with pytest.raises(ConfigError, match=match):
        CameraSpec(*values)


def assets(folder, without=''):
    """A folder that looks like calvin_env's, of empty shapes, lacking one file."""
    link = '<?xml version="1.0"?><robot name="x"><link name="a">{}</link></robot>'
    visual = '<visual><geometry><mesh filename="{}"/></geometry></visual>'
    files = {
        'franka_panda/panda_longer_finger.urdf': link.format(''),
        'calvin_table_D/urdf/calvin_table_D.urdf': link.format(
            visual.format('../meshes/base_link.obj')),
        'calvin_table_D/meshes/base_link.obj': 'mtllib base_link.mtl\n',
        'calvin_table_D/meshes/base_link.mtl': 'newmtl a\nmap_Kd ../textures/dark_wood.png\n',
        'calvin_table_D/textures/dark_wood.png': '',
        'plane/plane.urdf': link.format('')}
    files |= {f'blocks/block_{b}.urdf': link.format('')
              for b in ('red_middle', 'blue_small', 'pink_big')}
    for name, text in files.items():
        if name != without:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize('name', [
    'franka_panda/panda_longer_finger.urdf', 'calvin_table_D/urdf/calvin_table_D.urdf',
    'calvin_table_D/meshes/base_link.obj', 'calvin_table_D/meshes/base_link.mtl',
    'calvin_table_D/textures/dark_wood.png', 'plane/plane.urdf', 'blocks/block_pink_big.urdf'])
def test_a_missing_asset_is_named(still, tmp_path, name):
    with pytest.raises(SimulationError, match=f'missing {name}'):
        PlayTableEnv(render=False, assets_dir=assets(tmp_path, without=name))


def test_wrong_assets_are_named(still, tmp_path):
    with pytest.raises(SimulationError, match='no such folder'):
        PlayTableEnv(render=False, assets_dir=tmp_path / 'data')
    folder = assets(tmp_path)
    (folder / 'plane/plane.urdf').write_text('<robot')
    with pytest.raises(SimulationError, match=r'plane/plane\.urdf: cannot be read as a URDF'):
        PlayTableEnv(render=False, assets_dir=folder)
    assets(tmp_path)  # complete again, but no Panda and no table
    with pytest.raises(SimulationError, match=r'panda_longer_finger\.urdf'):
        PlayTableEnv(render=False, assets_dir=folder)


def test_a_closed_environment_says_so():
    env = PlayTableEnv(render=False)
    env.close()
    for use in (lambda: env.step(move()), env.reset):
        with pytest.raises(SimulationError, match='closed'):
            use()


def test_bad_tasks_counts_and_vectors(still, tmp_path):
    info = still.get_info()
    with pytest.raises(ContractError, match='make_coffee'):
        TaskOracle().get_task_info_for_set(info, info, {'make_coffee'})
    with pytest.raises(SimulationError, match='got -1, expected 1 to 1000'):
        get_sequences(-1)
    np.savez(tmp_path / 'ref.npz', actions=np.zeros((2, 7)))
    whole = (tmp_path / 'ref.npz').read_bytes()
    (tmp_path / 'ref.npz').write_bytes(whole[:len(whole) // 2])
    with pytest.raises(DatasetError, match=r'ref\.npz: cannot be read'):
        list(conformance.check_folder(tmp_path))
    np.savez(tmp_path / 'ref.npz', actions=np.array([{}], dtype=object))
    with pytest.raises(DatasetError, match=r'ref\.npz'):
        list(conformance.check_folder(tmp_path))
