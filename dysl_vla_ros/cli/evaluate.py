# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla evaluate``: run a suite in closed loop and print the CALVIN table.

    dysl-vla evaluate --suite furniture-singles --count 100 --strategy dysl --out runs/singles

Over ROS (default, two processes) or in one process (``--in-process``, for development). Lockstep
gives scores; ``--mode live`` lets the world run at 30 Hz and shows what delay costs. ``--strategy
expert`` runs the scripted expert on privileged state: the upper bound.
"""

import argparse
from collections.abc import Mapping
import json
from pathlib import Path
import time
from typing import TYPE_CHECKING, Any

from dysl_vla_ros.cli.acceleration import add_acceleration, chosen_acceleration
from dysl_vla_ros.evaluation.manifest import EXPERT, PHYSICS, RENDERER
from dysl_vla_ros.skipping.names import STRATEGIES

if TYPE_CHECKING:
    from dysl_vla_ros.evaluation.suites import Suite
    from dysl_vla_ros.model.acceleration import Acceleration

# The policy node's side of --command-interface: the bridge opens the gripper above 0.02 m.
_GRIPPER: dict[str, str | float | bool] = {
    'outputs.gripper': 'float64', 'outputs.gripper_open': 0.08,
    'safety.dry_run': False}
_ADAPTERS: dict[str, dict[str, str | float | bool]] = {
    'action': {}, 'twist': {'outputs.twist': True, **_GRIPPER},
    'pose': {'outputs.pose': True, **_GRIPPER}}
DEFAULT_CHECKPOINT = 'package://dysl_vla_ros/weights/dysl-mini'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--suite', default='furniture-singles',
                        help='furniture-singles, furniture-chains, shuffled, demo or a suite file '
                             '(default: %(default)s)')
    parser.add_argument('--count', type=int,
                        help='number of episodes (default: 100 singles, 50 chains; a file: all)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the suite')
    parser.add_argument('--max-steps', type=int, default=360,
                        help='control steps per subtask, for built suites (CALVIN: 360)')
    parser.add_argument('--strategy', choices=(*STRATEGIES, EXPERT), default='dysl',
                        metavar='NAME', help=f'{", ".join(STRATEGIES)}; or {EXPERT}: scripted, '
                                             'from privileged state, without weights')
    parser.add_argument('--budget', type=float,
                        help='mean share of decoder layers, one that the strategy was calibrated '
                             'for (default: that of its files)')
    parser.add_argument('--checkpoint', default=DEFAULT_CHECKPOINT,
                        help='weights folder (default: %(default)s)')
    parser.add_argument('--device', default='cpu', help='torch device')
    add_acceleration(parser)
    parser.add_argument('--out',
                        help='new results folder (default: runs/<suite>-<strategy>-<time>)')
    transport = parser.add_mutually_exclusive_group()
    transport.add_argument('--ros', dest='transport', action='store_const', const='ros',
                           default='ros', help='two ROS processes in lockstep (default)')
    transport.add_argument('--in-process', dest='transport', action='store_const',
                           const='in-process', help='one process, no ROS')
    parser.add_argument('--mode', choices=('lockstep', 'live'), default='lockstep',
                        help='lockstep: one step per action; live: 30 Hz whether or not an action '
                             'came (over ROS only)')
    parser.add_argument('--command-interface', choices=('action', 'twist', 'pose'),
                        default='action',
                        help='what moves the simulated arm: our own action, or the twist or pose '
                             'that an arm stack would get (over ROS only)')
    parser.add_argument('--renderer', choices=('tiny', 'tiny_layered', 'egl'),
                        help="the play table's (default: %(default)s)", default=RENDERER)
    parser.add_argument('--physics', default=PHYSICS,
                        help="the play table's: calvin (default) or fast (--in-process only)")
    parser.add_argument('--workers', type=int, default=1, help='processes with --in-process')
    parser.add_argument('--videos', action='store_true', help='record videos')
    parser.add_argument('--record-bag', metavar='DIR',
                        help='record all topics into this new rosbag2 (over ROS only)')
    parser.add_argument('--save-suite', help='write the suite to this file and stop')


def run_suite(suite: 'Suite', folder: Path, strategy: str, checkpoint: str, device: str = 'cpu',
              transport: str = 'ros', workers: int = 1, videos: bool = False,
              mode: str = 'lockstep', budget: float | None = None, renderer: str = RENDERER,
              command_interface: str = 'action',
              record_bag: str | None = None,
              policy_parameters: Mapping[str, str | int | float | bool] | None = None,
              physics: str = PHYSICS,
              acceleration: 'Acceleration | None' = None) -> dict[str, Any]:
    """Run a suite into a new results folder with a progress bar.

    ``policy_parameters`` are further parameters of policy_node (over ROS).

    Returns:
        The content of the written results.json.

    Raises:
        ConfigError: If the folder already holds episodes, ROS is missing, or an option is asked
            for that the transport does not have.
        CheckpointError: If the weights folder is not one.
        SimulationError: If a process of the loop ends early, or the physics is unknown.
    """
    from rich import progress

    from dysl_vla_ros.cli.closed_loop import ClosedLoop
    from dysl_vla_ros.configuration import to_mapping
    from dysl_vla_ros.errors import ConfigError
    from dysl_vla_ros.evaluation import recording
    from dysl_vla_ros.evaluation.inprocess import (
        CheckpointFactory,
        Factory,
        evaluate_parallel,
    )
    from dysl_vla_ros.evaluation.manifest import build_manifest
    from dysl_vla_ros.evaluation.results import build_results, write_results
    from dysl_vla_ros.evaluation.suites import save_suite
    from dysl_vla_ros.model.acceleration import Acceleration, check_available
    from dysl_vla_ros.resources import resolve
    from dysl_vla_ros.sim.physics import CALVIN, get_physics

    if recording.finished_episodes(folder):
        raise ConfigError(f'{folder} already holds episodes; choose another --out folder or '
                          'delete it')
    if mode == 'live' and transport != 'ros':
        raise ConfigError('--mode live runs over ROS; leave out --in-process')
    if command_interface != 'action' and transport != 'ros':
        raise ConfigError('--command-interface runs over ROS; leave out --in-process')
    if record_bag and transport != 'ros':
        raise ConfigError('--record-bag records what goes over ROS; leave out --in-process')
    get_physics(physics)
    if physics != CALVIN and transport == 'ros':
        raise ConfigError('--physics runs in one process; add --in-process')
    weights = resolve(checkpoint) if strategy != EXPERT else None
    acceleration = acceleration or Acceleration()
    check_available(acceleration)
    options = to_mapping(acceleration)
    config = {'suite': suite.name, **suite.metadata, 'episodes': len(suite),
              'strategy': strategy, 'budget': budget, 'device': device,
              'transport': transport, 'mode': mode, 'command_interface': command_interface,
              'workers': workers, 'torch_threads': 1, 'videos': videos,
              **options, 'privileged_state': strategy == EXPERT,
              **({'policy_parameters': dict(policy_parameters)} if policy_parameters else {})}
    # Also checks the weights, before anything starts.
    manifest = build_manifest(config, weights, renderer, physics)
    folder.mkdir(parents=True, exist_ok=True)
    suite_file = save_suite(suite, folder / 'suite.json')
    (folder / recording.OPTIONS_FILE).write_text(json.dumps({'videos': videos}))
    begin = time.perf_counter()
    columns = (progress.TextColumn('{task.description}'), progress.BarColumn(),
               progress.MofNCompleteColumn(), progress.TextColumn('{task.fields[info]}'),
               progress.TimeElapsedColumn())
    with progress.Progress(*columns) as bar:
        task = bar.add_task(f'{suite.name} {strategy}', total=len(suite), info='')
        if transport == 'ros':
            loop = ClosedLoop(
                folder, suite_file,
                {**({'policy_factory': 'dysl_vla_ros.nodes.expert_policy:create'}
                    if weights is None else
                    {'checkpoint': str(weights.resolve()), 'strategy': strategy,
                     'device': device, 'budget': budget or 0.0, **options}),
                 'trigger': 'timer' if mode == 'live' else 'observation',
                 'use_sim_time': mode == 'live', **_ADAPTERS[command_interface],
                 **(policy_parameters or {})},
                {'scene': suite.metadata.get('scene', 'calvin_scene_D'), 'mode': mode,
                 'renderer': renderer, 'command_interface': command_interface,
                 'publish_scene_state': weights is None},
                Path(record_bag) if record_bag else None)
            loop.run(lambda done, line: bar.update(task, completed=len(done), info=_short(line)))
        else:
            scene = suite.metadata.get('scene', 'calvin_scene_D')
            factory: Factory
            if weights is None:
                from dysl_vla_ros.evaluation.expert_policy import ExpertFactory
                factory = ExpertFactory(scene, renderer, physics)
            else:
                factory = CheckpointFactory(str(weights), strategy, scene, device, budget=budget,
                                            renderer=renderer, physics=physics,
                                            acceleration=acceleration)
            evaluate_parallel(factory, suite, folder, videos, workers, lambda result: bar.update(
                task, advance=1, info=f'{result["succeeded"]}/{len(result["subtasks"])}'))
    manifest['wall_s'] = time.perf_counter() - begin
    recordings = recording.read_recordings(folder, [spec.episode_id for spec in suite])
    results = build_results(suite.name, strategy, transport, recordings, manifest)
    write_results(folder, results)
    return results


def run(args: argparse.Namespace) -> int:
    """Evaluate and print the tables."""
    from dysl_vla_ros.evaluation.suites import build_suite, save_suite
    suite = build_suite(args.suite, args.count, args.seed, args.max_steps)
    if args.save_suite:
        print(f'{len(suite)} episodes in {save_suite(suite, args.save_suite)}')
        return 0
    out = args.out or f'runs/{suite.name}-{args.strategy}-{time.strftime("%Y%m%d-%H%M%S")}'
    results = run_suite(suite, Path(out), args.strategy, args.checkpoint, args.device,
                        args.transport, args.workers, args.videos, args.mode, args.budget,
                        args.renderer, args.command_interface, args.record_bag,
                        physics=args.physics, acceleration=chosen_acceleration(args))
    from dysl_vla_ros.cli import tables
    tables.show_scores([results])
    tables.show_costs([results])
    if args.mode == 'live':
        tables.show_control(results)
    print(f'results in {out}/results.json')
    return 0


def _short(line: str) -> str:
    """The message of a ROS log line ``[INFO] [time] [node]: message``."""
    return line.rsplit(']: ', 1)[-1][:60]
