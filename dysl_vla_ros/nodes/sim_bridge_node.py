# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Node that shows the simulated play table on topics and executes the policy's actions.

    ros2 launch dysl_vla_ros sim.launch.py mode:=lockstep
    ros2 run dysl_vla_ros sim_bridge_node --ros-args --params-file config/sim.yaml

Parameters, service and diagnostics are here; the world and the episodes are in
``episode_driver.py``.
"""

from pathlib import Path
import sys
import threading
from typing import Any

import numpy as np
from rclpy.node import Node

from dysl_vla_ros.errors import DySLVLAError
from dysl_vla_ros.evaluation.episode import EpisodeSpec, Subtask
from dysl_vla_ros.nodes import messages
from dysl_vla_ros.nodes.arm_inputs import ArmInputs
from dysl_vla_ros.nodes.diagnostics import Diagnostics, Level, Report
from dysl_vla_ros.nodes.episode_driver import EpisodeDriver
from dysl_vla_ros.nodes.memory import resident_memory_mb
from dysl_vla_ros.nodes.parameters import BridgeParameters, declare
from dysl_vla_ros.nodes.policies import call_factory
from dysl_vla_ros.nodes.policy_client import PolicyClient
from dysl_vla_ros.nodes.process import run_node
from dysl_vla_ros.nodes.world_publisher import WorldPublisher
from dysl_vla_ros.resources import resolve
from dysl_vla_ros.srv import ResetEpisode

DEFAULT_MAX_STEPS = 360


class SimBridgeNode(Node):
    """The world side of the loop."""

    def __init__(self, stop: threading.Event) -> None:
        """Declare parameters, read the suite, create entities; the world comes with ``start``."""
        super().__init__('sim_bridge_node')
        self.exit_code = 0
        self._stop_event = stop
        self.parameters = declare(self, BridgeParameters)
        self._suite = self._load_suite()
        self._client = client = PolicyClient(self, self.parameters.policy_action)
        self._topics = WorldPublisher(self, self.parameters.publish_scene_state)
        self._arm = (ArmInputs(self, self.parameters, client.notify)
                     if self.parameters.command_interface != 'action' else None)
        self._driver = EpisodeDriver(
            self.parameters, self._create_world, client, self._arm, self._topics,
            self.get_logger(), self._suite, self._create_recorder(), self._on_done)
        self.create_service(ResetEpisode, '~/reset_episode', self._on_reset)
        self._diagnostics = Diagnostics(self, {'episodes': self._report})

    def start(self) -> None:
        """Build the world and begin."""
        self._driver.start()

    def close(self) -> None:
        """Stop the episodes; the last status stays on the latched topic until we are gone."""
        self._driver.stop()
        self._diagnostics.publish()  # the counts as they stay
        self.get_logger().info(f'stopped after {self._driver.counters.steps} steps')

    # ------------------------------------------------------------------ pieces
    def _load_suite(self) -> list[EpisodeSpec]:
        if not self.parameters.suite:
            return []
        from dysl_vla_ros.evaluation.suites import build_suite
        return list(build_suite(str(resolve(self.parameters.suite))))

    def _create_world(self) -> tuple[Any, Any]:
        if self.parameters.env_factory:
            return call_factory(self.parameters.env_factory, self.parameters)
        from dysl_vla_ros.sim import PlayTableEnv, TaskOracle
        p = self.parameters
        return PlayTableEnv(p.scene, p.assets_dir or None, renderer=p.renderer), TaskOracle()

    def _create_recorder(self) -> Any:
        if not self.parameters.results_dir:
            return None
        from dysl_vla_ros.evaluation.recording import RolloutRecorder
        return RolloutRecorder(Path(self.parameters.results_dir))

    def _on_done(self, has_succeeded: bool) -> None:
        if not has_succeeded:
            self.exit_code = 1
            self._stop_event.set()
        elif self.parameters.exit_when_done:
            self._stop_event.set()

    # ------------------------------------------------------------------ callbacks
    def _on_reset(self, request: ResetEpisode.Request,
                  response: ResetEpisode.Response) -> ResetEpisode.Response:
        if self._driver.is_running_suite:
            response.message = 'refused: a suite is running'
            return response
        try:
            spec = self._spec(request)
        except (DySLVLAError, ValueError) as error:
            response.message = str(error)
            return response
        response.success = self._driver.request(spec)
        response.message = (f'episode {spec.episode_id} started' if response.success
                            else 'the simulation does not answer; see its log')
        response.stamp = messages.time_from_ns(self._driver.now_ns)
        return response

    def _spec(self, request: ResetEpisode.Request) -> EpisodeSpec:
        if request.episode_id:
            for spec in self._suite:
                if spec.episode_id == request.episode_id:
                    return spec
            raise ValueError(f'no episode {request.episode_id!r} in the suite; it has '
                             f'{[s.episode_id for s in self._suite][:5]} ...')
        from dysl_vla_ros.sim.instructions import VALIDATION
        unknown = [task for task in request.subtasks if task not in VALIDATION]
        if unknown or not request.subtasks:
            raise ValueError(f'subtasks: expected CALVIN task names, got {request.subtasks}')
        sentences = request.instructions or [VALIDATION[task] for task in request.subtasks]
        if len(sentences) != len(request.subtasks):
            raise ValueError(f'{len(sentences)} instructions for {len(request.subtasks)} subtasks')
        return EpisodeSpec(
            episode_id='manual',
            robot_obs=np.array(request.robot_obs) if request.robot_obs else None,
            scene_obs=np.array(request.scene_obs) if request.scene_obs else None,
            subtasks=tuple(Subtask(t, s)
                           for t, s in zip(request.subtasks, sentences, strict=True)),
            max_steps=request.max_steps or DEFAULT_MAX_STEPS)

    def _report(self) -> Report:
        c = self._driver.counters
        level = Level.ERROR if c.is_policy_lost or c.state.startswith('failed') else Level.OK
        return Report(level, 'policy lost' if c.is_policy_lost else c.state, {
            'mode': self.parameters.mode, 'steps': c.steps, 'episodes': c.episodes,
            'policy lost': c.lost, 'observations sent again': c.republished,
            'steps held': c.held, 'stale actions': c.stale, 'overruns': c.overruns,
            'steps without statistics': c.missing_stats,
            'observations sent': self._topics.observations, 'memory MB': resident_memory_mb(),
            **self._client.tally.values('action'),
            **({'commands refused': self._arm.refused, 'steps without command': self._arm.idle}
               if self._arm is not None else {})})


def main(args: list[str] | None = None) -> int:
    """Entry point of ``sim_bridge_node``."""
    return run_node(SimBridgeNode, args)


if __name__ == '__main__':
    sys.exit(main())
