# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla overhead``: what the policy node adds to the model's own time.

    dysl-vla overhead --seconds 60 --out runs/overhead

A process of its own publishes two cameras at 30 Hz (and joint states and tool pose) to a policy
node that runs the shipped weights; the node's process notes when each image arrived and when the
action left. ``--arm`` adds what a robot needs: bounds, Servo twists, measured pose.
"""

import argparse
from collections.abc import Mapping
import json
import os
from pathlib import Path
import time
from typing import Any

MEDIAN_MS, P99_MS = 2.0, 8.0
DEFAULT_CHECKPOINT = 'package://dysl_vla_ros/weights/dysl-mini'
DDS_PROFILE = 'package://dysl_vla_ros/config/dds/fastdds_images.xml'
_ARM: dict[str, Any] = {
    'outputs.twist': True, 'outputs.gripper': 'float64', 'outputs.gripper_open': 0.08,
    'safety.mode': 'unbounded', 'safety.dry_run': False}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--seconds', type=float, default=30.0,
                        help='length of one measurement (default: %(default)s)')
    parser.add_argument('--trigger', nargs='+', choices=('timer', 'observation'),
                        default=['timer', 'observation'], help='default: both')
    parser.add_argument('--size', default='640x480', help='of both cameras (default: %(default)s)')
    parser.add_argument('--rate', type=float, default=30.0, help='images per second and camera')
    parser.add_argument('--arm', action='store_true',
                        help='with Servo twists, gripper and the measured pose as on a robot')
    parser.add_argument('--transport', choices=('images', 'default'), default='images',
                        help='images: shared memory sized for images (config/dds/'
                             'fastdds_images.xml); default: what Fast DDS does by itself, which '
                             'loses large images on a busy machine')
    parser.add_argument('--checkpoint', default=DEFAULT_CHECKPOINT,
                        help='weights folder (default: %(default)s)')
    parser.add_argument('--strategy', default='dysl', help='strategy (default: %(default)s)')
    parser.add_argument('--out', help='new results folder (default: runs/overhead-<time>)')


def measure(folder: Path, trigger: str, seconds: float, policy: Mapping[str, Any],
            source: Mapping[str, Any], transport: str = 'images') -> dict[str, Any]:
    """One measurement with two new processes; returns ``overhead_summary``.

    Raises:
        SimulationError: If a process ends early.
    """
    from dysl_vla_ros.cli.closed_loop import NodeProcess, command, process_environment, ros_prefix
    from dysl_vla_ros.errors import SimulationError
    from dysl_vla_ros.evaluation.overhead import overhead_summary, step_times
    from dysl_vla_ros.resources import resolve
    prefix, environment = ros_prefix(), process_environment()
    if transport == 'images':
        # After the wrapper of a source checkout, which has its own idea of the second one.
        prefix = [*prefix, 'env', f'FASTRTPS_DEFAULT_PROFILES_FILE={resolve(DDS_PROFILE)}',
                  'ROS_AUTOMATIC_DISCOVERY_RANGE=SYSTEM_DEFAULT']
    file = folder / f'{trigger}_times.json'
    words = command('overhead_probe', {**policy, 'trigger': trigger})
    words.insert(3, str(file.resolve()))
    nodes = [NodeProcess('overhead_probe', prefix + words, environment,
                         folder / f'{trigger}_policy_node.log')]
    try:
        nodes[0].wait_for('active; waiting')
        nodes.append(NodeProcess(
            'camera_source_node', prefix + command('camera_source_node', source), environment,
            folder / f'{trigger}_camera_source_node.log'))
        nodes[0].wait_for('instruction: ')
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            for node in nodes:
                if node.process.poll() is not None:
                    raise SimulationError(node.ended())
            time.sleep(0.2)
    finally:
        for node in nodes:
            node.interrupt()
        for node in nodes:
            node.wait()
    for node in nodes:
        if node.process.returncode:
            raise SimulationError(node.ended())
    times = json.loads(file.read_text(encoding='utf-8'))
    file.unlink()
    images = len(times['arrivals']) / 2
    return {**overhead_summary(step_times(times)), 'images_per_camera': images,
            'load_average': os.getloadavg()[0]}


def run(args: argparse.Namespace) -> int:
    """Measure and print the table; 1 if a target is missed."""
    from dysl_vla_ros.errors import ConfigError
    from dysl_vla_ros.evaluation.manifest import build_manifest
    from dysl_vla_ros.resources import resolve
    out = Path(args.out or f'runs/overhead-{time.strftime("%Y%m%d-%H%M%S")}')
    if (out / 'overhead.json').exists():
        raise ConfigError(f'{out} already holds a measurement; choose another --out folder')
    out.mkdir(parents=True, exist_ok=True)
    weights = resolve(args.checkpoint)
    manifest = build_manifest(vars(args), weights, renderer='none')
    policy = {'policy_factory': 'dysl_vla_ros.nodes.overhead_probe:create',
              'checkpoint': str(weights.resolve()), 'strategy': args.strategy,
              **(_ARM if args.arm else {})}
    source = {'size': args.size, 'rate_hz': args.rate}
    rows = {}
    for trigger in args.trigger:
        rows[trigger] = measure(out, trigger, args.seconds, policy, source, args.transport)
        rows[trigger]['verdict'] = verdict(rows[trigger])
    (out / 'overhead.json').write_text(json.dumps(
        {'format': 1, 'targets': {'p50_ms': MEDIAN_MS, 'p99_ms': P99_MS}, 'triggers': rows,
         'manifest': manifest}, indent=1), encoding='utf-8')
    _show(rows)
    print(f'numbers: {out}/overhead.json')
    return 0 if all(row['verdict'] == 'PASS' for row in rows.values()) else 1


def verdict(row: Mapping[str, Any]) -> str:
    """PASS, FAIL, or 'no steps'."""
    overhead = row['overhead_ms']
    if not overhead['count']:
        return 'no steps'
    return 'PASS' if overhead['p50'] <= MEDIAN_MS and overhead['p99'] <= P99_MS else 'FAIL'


def _show(rows: Mapping[str, Mapping[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    console = Console()
    table = Table(title='Last needed image in the process to publish, less the model: '
                        'median / p95 / p99, ms')
    names = {'overhead_ms': 'overhead', 'take_ms': 'to the callback',
             'hand_over_ms': 'to the model', 'publish_ms': 'after the model',
             'overhead_with_resize_ms': 'with the resize', 'model_ms': 'model (not counted)',
             'tick_wait_ms': 'waiting for the tick (not counted)'}
    table.add_column('')
    for trigger in rows:
        table.add_column(trigger)
    for key, name in names.items():
        table.add_row(name, *('-' if not row[key]['count'] else
                              f'{row[key]["p50"]:.2f} / {row[key]["p95"]:.2f} / '
                              f'{row[key]["p99"]:.2f}' for row in rows.values()))
    for key, name, factor, unit in (
            ('ros_cpu_share', 'processor, all but the model', 100, ' %'),
            ('model_cpu_share', 'processor, the model', 100, ' %'),
            ('rate_hz', 'actions per second', 1, ''), ('steps', 'steps', 1, ''),
            ('load_average', 'load average of the machine', 1, '')):
        table.add_row(name, *('-' if row[key] is None else f'{factor * row[key]:.1f}{unit}'
                              for row in rows.values()))
    table.add_row(f'median <= {MEDIAN_MS:.0f} ms, p99 <= {P99_MS:.0f} ms',
                  *(row['verdict'] for row in rows.values()))
    console.print(table)
