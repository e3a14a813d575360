# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``PlayTableEnv``: the CALVIN play table with CALVIN's own API.

Control at 30 Hz, physics at 240 Hz (or 120, see ``physics``). Source: design/calvin.md, 2 and 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pybullet

from dysl_vla_ros.errors import SimulationError
from dysl_vla_ros.sim import cameras, egl, states, world
from dysl_vla_ros.sim.actions import parse_action
from dysl_vla_ros.sim.cameras import CameraSpec
from dysl_vla_ros.sim.layered_renderer import LayeredRenderer
from dysl_vla_ros.sim.physics import CALVIN, get_physics
from dysl_vla_ros.sim.robot import Pose, Robot, RobotState
from dysl_vla_ros.sim.scene import get_scene
from dysl_vla_ros.sim.states import ROBOT_OBS_SIZE, SCENE_OBS_SIZE
from dysl_vla_ros.sim.table import Table

__all__ = ['ROBOT_OBS_SIZE', 'SCENE_OBS_SIZE', 'PlayTableEnv', 'Snapshot']

_MAX_SAMPLING_TRIES = 1000
_RENDERER_NAMES = {'tiny': 'tiny (PyBullet software)',
                   cameras.LAYERED: 'tiny_layered (PyBullet software, two layers)',
                   'egl': 'egl (PyBullet EGL plugin)'}


class _Reading(NamedTuple):
    """The world's state, read once for observation and info."""

    robot: RobotState
    table: list[float]
    blocks: list[Pose]


@dataclass(frozen=True)
class Snapshot:
    """A state of one environment, held in its physics client until ``forget``."""

    client: int
    state_id: int
    robot: dict[str, Any]
    table: dict[str, bool]
    random: Any


