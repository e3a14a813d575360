# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla bench``: time every module on equal observations, dense and skipping interleaved.

    dysl-vla bench --steps 200 --out bench.json

Both strategies see the same observations in alternation, so that a machine that slows down
slows both. Observations come from the simulator, driven by the scripted expert: one short episode
of each furniture task in turn, so that the dense warm-up steps count as often as in use.
"""

import argparse

_EPISODE_STEPS = 30  # the scripted expert's mean


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--checkpoint', default='package://dysl_vla_ros/weights/dysl-mini',
                        help='weights folder (default: %(default)s)')
    parser.add_argument('--strategies', nargs='+', default=['dense', 'dysl'],
                        choices=('dense', 'dysl'))
    parser.add_argument('--steps', type=int, default=200, help='observations')
    parser.add_argument('--device', default='cpu', help='torch device')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads')
    parser.add_argument('--seed', type=int, default=0, help='seed of the start state')
    parser.add_argument('--out', help='write the numbers to this JSON file')


def run(args: argparse.Namespace) -> int:
    """Measure, print, and write JSON if asked."""
    import json
    from pathlib import Path

    import numpy as np
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table
    import torch

    from dysl_vla_ros.errors import ConfigError
    from dysl_vla_ros.evaluation.manifest import build_manifest
    from dysl_vla_ros.evaluation.timing import summarise
    from dysl_vla_ros.observation.observation import Observation
    from dysl_vla_ros.resources import resolve
    from dysl_vla_ros.sim import PlayTableEnv
    from dysl_vla_ros.sim.expert import ScriptedExpert
    from dysl_vla_ros.sim.instructions import FURNITURE_TASKS, VALIDATION
    from dysl_vla_ros.sim.sampling import random_initial_state
    from dysl_vla_ros.skipping.policy import DySLPolicy

    if args.steps < 1:
        raise ConfigError(f'--steps: got {args.steps}, expected a positive number')
    torch.set_num_threads(args.threads)
    weights = resolve(args.checkpoint)
    manifest = build_manifest(vars(args), weights)
    policies = {s: DySLPolicy.from_pretrained(weights, s, args.device) for s in args.strategies}
    env = PlayTableEnv(renderer=manifest['renderer'])
    expert = ScriptedExpert(env)
    rng = np.random.default_rng(args.seed)
    stages = ('preprocess_ms', 'vision_ms', 'decoder_ms', 'head_ms', 'total_ms')
    times: dict[str, dict[str, list[float]]] = {
        s: {stage: [] for stage in stages} for s in policies}
    layers: dict[str, list[int]] = {s: [] for s in policies}
    for i in track(range(args.steps), 'bench'):
        if i % _EPISODE_STEPS == 0:
            task = FURNITURE_TASKS[i // _EPISODE_STEPS % len(FURNITURE_TASKS)]
            state = env.reset(*random_initial_state(rng, task))
            expert.reset(task)
            for policy in policies.values():
                policy.reset(VALIDATION[task])
        observation = Observation(state['rgb_obs']['rgb_static'], state['rgb_obs']['rgb_gripper'],
                                  state['robot_obs'])
        order = list(policies) if i % 2 == 0 else list(policies)[::-1]
        for name in order:
            step = policies[name].act(observation)
            if i:  # the first one pays for caches
                layers[name].append(step.trace.n_executed_total)
                for stage in stages:
                    times[name][stage].append(getattr(step.timing, stage))
        state = env.step(expert.act(state))[0]
    env.close()
    report = {'format': 1, 'manifest': manifest, 'strategies': {
        s: {'timing_ms': {stage: summarise(v) for stage, v in times[s].items()},
            'layers': summarise(layers[s])} for s in policies}}
    table = Table(title=f'Median / p95 in milliseconds over {args.steps} observations')
    table.add_column('module')
    for name in policies:
        table.add_column(name)
    for stage in stages:
        table.add_row(stage.removesuffix('_ms'), *[
            f'{np.median(times[s][stage]):.2f} / {np.percentile(times[s][stage], 95):.2f}'
            if times[s][stage] else '-' for s in policies])
    table.add_row('layers run, mean', *[f'{np.mean(v):.2f}' if v else '-'
                                        for v in layers.values()])
    Console().print(table)
    if {'dense', 'dysl'} <= times.keys():
        ratio = np.median(times['dense']['decoder_ms']) / np.median(times['dysl']['decoder_ms'])
        report['decoder_speed_up'] = float(ratio)
        print(f'decoder: {ratio:.2f} times faster with skipping (medians)')
    if args.out:
        Path(args.out).write_text(json.dumps(report, indent=1), encoding='utf-8')
        print(f'numbers in {args.out}')
    return 0
