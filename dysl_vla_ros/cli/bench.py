# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dysl-vla bench``: time every module on equal observations, all strategies interleaved.

    dysl-vla bench --steps 200 --out bench.json
    dysl-vla bench --checkpoint runs/base --strategies dense dysl dysl_joint deer --budget 0.5
    dysl-vla bench --size roboflamingo-3b --random-weights --decoder-only --steps 12
    dysl-vla bench --device cuda --dtype bf16 --compile --cuda-graphs

All strategies see the same observations in alternation, so that a machine that slows down slows
all of them. Observations come from the simulator, driven by the scripted expert: one short episode
of each furniture task in turn, so that the dense warm-up steps count as often as in use. With
``--random-weights`` the network has any size and noise for input: figures of time and memory only.
"""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dysl_vla_ros.cli.acceleration import add_acceleration
from dysl_vla_ros.skipping.names import STRATEGIES

if TYPE_CHECKING:
    from dysl_vla_ros.skipping.policy import DySLPolicy

_EPISODE_STEPS = 30  # the scripted expert's mean
_RANDOM_DEFAULT = ('dense', 'dysl_closed', 'dysl_open', 'dysl_joint_closed', 'dysl_joint_open')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--checkpoint', default='package://dysl_vla_ros/weights/dysl-mini',
                        help='weights folder (default: %(default)s)')
    parser.add_argument('--strategies', nargs='+', metavar='NAME',
                        help='default: dense dysl. Others: ' + ', '.join(STRATEGIES)
                             + '. With --random-weights: ' + ', '.join(_RANDOM_DEFAULT)
                             + ', truncated')
    parser.add_argument('--budget', type=float,
                        help='share of decoder layers, for strategies with calibrated settings')
    parser.add_argument('--steps', type=int, default=200, help='observations')
    parser.add_argument('--device', default='cpu', help='torch device')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads')
    parser.add_argument('--seed', type=int, default=0, help='seed of the start state')
    parser.add_argument('--random-weights', action='store_true',
                        help='a network of --size with random weights, on random input')
    parser.add_argument('--size', default='roboflamingo-3b',
                        help='size with --random-weights (default: %(default)s)')
    parser.add_argument('--decoder-only', action='store_true',
                        help='with --random-weights: build no vision tower')
    parser.add_argument('--through-file', metavar='DIR',
                        help='with --random-weights: write the network to this folder (unless it '
                             'is there) and load it from it, so that the peak at load is that of '
                             'a checkpoint')
    add_acceleration(parser)
    parser.add_argument('--out', help='write the numbers to this JSON file, a plot beside it')


def run(args: argparse.Namespace) -> int:
    """Measure, print, and write JSON and a plot if asked."""
    import json
    from pathlib import Path

    import torch

    from dysl_vla_ros.errors import ConfigError
    from dysl_vla_ros.evaluation.bench import draw_stages, measure, memory_report, report
    from dysl_vla_ros.evaluation.manifest import build_manifest
    from dysl_vla_ros.evaluation.memory import PeakMemory
    from dysl_vla_ros.evaluation.random_policies import write_random_weights
    from dysl_vla_ros.model.config import VLAConfig
    from dysl_vla_ros.resources import resolve

    if args.steps < 1:
        raise ConfigError(f'--steps: got {args.steps}, expected a positive number')
    if args.decoder_only and not args.random_weights:
        raise ConfigError('--decoder-only needs --random-weights')
    if args.through_file and (not args.random_weights or args.decoder_only):
        raise ConfigError('--through-file needs --random-weights and a whole network')
    torch.set_num_threads(args.threads)
    if args.random_weights:
        manifest = build_manifest(vars(args), None, renderer='none: random input')
        if args.through_file:
            write_random_weights(VLAConfig.from_name(args.size), Path(args.through_file),
                                 args.seed)
    else:
        manifest = build_manifest(vars(args), resolve(args.checkpoint))
    with PeakMemory() as loading:
        policies = _random(args) if args.random_weights else _trained(args)
    steps = _noise(args, policies) if args.random_weights \
        else _observations(args, policies, manifest['renderer'])
    with PeakMemory() as running:
        results = measure(policies, steps)
    content = {'format': 1, 'manifest': manifest, **report(policies, results),
               'memory': memory_report(loading, running, policies.values()),
               'acceleration': next(iter(policies.values())).source['acceleration']}
    _show(args, policies, results, content)
    if {'dense', 'dysl'} <= results.keys() and results['dense'].layers:
        ratio = results['dense'].median('decoder_ms') / results['dysl'].median('decoder_ms')
        content['decoder_speed_up'] = ratio
        print(f'decoder: {ratio:.2f} times faster with skipping (medians)')
    if args.out:
        out = Path(args.out)
        out.write_text(json.dumps(content, indent=1), encoding='utf-8')
        print(f'numbers in {out}')
        if results[next(iter(results))].layers:
            title = args.size if args.random_weights else str(args.checkpoint)
            draw_stages(results, out.with_suffix('.png'), f'{title}, {args.threads} thread(s)')
            print(f'plot in {out.with_suffix(".png")}')
    return 0


def _trained(args: argparse.Namespace) -> dict[str, 'DySLPolicy']:
    """Policies of a weights folder; the network is loaded once."""
    from dysl_vla_ros.cli.acceleration import chosen_acceleration
    from dysl_vla_ros.resources import resolve
    from dysl_vla_ros.skipping.policy import DySLPolicy
    names = args.strategies or ['dense', 'dysl']
    return DySLPolicy.from_pretrained_many(
        resolve(args.checkpoint), {n: None if n == 'dense' else args.budget for n in names},
        args.device, acceleration=chosen_acceleration(args))


def _observations(args: argparse.Namespace, policies: dict[str, 'DySLPolicy'],
                  renderer: str) -> Iterator[Any]:
    import numpy as np
    from rich.progress import track

    from dysl_vla_ros.observation.observation import Observation
    from dysl_vla_ros.sim import PlayTableEnv
    from dysl_vla_ros.sim.expert import ScriptedExpert
    from dysl_vla_ros.sim.instructions import FURNITURE_TASKS, VALIDATION
    from dysl_vla_ros.sim.sampling import random_initial_state

    env = PlayTableEnv(renderer=renderer)
    expert = ScriptedExpert(env)
    rng = np.random.default_rng(args.seed)
    for i in track(range(args.steps), 'bench'):
        if i % _EPISODE_STEPS == 0:
            task = FURNITURE_TASKS[i // _EPISODE_STEPS % len(FURNITURE_TASKS)]
            state = env.reset(*random_initial_state(rng, task))
            expert.reset(task)
            for policy in policies.values():
                policy.reset(VALIDATION[task])
        observation = Observation(state['rgb_obs']['rgb_static'], state['rgb_obs']['rgb_gripper'],
                                  state['robot_obs'])
        yield lambda policy, seen=observation: policy.act(seen)
        state = env.step(expert.act(state))[0]
    env.close()


def _random(args: argparse.Namespace) -> dict[str, 'DySLPolicy']:
    """Policies with random weights."""
    from pathlib import Path

    from dysl_vla_ros.cli.acceleration import chosen_acceleration
    from dysl_vla_ros.evaluation.random_policies import random_policies
    from dysl_vla_ros.model.config import VLAConfig
    return random_policies(VLAConfig.from_name(args.size),
                           list(args.strategies or _RANDOM_DEFAULT), args.decoder_only, args.seed,
                           args.device, chosen_acceleration(args),
                           Path(args.through_file) if args.through_file else None)


def _noise(args: argparse.Namespace, policies: dict[str, 'DySLPolicy']) -> Iterator[Any]:
    import numpy as np
    from rich.progress import track
    import torch

    from dysl_vla_ros.observation.observation import Observation
    rng = np.random.default_rng(args.seed)
    model = next(iter(policies.values())).model
    config = model.config
    latents = 2 * config.resampler.latents
    for _ in track(range(args.steps), 'bench'):
        if args.decoder_only:
            media = torch.from_numpy(rng.standard_normal(
                (1, latents, config.vision.width), dtype=np.float32)).to(args.device, model.dtype)
            yield lambda policy, seen=media: policy.act_on_media(seen, None)
        else:
            images = [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (200, 84)]
            observation = Observation(images[0], images[1], np.zeros(15))
            yield lambda policy, seen=observation: policy.act(seen)


def _show(args: argparse.Namespace, policies: dict[str, 'DySLPolicy'], results: dict[str, Any],
          content: dict[str, Any]) -> None:
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from dysl_vla_ros.evaluation.bench import STAGES
    table = Table(title=f'Median / p95 in milliseconds over {args.steps} observations')
    table.add_column('module')
    for name in policies:
        table.add_column(name)
    for stage in STAGES:
        table.add_row(stage.removesuffix('_ms'), *[
            f'{r.median(stage):.2f} / {np.percentile(r.times[stage], 95):.2f}'
            if r.times[stage] else '-' for r in results.values()])
    entries = content['strategies'].values()
    table.add_row('whole step, median / p99', *[
        f'{e["timing_ms"]["total_ms"]["p50"]:.2f} / {e["timing_ms"]["total_ms"]["p99"]:.2f}'
        if e['timing_ms']['total_ms']['count'] else '-' for e in entries], style='bold')
    table.add_row('layers run, mean', *[
        f'{np.mean(r.layers):.2f}' if r.layers else '-' for r in results.values()])
    table.add_row('share of decoder layers', *[
        '-' if e['decoder_share'] is None else f'{e["decoder_share"]:.3f}' for e in entries])
    table.add_row('added weights, MB', *[f'{e["added_weight_bytes"] / 1e6:.2f}' for e in entries])
    table.add_row('decoder time / dense, paired', *[
        f'{e["against_dense"]["decoder_ms"]:.3f}' if 'against_dense' in e else '-'
        for e in entries])
    Console().print(table)
    sizes, memory = content['weight_bytes'], content['memory']
    print('weights: ' + ', '.join(f'{k} {v / 1e6:.1f} MB' for k, v in sizes.items()))
    print(f'memory: weights {memory["weights_bytes"] / 1e9:.3f} GB; peak at load '
          f'{memory["load_peak_bytes"] / 1e9:.3f} GB ({memory["load_ratio"]:.2f} of the weights), '
          f'in use {memory["use_peak_bytes"] / 1e9:.3f} GB ({memory["use_ratio"]:.2f}); process '
          f'{memory["process_peak_bytes"] / 1e9:.2f} GB')
    for name, reason in content['acceleration']['left_out'].items():
        print(f'{name} left out: {reason}')
    if 'amdahl' in content and not args.decoder_only:  # without vision the share says nothing
        a = content['amdahl']
        print(f'decoder share of a dense step {a["decoder_share_of_step"]:.1%}: no skipping can '
              f'make the step more than {a["largest_speed_up_of_step"]:.2f} times faster')
