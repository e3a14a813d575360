# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla bag-parity BAG ...``: does the node act on a bag as the offline run does?

    dysl-vla bag-parity runs/bags/* --timing lockstep --out runs/parity

Starts the policy node, plays every bag into it over DDS, runs the same bag offline, and compares
the actions by stamp. In real time the node chooses its observations by its own clock; the offline
run is then told which ones (inference_stats) and must find the same actions.
"""

import argparse
from pathlib import Path
import time
from typing import Any

TOLERANCE = 1e-6
DEFAULT_CHECKPOINT = 'package://dysl_vla_ros/weights/dysl-mini'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('bags', nargs='+', metavar='BAG', help='rosbag2 folders or files')
    parser.add_argument('--timing', choices=('lockstep', 'realtime'), default='lockstep')
    parser.add_argument('--rate', type=float, default=1.0, help='realtime: times faster')
    parser.add_argument('--checkpoint', default=DEFAULT_CHECKPOINT,
                        help='weights folder (default: %(default)s)')
    parser.add_argument('--strategy', default='dysl', help='strategy (default: %(default)s)')
    parser.add_argument('--out', help='new results folder (default: runs/parity-<time>)')


def actions_by_stamp(bag_path: Path) -> dict[int, Any]:
    """Actions (7,) on the node's topic of a bag, by the stamp of their observation in ns."""
    from dysl_vla_ros.bags.reader import BagReader
    from dysl_vla_ros.bags.topics import TOPICS
    from dysl_vla_ros.observation.messages import action_from_message, ns_from_time
    with BagReader(bag_path) as bag:
        return {ns_from_time(content.header.stamp): action_from_message(content)
                for content in (bag.decode(m) for m in bag.messages([TOPICS['action'].name]))}


def compare(node: dict[int, Any], offline: dict[int, Any]) -> dict[str, Any]:
    """Counts, and the largest difference of any component over the common stamps."""
    import numpy as np
    common = node.keys() & offline.keys()
    largest = max((float(np.abs(node[s] - offline[s]).max()) for s in common), default=0.0)
    equal = bool(common) and len(common) == len(node) == len(offline) and largest <= TOLERANCE
    return {'node_actions': len(node), 'offline_actions': len(offline), 'common': len(common),
            'largest_difference': largest, 'is_equal': equal}


def run(args: argparse.Namespace) -> int:
    """Compare all bags; 0 if every action is equal."""
    import json

    from rich.console import Console
    from rich.table import Table
    import torch

    from dysl_vla_ros.cli.closed_loop import NodeProcess, command, process_environment, ros_prefix
    from dysl_vla_ros.cli.offline_eval import load_policies, unique_names
    from dysl_vla_ros.cli.play import player_parameters
    from dysl_vla_ros.errors import ConfigError
    from dysl_vla_ros.evaluation.offline import OfflineEvaluation
    from dysl_vla_ros.evaluation.replay_events import ReplaySettings
    from dysl_vla_ros.resources import resolve

    out = Path(args.out or f'runs/parity-{time.strftime("%Y%m%d-%H%M%S")}')
    if out.exists():
        raise ConfigError(f'{out} exists; choose another --out folder or delete it')
    out.mkdir(parents=True)
    torch.set_num_threads(1)
    policies = load_policies([args.checkpoint], [args.strategy], 'cpu')
    uses_robot_obs = any(p.model.config.head.use_state for p in policies.values())
    is_lockstep = args.timing == 'lockstep'
    prefix, environment = ros_prefix(), process_environment()
    paths = [Path(bag) for bag in args.bags]
    rows: dict[str, dict[str, Any]] = {}
    node = NodeProcess('policy_node', prefix + command('policy_node', {
        'checkpoint': str(resolve(args.checkpoint).resolve()), 'strategy': args.strategy,
        'trigger': 'observation' if is_lockstep else 'timer',
        'use_sim_time': not is_lockstep}), environment, out / 'policy_node.log')
    try:
        node.wait_for('active; waiting')
        for path, name in zip(paths, unique_names(paths), strict=True):
            answers = out / f'{name}_node'
            player = NodeProcess('bag_player_node', prefix + command(
                'bag_player_node', player_parameters(path, args.timing, str(answers), args.rate)),
                environment, out / f'{name}_player.log')
            if player.process.wait() != 0:
                raise ConfigError(player.ended())
            source = path if is_lockstep else answers
            settings = ReplaySettings('observation' if is_lockstep else 'recorded',
                                      uses_robot_obs=uses_robot_obs)
            with OfflineEvaluation(policies, out / f'{name}_offline', settings) as evaluation:
                result = evaluation.evaluate(source, name)
            if result.failure:
                raise ConfigError(result.failure)
            predictions = out / f'{name}_offline' / 'predictions' / f'{name}_{args.strategy}'
            rows[name] = {**compare(actions_by_stamp(answers), actions_by_stamp(predictions)),
                          'problems': result.problems}
            print(f'{name}: {rows[name]}', flush=True)
    finally:
        node.interrupt()
        node.wait()
    (out / 'parity.json').write_text(json.dumps(
        {'format': 1, 'timing': args.timing, 'strategy': args.strategy, 'tolerance': TOLERANCE,
         'bags': rows}, indent=1), encoding='utf-8')
    table = Table(title=f'Node ({args.timing}) against offline, {args.strategy}')
    for column in ('bag', 'actions of the node', 'offline', 'largest difference', 'equal'):
        table.add_column(column)
    for name, row in rows.items():
        table.add_row(name, str(row['node_actions']), str(row['offline_actions']),
                      f'{row["largest_difference"]:.1e}', 'yes' if row['is_equal'] else 'NO')
    Console().print(table)
    return 0 if all(row['is_equal'] for row in rows.values()) else 1
