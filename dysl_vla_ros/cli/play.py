# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla play BAG``: play a rosbag2 into a running policy node; needs no ``ros2 bag``.

    dysl-vla play BAG --mode realtime --record /tmp/answers

The policy node runs elsewhere, in the same ROS_DOMAIN_ID: with trigger observation for lockstep,
with trigger timer and use_sim_time for realtime.
"""

import argparse
from pathlib import Path
import subprocess


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('bag', help='rosbag2 folder or file')
    parser.add_argument('--mode', choices=('lockstep', 'realtime'), default='lockstep',
                        help='lockstep waits for every action; realtime keeps the times')
    parser.add_argument('--rate', type=float, default=1.0, help='realtime: times faster')
    parser.add_argument('--record', default='', metavar='DIR',
                        help='new bag for what was shown and what came back')
    parser.add_argument('--instruction', default='', help='replaces those in the bag')
    parser.add_argument('--topic', nargs='+', default=[], metavar='KEY:=NAME',
                        help='name of a topic in the bag where it differs')


def player_parameters(bag: Path, mode: str, record: str, rate: float = 1.0,
                      instruction: str = '', topics: tuple[str, ...] = (),
                      ) -> dict[str, str | int | float | bool]:
    """Parameters of bag_player_node."""
    return {'bag': str(bag.resolve()), 'mode': mode, 'rate': float(rate),
            'record': str(Path(record).resolve()) if record else '', 'instruction': instruction,
            'topics': ' '.join(topics)}


def run(args: argparse.Namespace) -> int:
    """Play to the end; the player's exit code."""
    from dysl_vla_ros.bags.reader import BagReader
    from dysl_vla_ros.bags.topics import remapped
    from dysl_vla_ros.cli.closed_loop import command, ros_prefix
    remapped(args.topic)  # complains here rather than in the log of a process
    with BagReader(args.bag) as bag:
        for problem in bag.problems:
            print(f'{args.bag}: {problem}')
    parameters = player_parameters(Path(args.bag), args.mode, args.record, args.rate,
                                   args.instruction, tuple(args.topic))
    return subprocess.run(ros_prefix() + command('bag_player_node', parameters),
                          check=False).returncode