class PlayTableEnv:
    """One CALVIN scene in a PyBullet client of its own."""

    def __init__(self, scene: str = 'calvin_scene_D', assets_dir: str | Path | None = None,
                 render: bool = True, renderer: str = 'tiny', seed: int = 0,
                 static_camera: CameraSpec = cameras.STATIC_CAMERA,
                 gripper_camera: CameraSpec = cameras.GRIPPER_CAMERA,
                 led_survives_reset: bool = True,
                 camera_names: Sequence[str] = cameras.CAMERA_NAMES,
                 physics: str = CALVIN) -> None:
        """Build the scene.

        Args:
            scene: ``calvin_scene_A`` .. ``calvin_scene_D`` or ``calvin_scene_D_eval``.
            assets_dir: A user's calvin_env ``data`` folder, or None for the built-in furniture.
            render: Whether observations contain images.
            renderer: ``tiny`` (software), ``tiny_layered`` (the same up to a few pixels in a third
                of the time for the static camera) or ``egl`` (hardware, where there is one).
            seed: Seed of the block sampling done by resets without a scene state.
            static_camera: Size and optics of the static camera.
            gripper_camera: The same of the gripper camera.
            led_survives_reset: False restores the LED behaviour of calvin_env 1431a46.
            camera_names: Which of ``static`` and ``gripper`` observations contain.
            physics: ``calvin`` (240 Hz, bit-equal to CALVIN) or ``fast`` (120 Hz, two thirds of
                the time, a little different in contact).

        Raises:
            SimulationError: If the scene, the renderer, the physics, a camera or a file of
                ``assets_dir`` does not exist, or the seed is no whole number >= 0.
        """
        self.client = -1
        self.scene = get_scene(scene)
        self.physics = get_physics(physics)
        self.is_rendering = render
        self.renderer = renderer
        self.camera_names = tuple(camera_names)
        if renderer not in cameras.RENDERERS:
            raise SimulationError(f'unknown renderer {renderer!r}; expected one of '
                                  f'{sorted(cameras.RENDERERS)}')
        if isinstance(camera_names, str) or not set(camera_names) <= set(cameras.CAMERA_NAMES):
            raise SimulationError(f'camera_names {camera_names!r}: expected names out of '
                                  f'{cameras.CAMERA_NAMES}')
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise SimulationError(f'seed {seed!r}: expected a whole number >= 0')
        if assets_dir is not None and not isinstance(assets_dir, str | Path):
            raise SimulationError(f'assets_dir {assets_dir!r}: expected a path or None')
        self.static_camera = static_camera
        self.gripper_camera = gripper_camera
        self._random = np.random.default_rng(seed)
        self.client = pybullet.connect(pybullet.DIRECT)
        if self.client < 0:
            raise SimulationError('PyBullet gave no physics client')
        try:
            if render and renderer == 'egl':
                egl.load(self.client)
            loaded = world.load(self.client, self.scene,
                                None if assets_dir is None else Path(assets_dir),
                                led_survives_reset, self.physics)
        except Exception:
            self.close()
            raise
        self.robot: Robot = loaded.robot
        self.table: Table = loaded.table
        self.blocks: dict[str, int] = loaded.blocks
        self.plane: int = loaded.plane
        self._static_view = cameras.static_view(self.client)
        self._layered = self._create_layered_renderer()
        self.reset()

    @property
    def renderer_name(self) -> str:
        """The renderer as results record it: it moves scores."""
        return _RENDERER_NAMES[self.renderer]

    # ------------------------------------------------------------------ CALVIN's public API
    def reset(self, robot_obs: np.ndarray | None = None,
              scene_obs: np.ndarray | None = None) -> dict[str, Any]:
        """Reset to a recorded state, or to the start pose with default or sampled blocks.

        Args:
            robot_obs: (15,) or None; only joints 7-13 and the width are used (CALVIN).
            scene_obs: (24,) in the scene's block order, or None.

        Returns:
            The observation after one physics step.

        Raises:
            ContractError: For a wrong shape or a value out of bounds; the world is unchanged.
        """
        self._require_open()
        robot_state = states.check_robot_obs(robot_obs)
        scene_state = states.check_scene_obs(scene_obs)
        if scene_state is not None:
            self.table.reset(*(float(v) for v in scene_state[:6]))
            for index, uid in enumerate(self.blocks.values()):
                pose = scene_state[6 + 6 * index:12 + 6 * index]
                self._place_block(uid, pose[:3], pose[3:])
        else:
            self.table.reset()
            if self.scene.default_poses is None:
                self._sample_blocks()
            else:
                for uid, (*position, yaw) in zip(self.blocks.values(), self.scene.default_poses,
                                                 strict=True):
                    self._place_block(uid, np.array(position), np.array([0.0, 0.0, yaw]))
        self.robot.reset(robot_state)
        self.physics.settle(self.client)
        return self.get_obs()

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, dict[str, Any]]:
        """Apply one action for 1/30 s.

        Args:
            action: (7,) relative, or any other form of ``actions.parse_action``.

        Returns:
            (observation, 0.0, False, info).

        Raises:
            ContractError: For a wrong shape, a non-finite value or a gripper command other than
                -1 or +1; the world is unchanged.
        """
        self._require_open()
        self.robot.apply(parse_action(action))
        self.physics.advance(self.client)
        self.robot.update()
        self.table.update()
        reading = self._read()
        return self._obs(reading), 0.0, False, self._info(reading)

    def get_obs(self) -> dict[str, Any]:
        """CALVIN's observation: rgb_obs, depth_obs, robot_obs (15,), scene_obs (24,)."""
        return self._obs(self._read())

    def get_state_obs(self) -> dict[str, np.ndarray]:
        """``robot_obs`` (15,) and ``scene_obs`` (24,) without rendering."""
        return self._state_obs(self._read())

    def get_camera_obs(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Render the cameras: RGB (H, W, 3) uint8 and depth (H, W) float32 metres by name."""
        rgb, depth = {}, {}
        for name in self.camera_names:
            if name == 'static' and self._layered is not None:
                images = self._layered.render()
            elif name == 'static':
                images = cameras.render(self.client, self.static_camera, self._static_view,
                                        self.renderer)
            else:
                view = cameras.gripper_view(self.client, *self.robot.camera_pose())
                images = cameras.render(self.client, self.gripper_camera, view, self.renderer)
            rgb[f'rgb_{name}'], depth[f'depth_{name}'] = images
        return rgb, depth

    def get_info(self) -> dict[str, Any]:
        """CALVIN's info: robot_info and scene_info with contacts."""
        return self._info(self._read())

    def _read(self) -> _Reading:
        return _Reading(self.robot.measure(), self.table.measure(), [
            pybullet.getBasePositionAndOrientation(uid, physicsClientId=self.client)
            for uid in self.blocks.values()])

    def _obs(self, reading: _Reading) -> dict[str, Any]:
        observation: dict[str, Any] = {'rgb_obs': {}, 'depth_obs': {}}
        if self.is_rendering:
            observation['rgb_obs'], observation['depth_obs'] = self.get_camera_obs()
        observation.update(self._state_obs(reading))
        return observation

    def _state_obs(self, reading: _Reading) -> dict[str, np.ndarray]:
        scene = self.table.observe(reading.table)
        for position, quaternion in reading.blocks:
            scene += [*position, *pybullet.getEulerFromQuaternion(quaternion)]
        return {'robot_obs': self.robot.observe(reading.robot), 'scene_obs': np.array(scene)}

    def _info(self, reading: _Reading) -> dict[str, Any]:
        movable = {}
        for (name, uid), (position, quaternion) in zip(self.blocks.items(), reading.blocks,
                                                       strict=True):
            linear, angular = pybullet.getBaseVelocity(uid, physicsClientId=self.client)
            movable[name] = {
                'current_pos': position, 'current_orn': quaternion,
                'current_lin_vel': linear, 'current_ang_vel': angular,
                'contacts': pybullet.getContactPoints(bodyA=uid, physicsClientId=self.client),
                'uid': uid,
            }
        scene_info = {'movable_objects': movable, **self.table.info(reading.table)}
        return {'robot_info': self.robot.info(reading.robot), 'scene_info': scene_info}

    def close(self) -> None:
        """Disconnect this environment's own physics client; safe to call twice."""
        if self.client >= 0:
            if pybullet.isConnected(self.client):
                pybullet.disconnect(self.client)
            self.client = -1

    # ------------------------------------------------------------------ beyond CALVIN's API
    def snapshot(self) -> Snapshot:
        """Keep the present state in memory, motor commands and lights included.

        PyBullet keeps joints, bodies and velocities but not all of the contact solver's memory:
        the future after ``restore`` is equal while nothing touches, and with contacts differs
        as after a tiny push. Whatever must be repeated exactly gets a new environment.
        """
        self._require_open()
        return Snapshot(self.client, pybullet.saveState(physicsClientId=self.client),
                        self.robot.memory(), self.table.memory(),
                        self._random.bit_generator.state)

    def restore(self, snapshot: Snapshot) -> None:
        """Return to a snapshot, as exactly as ``snapshot`` says.

        Raises:
            SimulationError: If the snapshot is another environment's or was forgotten.
        """
        self._require_open()
        if snapshot.client != self.client:
            raise SimulationError('this snapshot belongs to another environment')
        try:
            pybullet.restoreState(stateId=snapshot.state_id, physicsClientId=self.client)
        except pybullet.error as error:
            raise SimulationError('this snapshot was forgotten') from error
        self.robot.recall(snapshot.robot)
        self.table.recall(snapshot.table)
        self._random.bit_generator.state = snapshot.random

    def forget(self, snapshot: Snapshot) -> None:
        """Free a snapshot's memory."""
        pybullet.removeState(snapshot.state_id, physicsClientId=self.client)

    def _require_open(self) -> None:
        if self.client < 0:
            raise SimulationError('this environment is closed')

    def _create_layered_renderer(self) -> LayeredRenderer | None:
        if self.renderer != cameras.LAYERED or not self.is_rendering \
                or 'static' not in self.camera_names:
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
            self.physics.settle(self.client)
            uids = list(self.blocks.values())
            touching = any(
                pybullet.getContactPoints(a, b, physicsClientId=self.client)
                for i, a in enumerate(uids) for b in uids[i + 1:])
            if not touching:
                return
        raise SimulationError(f'{self.scene.name}: no block placement without contact found in '
                              f'{_MAX_SAMPLING_TRIES} tries')
