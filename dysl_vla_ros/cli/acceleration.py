# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Options of precision and speed, the same for every command that runs a policy."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dysl_vla_ros.model.acceleration import Acceleration


def add_acceleration(parser: argparse.ArgumentParser) -> None:
    """Declare ``--dtype``, ``--int8``, ``--compile`` and ``--cuda-graphs``."""
    group = parser.add_argument_group('precision and speed')
    group.add_argument('--dtype', choices=('stored', 'fp32', 'bf16', 'fp16'), default='stored',
                       help='precision of the network; stored: that of its file')
    group.add_argument('--int8', action='store_true',
                       help="the decoder's matrices as int8 weights (needs torchao)")
    group.add_argument('--compile', action='store_true', help='torch.compile')
    group.add_argument('--cuda-graphs', action='store_true',
                       help='replay frequent decoder paths as CUDA graphs (on a GPU)')


def chosen_acceleration(args: argparse.Namespace) -> 'Acceleration':
    """What the command line asks for."""
    from dysl_vla_ros.model.acceleration import Acceleration
    return Acceleration(args.dtype, args.int8, args.compile, args.cuda_graphs)
