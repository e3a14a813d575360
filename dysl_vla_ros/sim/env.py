# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``PlayTableEnv``: the CALVIN play table with CALVIN's own API.

Control at 30 Hz, physics at 240 Hz. Source: design/calvin.md sections 2 and 3.
"""

from pathlib import Path
import tempfile
from typing import Any

import numpy as np
import pybullet

from dysl_vla_ros.control.action_spec import CONTROL_RATE_HZ
from dysl_vla_ros.errors import ContractError, SimulationError
from dysl_vla_ros.sim import cameras, furniture, plane, robot_model
from dysl_vla_ros.sim.cameras import CameraSpec
from dysl_vla_ros.sim.layered_renderer import LayeredRenderer
from dysl_vla_ros.sim.robot import CAMERA_LINK, Robot
from dysl_vla_ros.sim.scene import BLOCK_SIZES, get_scene
from dysl_vla_ros.sim.table import Table

PHYSICS_RATE_HZ = 240
_SUBSTEPS = PHYSICS_RATE_HZ // CONTROL_RATE_HZ
_OFFICIAL_SCALING = 0.8
_MAX_SAMPLING_TRIES = 1000
ROBOT_OBS_SIZE, SCENE_OBS_SIZE = 15, 24


class PlayTableEnv:
    """One CALVIN scene in a PyBullet client of its own."""

    def __init__(self, scene: str = 'calvin_scene_D', assets_dir: str | Path | None = None,
                 render: bool = True, renderer: str = 'tiny', seed: int = 0,
                 static_camera: CameraSpec = cameras.STATIC_CAMERA,
                 gripper_camera: CameraSpec = cameras.GRIPPER_CAMERA,
                 led_survives_reset: bool = True) -> None:
        """Build the scene.

        Args:
            scene: ``calvin_scene_A`` .. ``calvin_scene_D``.
            assets_dir: A user's calvin_env ``data`` folder, or None for the built-in furniture.
            render: Whether observations contain images.
            renderer: ``tiny`` (software, default), ``tiny_layered`` (the same up to a few pixels
                in a third of the time for the static camera) or ``opengl``.
            seed: Seed of the block sampling done by resets without a scene state.
            static_camera: Size and optics of the static camera.
            gripper_camera: The same of the gripper camera.
            led_survives_reset: False restores the LED behaviour of calvin_env 1431a46.

        Raises:
            SimulationError: If the scene or a file of ``assets_dir`` does not exist.
        """
        self.scene = get_scene(scene)
        self.is_rendering = render
        self.renderer = renderer
        self.static_camera = static_camera
        self.gripper_camera = gripper_camera
        self._random = np.random.default_rng(seed)
        self.client: int = pybullet.connect(pybullet.DIRECT)
        if self.client < 0:
            raise SimulationError('PyBullet gave no physics client')
        try:
            self._load(Path(assets_dir) if assets_dir is not None else None, led_survives_reset)
        except Exception:
            self.close()
            raise
        self._static_view = cameras.static_view(self.client)
        self._layered = self._create_layered_renderer()
        self.reset()

    def _load(self, assets: Path | None, led_survives_reset: bool) -> None:
        client = self.client
        pybullet.resetSimulation(physicsClientId=client)
        pybullet.setGravity(0, 0, -9.8, physicsClientId=client)
        with tempfile.TemporaryDirectory(prefix='dysl_vla_scene_') as folder:
            files, scaling = (self._official_files(assets), _OFFICIAL_SCALING) if assets \
                else (self._built_in_files(Path(folder)), 1.0)
            self.robot = Robot(client, files['robot'])
            self.blocks: dict[str, int] = {
                name: pybullet.loadURDF(files[name], globalScaling=scaling,
                                        physicsClientId=client)
                for name in self.scene.block_order}
            self.table = Table(client, files['table'], scaling, self.scene, led_survives_reset)
            self.plane: int = pybullet.loadURDF(files['plane'], physicsClientId=client)

    def _official_files(self, assets: Path) -> dict[str, str]:
        letter = self.scene.name[-1]
        files = {
            'robot': 'franka_panda/panda_longer_finger.urdf',
            'table': f'calvin_table_{letter}/urdf/calvin_table_{letter}.urdf',
            'plane': 'plane/plane.urdf',
        }
        sizes = dict(zip(('red', 'blue', 'pink'), self.scene.block_sizes, strict=True))
        files |= {f'block_{colour}': f'blocks/block_{colour}_{size}.urdf'
                  for colour, size in sizes.items() if size in BLOCK_SIZES}
        for name in files.values():
            if not (assets / name).is_file():
                raise SimulationError(f'assets_dir {assets}: missing {name}; expected the data '
                                      'folder of calvin_env (calvin_table_*, blocks, plane, '
                                      'franka_panda)')
        return {key: str(assets / name) for key, name in files.items()}

    def _built_in_files(self, folder: Path) -> dict[str, str]:
        texts = {'robot': robot_model.panda_urdf(), 'table': furniture.table_urdf(self.scene)}
        texts |= {b: furniture.block_urdf(self.scene, b) for b in self.scene.block_order}
        files = {}
        for name, text in texts.items():
            path = folder / f'{name}.urdf'
            path.write_text(text, encoding='utf-8')
            files[name] = str(path)
        files['plane'] = plane.write(folder)
        return files

    # ------------------------------------------------------------------ CALVIN's public API
    def reset(self, robot_obs: np.ndarray | None = None,
              scene_obs: np.ndarray | None = None) -> dict[str, Any]:
        """Reset to a recorded state, or to the start pose with sampled blocks.

        Args:
            robot_obs: (15,) or None; only joints 7-13 and the width are used (CALVIN).
            scene_obs: (24,) in the scene's block order, or None.

        Returns:
            The observation after one physics step.

        Raises:
            ContractError: For a wrong shape or a non-finite value; the world is unchanged.
        """
        robot_state = _checked('robot_obs', robot_obs, ROBOT_OBS_SIZE)
        scene_state = _checked('scene_obs', scene_obs, SCENE_OBS_SIZE)
        if scene_state is None:
            self.table.reset()
            self._sample_blocks()
        else:
            self.table.reset(*(float(v) for v in scene_state[:6]))
            for index, uid in enumerate(self.blocks.values()):
                pose = scene_state[6 + 6 * index:12 + 6 * index]
                self._place_block(uid, pose[:3], pose[3:])
        self.robot.reset(robot_state)
        pybullet.stepSimulation(physicsClientId=self.client)
        return self.get_obs()

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, dict[str, Any]]:
        """Apply one (7,) relative action for 1/30 s.

        A 3-tuple (position, orientation, gripper) is an absolute action, as in CALVIN.

        Returns:
            (observation, 0.0, False, info).

        Raises:
            ContractError: For a wrong shape, a non-finite value or a gripper command other than
                -1 or +1; the world is unchanged.
        """
        if isinstance(action, tuple) and len(action) == 3:
            position, orientation, gripper = (np.atleast_1d(np.asarray(a, dtype=np.float64))
                                              for a in action)
            if position.shape != (3,) or orientation.shape not in ((3,), (4,)) \
                    or gripper.shape != (1,):
                raise ContractError('absolute action: expected (position (3,), orientation (3,) '
                                    'or (4,), gripper)')
            _require_action(np.concatenate([position, orientation, gripper]))
            self.robot.command_pose(position, orientation)
            self.robot.command_gripper(float(gripper[0]))
        else:
            values = np.asarray(action, dtype=np.float64)
            if values.shape != (7,):
                raise ContractError(f'action: expected 7 values, got shape {values.shape}')
            _require_action(values)
            self.robot.apply_relative(values)
        for _ in range(_SUBSTEPS):
            pybullet.stepSimulation(physicsClientId=self.client)
        self.table.update()
        return self.get_obs(), 0.0, False, self.get_info()

    def get_obs(self) -> dict[str, Any]:
        """CALVIN's observation: rgb_obs, depth_obs, robot_obs (15,), scene_obs (24,)."""
        observation: dict[str, Any] = {'rgb_obs': {}, 'depth_obs': {}}
        if self.is_rendering:
            observation['rgb_obs'], observation['depth_obs'] = self.render_cameras()
        observation.update(self.get_state_obs())
        return observation

    def get_state_obs(self) -> dict[str, np.ndarray]:
        """``robot_obs`` (15,) and ``scene_obs`` (24,) without rendering."""
        scene = self.table.observe()
        for uid in self.blocks.values():
            position, quaternion = pybullet.getBasePositionAndOrientation(
                uid, physicsClientId=self.client)
            scene += [*position, *pybullet.getEulerFromQuaternion(quaternion)]
        return {'robot_obs': self.robot.observe()[0], 'scene_obs': np.array(scene)}

    def get_info(self) -> dict[str, Any]:
        """CALVIN's info: robot_info and scene_info with contacts."""
        movable = {}
        for name, uid in self.blocks.items():
            position, quaternion = pybullet.getBasePositionAndOrientation(
                uid, physicsClientId=self.client)
            linear, angular = pybullet.getBaseVelocity(uid, physicsClientId=self.client)
            movable[name] = {
                'current_pos': position, 'current_orn': quaternion,
                'current_lin_vel': linear, 'current_ang_vel': angular,
                'contacts': pybullet.getContactPoints(bodyA=uid, physicsClientId=self.client),
                'uid': uid,
            }
        scene_info = {'movable_objects': movable, **self.table.info()}
        return {'robot_info': self.robot.observe()[1], 'scene_info': scene_info}

    def close(self) -> None:
        """Disconnect this environment's own physics client; safe to call twice."""
        if self.client >= 0:
            if pybullet.isConnected(self.client):
                pybullet.disconnect(self.client)
            self.client = -1

    # ------------------------------------------------------------------ beyond CALVIN's API
    def render_cameras(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Render both cameras: RGB (H, W, 3) uint8 and depth (H, W) float32 metres by name."""
        view = cameras.gripper_view(self.client, self.robot.uid, CAMERA_LINK)
        static = self._layered.render() if self._layered is not None else cameras.render(
            self.client, self.static_camera, self._static_view, self.renderer)
        gripper = cameras.render(self.client, self.gripper_camera, view, self.renderer)
        return ({'rgb_static': static[0], 'rgb_gripper': gripper[0]},
                {'depth_static': static[1], 'depth_gripper': gripper[1]})

    def _create_layered_renderer(self) -> LayeredRenderer | None:
        if not self.is_rendering or self.renderer != cameras.LAYERED:
            return None
        return LayeredRenderer(self.client, self.static_camera, self._static_view,
                               fixed=((self.table.uid, -1), (self.plane, -1)))

    def _place_block(self, uid: int, position: np.ndarray, euler: np.ndarray) -> None:
        pybullet.resetBasePositionAndOrientation(
            uid, tuple(position), pybullet.getQuaternionFromEuler(tuple(euler)),
            physicsClientId=self.client)

    def _sample_blocks(self) -> None:
        """Sample block poses in the start areas until no pair of blocks touches (CALVIN)."""
        areas = list(self.scene.areas.values())
        for _ in range(_MAX_SAMPLING_TRIES):
            for uid in self.blocks.values():
                (x_low, x_high), (y_low, y_high) = areas[self._random.integers(len(areas))]
                position = np.array([self._random.uniform(x_low, x_high),
                                     self._random.uniform(y_low, y_high), 0.46])
                self._place_block(uid, position,
                                  np.array([0, 0, self._random.uniform(-np.pi, np.pi)]))
            pybullet.stepSimulation(physicsClientId=self.client)
            uids = list(self.blocks.values())
            touching = any(
                pybullet.getContactPoints(a, b, physicsClientId=self.client)
                for i, a in enumerate(uids) for b in uids[i + 1:])
            if not touching:
                return
        raise SimulationError(f'{self.scene.name}: no block placement without contact found in '
                              f'{_MAX_SAMPLING_TRIES} tries')


def _checked(name: str, value: np.ndarray | None, size: int) -> np.ndarray | None:
    if value is None:
        return None
    array = np.asarray(value, dtype=np.float64)
    if array.shape != (size,):
        raise ContractError(f'{name}: expected {size} values, got shape {array.shape}')
    if not np.isfinite(array).all():
        raise ContractError(f'{name}: not finite: {array}')
    return array


def _require_action(values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise ContractError(f'action: not finite: {values}')
    if values[-1] not in (-1.0, 1.0):
        raise ContractError(f'action: gripper command {float(values[-1])}: expected exactly -1 '
                            'or +1')
