# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The static camera, drawn in a process of its own.

Software rendering of one 200 x 200 image takes longer than everything else in a control step, and
PyBullet draws on one core. Live mode needs 30 steps per second: here the picture is drawn from a
copy of the scene while the caller draws the gripper camera.
"""

from dataclasses import dataclass
import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pybullet

from dysl_vla_ros.errors import SimulationError
from dysl_vla_ros.sim import cameras
from dysl_vla_ros.sim.cameras import CameraSpec

if TYPE_CHECKING:
    from dysl_vla_ros.sim.env import PlayTableEnv

_TIMEOUT_S = 30.0  # the first answer waits for the copy of the scene
_CLOSE_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Appearance:
    """All that a picture of one scene depends on.

    Attributes:
        joints: Positions of every joint of robot and table, in rad or m.
        blocks: (position in m, quaternion xyzw) of every block, world frame.
        bulb, led: Whether the lights are on.
    """

    joints: tuple[tuple[float, ...], tuple[float, ...]]
    blocks: tuple[tuple[Any, Any], ...]
    bulb: bool
    led: bool

    @staticmethod
    def of(env: 'PlayTableEnv') -> 'Appearance':
        """Read it from an environment."""
        joints = []
        for uid in (env.robot.uid, env.table.uid):
            count = pybullet.getNumJoints(uid, physicsClientId=env.client)
            states = pybullet.getJointStates(uid, range(count), physicsClientId=env.client)
            joints.append(tuple(state[0] for state in states))
        blocks = tuple(pybullet.getBasePositionAndOrientation(uid, physicsClientId=env.client)
                       for uid in env.blocks.values())
        bulb, led = env.table.lights
        return Appearance((joints[0], joints[1]), blocks, bulb, led)

    def apply(self, env: 'PlayTableEnv') -> None:
        """Give an environment of the same scene this appearance; its dynamics are undefined."""
        for uid, values in zip((env.robot.uid, env.table.uid), self.joints, strict=True):
            for index, value in enumerate(values):
                pybullet.resetJointState(uid, index, value, physicsClientId=env.client)
        for uid, (position, quaternion) in zip(env.blocks.values(), self.blocks, strict=True):
            pybullet.resetBasePositionAndOrientation(uid, position, quaternion,
                                                     physicsClientId=env.client)
        env.table.set_lights(self.bulb, self.led)


class CameraProcess:
    """Draws the static camera of any environment of one scene; outlives the environments."""

    def __init__(self, scene: str = 'calvin_scene_D', assets_dir: str | Path | None = None,
                 renderer: str = 'tiny',
                 static_camera: CameraSpec = cameras.STATIC_CAMERA) -> None:
        """Start the process; the arguments are those of the environments it will draw."""
        self.draws = (scene, str(assets_dir) if assets_dir else None, renderer, static_camera)
        context = multiprocessing.get_context('spawn')  # PyBullet does not survive a fork
        self._connection, other = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(other, *self.draws), name='static_camera', daemon=True)
        self._process.start()
        other.close()

    def request(self, env: 'PlayTableEnv') -> None:
        """Begin to draw what ``env`` shows now; returns at once."""
        try:
            self._connection.send(Appearance.of(env))
        except OSError as error:
            raise self._lost() from error

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Wait for the picture asked for: RGB (H, W, 3) uint8 and depth (H, W) float32 in metres.

        Raises:
            SimulationError: If the process died, failed or does not answer.
        """
        try:
            if not self._connection.poll(_TIMEOUT_S):
                raise SimulationError(f'static camera process: no picture for {_TIMEOUT_S:.0f} s')
            answer = self._connection.recv()
        except (OSError, EOFError) as error:
            raise self._lost() from error
        if isinstance(answer, str):
            raise SimulationError(f'static camera process: {answer}')
        return answer

    def close(self) -> None:
        """End the process; safe to call twice."""
        self._connection.close()
        self._process.join(_CLOSE_TIMEOUT_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _lost(self) -> SimulationError:
        self._process.join(1.0)
        return SimulationError('static camera process: it has ended, exit code '
                               f'{self._process.exitcode}')


def _serve(connection: Connection, scene: str, assets_dir: str | None, renderer: str,
           static_camera: CameraSpec) -> None:
    """Body of the process: answer with pictures until the other end closes."""
    import signal

    from dysl_vla_ros.sim.env import PlayTableEnv

    # Ctrl-C reaches the whole process group; the owner decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        env = PlayTableEnv(scene, assets_dir, render=False, renderer=renderer,
                           static_camera=static_camera)
    except Exception as error:
        connection.send(f'{type(error).__name__}: {error}')
        return
    while True:
        try:
            appearance = connection.recv()
        except (EOFError, OSError):
            break
        appearance.apply(env)
        connection.send(env.render_static())
    env.close()
