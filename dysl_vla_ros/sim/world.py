# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Loads one scene into a PyBullet client, in CALVIN's order (design/calvin.md section 2.1)."""

from dataclasses import dataclass
from pathlib import Path
import tempfile

import pybullet

from dysl_vla_ros.errors import SimulationError
from dysl_vla_ros.sim import assets, furniture, plane, robot_model
from dysl_vla_ros.sim.physics import Physics
from dysl_vla_ros.sim.robot import Robot
from dysl_vla_ros.sim.scene import SceneSpec
from dysl_vla_ros.sim.table import Table

_JOINTS = {'robot': 16, 'table': 7}


@dataclass(frozen=True)
class World:
    """The bodies of one scene in one client."""

    robot: Robot
    blocks: dict[str, int]
    table: Table
    plane: int


def load(client: int, scene: SceneSpec, assets_dir: Path | None,
         led_survives_reset: bool, physics: Physics) -> World:
    """Load robot, base cylinder, blocks, table and plane; that order gives the body ids 0 to 6.

    Raises:
        SimulationError: If a file of ``assets_dir`` is missing, unreadable or another one than
            calvin_env's.
    """
    pybullet.resetSimulation(physicsClientId=client)
    pybullet.setGravity(0, 0, -9.8, physicsClientId=client)
    physics.prepare(client)
    # PyBullet remembers every mesh by its path, for ever: 0.2 MB per world, whose paths are new.
    pybullet.setPhysicsEngineParameter(enableFileCaching=0, physicsClientId=client)
    with tempfile.TemporaryDirectory(prefix='dysl_vla_scene_') as folder:
        if assets_dir is not None:
            files, scaling = assets.official_files(assets_dir, scene), assets.SCALING
        else:
            files, scaling = _built_in_files(Path(folder), scene), 1.0
        part = 'robot'
        try:
            robot = Robot(client, files[part], physics)
            blocks = {}
            for part in scene.block_order:
                blocks[part] = pybullet.loadURDF(files[part], globalScaling=scaling,
                                                 physicsClientId=client)
            part = 'table'
            table = Table(client, files[part], scaling, scene, led_survives_reset,
                          physics)
            part = 'plane'
            floor = pybullet.loadURDF(files[part], physicsClientId=client)
        except pybullet.error as error:
            raise SimulationError(f'{files[part]}: PyBullet cannot load it as the {part} of '
                                  f'{scene.name}: {error}') from error
    for part, uid in (('robot', robot.uid), ('table', table.uid)):
        joints = pybullet.getNumJoints(uid, physicsClientId=client)
        if joints != _JOINTS[part]:
            raise SimulationError(f"{files[part]}: {joints} joints, expected CALVIN's "
                                  f'{_JOINTS[part]} of the {part}')
    return World(robot, blocks, table, floor)


def _built_in_files(folder: Path, scene: SceneSpec) -> dict[str, str]:
    texts = {'robot': robot_model.panda_urdf(folder), 'table': furniture.table_urdf(scene, folder)}
    texts |= {b: furniture.block_urdf(scene, b) for b in scene.block_order}
    files = {}
    for name, text in texts.items():
        path = folder / f'{name}.urdf'
        path.write_text(text, encoding='utf-8')
        files[name] = str(path)
    files['plane'] = plane.write(folder)
    return files
