# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla soak``: both nodes live for half an hour; does anything grow or get lost?

    dysl-vla soak --minutes 30 --out runs/soak

The bridge runs furniture tasks at 30 Hz, the policy node answers, and every few minutes it is
deactivated or even unloaded and brought back. Afterwards memory must not have grown, every request
must have been answered, and every message must be accounted for. Exit code 1 if not.
"""

import argparse
from collections.abc import Sequence
import json
import os
from pathlib import Path
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dysl_vla_ros.evaluation.soak import Check

DEFAULT_CHECKPOINT = 'package://dysl_vla_ros/weights/dysl-mini'
_CYCLES = (('deactivate', 'activate'), ('deactivate', 'cleanup', 'configure', 'activate'))
_ANSWER_S = 120.0  # loading a large model takes its time; the time taken is in the result
_EPISODES_PER_MINUTE = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--minutes', type=float, default=30.0, help='default: %(default)s')
    parser.add_argument('--every', type=float, default=60.0,
                        help='seconds between lifecycle cycles (default: %(default)s)')
    parser.add_argument('--sample', type=float, default=10.0,
                        help='seconds between two looks at memory (default: %(default)s)')
    parser.add_argument('--warm-up', type=float,
                        help='seconds left out of the fit (default: a quarter of the run)')
    parser.add_argument('--max-growth', type=float, default=20.0,
                        help='MB by which the fitted line may rise (default: %(default)s)')
    parser.add_argument('--checkpoint', default=DEFAULT_CHECKPOINT,
                        help='weights folder (default: %(default)s)')
    parser.add_argument('--strategy', default='dysl', help='strategy (default: %(default)s)')
    parser.add_argument('--out', help='new results folder (default: runs/soak-<time>)')


def run(args: argparse.Namespace) -> int:
    """Run, judge, write; 1 if a check fails."""
    from dysl_vla_ros.cli.closed_loop import NodeProcess, command, process_environment, require_ros
    from dysl_vla_ros.errors import ConfigError
    from dysl_vla_ros.evaluation.manifest import build_manifest
    from dysl_vla_ros.evaluation.soak import Check
    from dysl_vla_ros.evaluation.suites import build_suite, save_suite
    from dysl_vla_ros.resources import resolve
    require_ros('soak')
    from dysl_vla_ros.nodes.soak_observer import SoakObserver
    out = Path(args.out or f'runs/soak-{time.strftime("%Y%m%d-%H%M%S")}')
    if (out / 'soak.json').exists():
        raise ConfigError(f'{out} already holds a soak; choose another --out folder')
    out.mkdir(parents=True, exist_ok=True)
    weights = resolve(args.checkpoint)
    manifest = build_manifest(vars(args), weights)
    count = 8 + int(args.minutes * _EPISODES_PER_MINUTE)
    suite = save_suite(build_suite('furniture-singles', count), out / 'suite.json')
    environment = process_environment()
    observer = SoakObserver(int(environment['ROS_DOMAIN_ID']))
    nodes: list[NodeProcess] = []
    try:
        for name, parameters in (
                ('policy_node', {'checkpoint': str(weights.resolve()), 'strategy': args.strategy,
                                 'trigger': 'timer', 'use_sim_time': True}),
                ('sim_bridge_node', {'mode': 'live', 'suite': str(suite.resolve())})):
            nodes.append(NodeProcess(name, command(name, parameters), environment,
                                     out / f'{name}.log'))
            nodes[-1].wait_for({'policy_node': 'active; waiting',
                                'sim_bridge_node': 'world ready'}[name])
        run_ = _Soak(args, observer, nodes)
        run_.run()
        checks = run_.finish(args.minutes * 15.0 if args.warm_up is None else args.warm_up)
    finally:
        for node in reversed(nodes):
            node.interrupt()
        for node in nodes:
            node.wait()
        observer.close()
    checks.append(Check('ends of the processes', not any(n.process.returncode for n in nodes),
                        ', '.join(f'{n.name} {n.process.returncode}' for n in nodes)))
    passed = all(check.passed for check in checks)
    (out / 'soak.json').write_text(json.dumps({
        'format': 1, 'passed': passed, 'checks': [vars(check) for check in checks],
        'times_s': run_.times_s, 'memory_mb': run_.memory_mb, 'requests': run_.requests,
        'diagnostics': observer.diagnostics, 'manifest': manifest}, indent=1), encoding='utf-8')
    from dysl_vla_ros.evaluation.soak import draw_memory
    draw_memory(run_.times_s, run_.memory_mb, [r['at_s'] for r in run_.requests],
                out / 'memory.png')
    _show(checks, args.minutes)
    print(f'numbers: {out}/soak.json; memory over time: {out}/memory.png')
    return 0 if passed else 1


class _Soak:
    """The run between start and end of the processes (policy node first)."""

    def __init__(self, args: argparse.Namespace, observer: Any, nodes: Sequence[Any]) -> None:
        self._args, self._observer, self._nodes = args, observer, nodes
        self.times_s: list[float] = []
        self.memory_mb: dict[str, list[float]] = {node.name: [] for node in nodes}
        self.requests: list[dict[str, Any]] = []

    def run(self) -> None:
        """Look and ask until the time is over.

        Raises:
            SimulationError: If a process ends early.
        """
        from dysl_vla_ros.errors import SimulationError
        from dysl_vla_ros.nodes.memory import resident_memory_mb
        begin_s = time.monotonic()
        end_s = begin_s + 60.0 * self._args.minutes
        sample_s, cycle_s, cycle = begin_s, begin_s + self._args.every, 0
        # The last cycle leaves the loop time to come back before the counts are taken.
        while (now_s := time.monotonic()) < end_s:
            for node in self._nodes:
                if node.process.poll() is not None:
                    raise SimulationError(node.ended())
            if now_s >= sample_s:
                sample_s += self._args.sample
                self.times_s.append(now_s - begin_s)
                for node in self._nodes:
                    self.memory_mb[node.name].append(resident_memory_mb(node.process.pid))
            if now_s >= cycle_s and now_s < end_s - 0.25 * self._args.every:
                cycle_s += self._args.every
                for transition in _CYCLES[cycle % len(_CYCLES)]:
                    success, took_s = self._observer.request(transition, _ANSWER_S)
                    self.requests.append({'at_s': now_s - begin_s, 'transition': transition,
                                          'success': success, 'took_s': took_s})
                cycle += 1
            time.sleep(0.1)

    def finish(self, warm_up_s: float) -> list['Check']:
        """End the bridge, then ask the policy node what it counted."""
        from dysl_vla_ros.evaluation.soak import Check, memory_check, message_checks
        bridge = self._nodes[1]
        at_s = time.monotonic()
        bridge.interrupt()
        bridge.wait()
        has_bridge = self._observer.wait_for_report('sim_bridge_node', at_s)
        has_policy = self._observer.wait_for_report('policy_node', time.monotonic() + 1.0)
        unanswered = [r for r in self.requests if not r['success']]
        slowest = max((r['took_s'] for r in self.requests), default=0.0)
        found = self._observer.diagnostics
        return [
            *(memory_check(name, self.times_s, values, warm_up_s, self._args.max_growth)
              for name, values in self.memory_mb.items()),
            Check('lifecycle requests', bool(self.requests) and not unanswered,
                  f'{len(self.requests) - len(unanswered)} of {len(self.requests)} answered with '
                  f'success, slowest {slowest:.2f} s'),
            Check('last counts of both nodes', has_bridge and has_policy,
                  f'bridge {"told" if has_bridge else "silent"}, policy '
                  f'{"told" if has_policy else "silent"}'),
            *message_checks(found.get('policy_node', {}), found.get('sim_bridge_node', {}),
                            self._observer.action_stamps, self._observer.stats)]


def _show(checks: Sequence['Check'], minutes: float) -> None:
    from rich.console import Console
    from rich.table import Table
    table = Table(title=f'Soak, {minutes:g} minutes, load average {os.getloadavg()[0]:.1f}')
    for column in ('check', '', 'numbers'):
        table.add_column(column)
    for check in checks:
        table.add_row(check.name, '[green]PASS' if check.passed else '[red]FAIL', check.detail)
    Console().print(table)
