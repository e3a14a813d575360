# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla COMMAND``: finds the command's module by name and runs it.

    dysl-vla --help
    python -m dysl_vla_ros.cli demo

Command modules are imported only when named; they import torch, PyBullet and ROS only inside
``run``. So help is instant and works on a bare interpreter.
"""

import argparse
from collections.abc import Sequence
import importlib
import sys

from dysl_vla_ros import __version__
from dysl_vla_ros.errors import DySLVLAError

COMMANDS = {
    'demo': 'three CALVIN furniture chains over ROS, dense and skipping, with a report',
    'evaluate': 'run a suite of episodes and print the CALVIN table',
    'report': 'rebuild the HTML report from result folders',
    'bench': 'time every module, dense and skipping interleaved',
    'bench-pass': "time the whole step against the original's way of doing it",
    'bench-sim': 'speed of the simulated world with its profile, against the original',
    'collect': 'record demonstrations by the scripted expert',
    'dataset': "describe a dataset in CALVIN's layout and read every frame",
    'export': 'write demonstrations as rosbag2 recordings or a LeRobot dataset',
    'expert': 'success of the scripted expert: 34 tasks, four scenes, the 1000 chains',
    'train': 'behaviour cloning of the dense policy',
    'faults': 'break things around a running policy node and watch what it sends',
    'overhead': "time the policy node adds to the model's own, and its share of the processor",
    'soak': 'both nodes live for half an hour: memory, lifecycle requests, counts of messages',
    'governor': 'live furniture tasks on a busy machine, without and with the compute governor',
    'conformance': 'compare the simulated world with recorded vectors of CALVIN',
    'convert': 'published checkpoint to one weights folder',
    'verify-reference': 'compare the network with recorded outputs of the originals',
    'distill': 'train adapters and controllers, or rival strategies, for a dense policy',
    'frontier': 'decoder time against action error of every strategy',
    'play': 'play a rosbag2 into a running policy node, in lockstep or in real time',
    'bag-parity': 'compare the policy node on a played bag with the offline run, action by action',
    'offline-eval': 'run policies over rosbag2 recordings without ROS and compare the actions',
}
INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``dysl-vla``; returns the exit code."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog='dysl-vla', description='Layer-skipping vision-language-action policies.')
    parser.add_argument('--version', action='version', version=__version__)
    subparsers = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    named = next((word for word in argv if not word.startswith('-')), None)
    modules = {}
    for name, text in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=text, description=text)
        if name == named:
            modules[name] = importlib.import_module(
                f'dysl_vla_ros.cli.{name.replace("-", "_")}')
            modules[name].add_arguments(subparser)
    args = parser.parse_args(argv)
    try:
        return int(modules[args.command].run(args))
    except DySLVLAError as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return INTERRUPTED


if __name__ == '__main__':
    sys.exit(main())
