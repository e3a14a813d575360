# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write what an offline evaluation found: ``offline.json`` and a page to look at.

<out>/index.html, <out>/assets/*.png, <out>/offline.json (docs/reference/offline_format.md)
"""

from collections.abc import Sequence
from html import escape
import json
from pathlib import Path
import shutil
from typing import Any

import numpy as np

from dysl_vla_ros.control.action_spec import MAX_POSITION_STEP_M, MAX_ROTATION_STEP_RAD
from dysl_vla_ros.evaluation import offline_plots, plots
from dysl_vla_ros.evaluation.html import (
    bullet_list,
    fill_template,
    number,
    pictures,
    table,
    tiles,
)
from dysl_vla_ros.evaluation.offline import OfflineEvaluation
from dysl_vla_ros.evaluation.offline_metrics import AXES, Moment
from dysl_vla_ros.evaluation.offline_result import STAGES, BagResult, pooled

MAX_BAGS_SHOWN = 12
NOT_MEASURED = (
    'Success. Predictions never moved the arm: the next observation is the recorded one whatever '
    'was predicted. A policy may differ from the recording and still succeed, and the reverse.',
    'Latency in the node: times here are the policy alone, without messages and queues.',
    'Whether the recorded commands are good. They are the yardstick, not the truth.',
)


def summary(evaluation: OfflineEvaluation, results: Sequence[BagResult],
            manifest: dict[str, Any]) -> dict[str, Any]:
    """Everything that was found, JSON-ready."""
    return {
        'format': 1,
        'policies': {name: pooled(results, name).summary() for name in evaluation.worst},
        'bags': [result.summary() for result in results],
        'worst': {name: [_moment(m) for m in worst.moments]
                  for name, worst in evaluation.worst.items()},
        'manifest': manifest}


def _moment(moment: Moment) -> dict[str, Any]:
    return {'error': moment.score, 'bag': moment.bag, 'time_s': moment.time_s,
            'instruction': moment.instruction, 'step': moment.step,
            'predicted': moment.predicted.tolist(), 'recorded': moment.recorded.tolist()}


def write_offline_report(out: Path, evaluation: OfflineEvaluation, results: Sequence[BagResult],
                         manifest: dict[str, Any]) -> Path:
    """Write offline.json, index.html and its pictures; returns the page."""
    found = summary(evaluation, results, manifest)
    (out / 'offline.json').write_text(json.dumps(found, indent=1), encoding='utf-8')
    assets = out / 'assets'
    shutil.rmtree(assets, ignore_errors=True)
    assets.mkdir(parents=True)
    done = [r for r in found['bags'] if not r['failure']]
    page = fill_template(
        'offline_template.html', title='Policies on recorded bags',
        subtitle=escape(f'{len(done)} of {len(results)} bags evaluated without ROS, open loop. '
                        f'{manifest["date"][:10]}, {manifest["processor"]}.'),
        tiles=_tiles(found), bags=_bags(found), errors=_errors(found, assets),
        costs=_costs(found, results, assets), curves=_curves(results, assets),
        worst=_worst(evaluation, assets), not_measured=bullet_list(NOT_MEASURED),
        manifest=_manifest(manifest))
    index = out / 'index.html'
    index.write_text(page, encoding='utf-8')
    return index


def _tiles(found: dict[str, Any]) -> str:
    shown = []
    for name, policy in found['policies'].items():
        errors = policy['errors']
        shown.append((number(errors['mae_mm'], 2, ' mm'), f'mean error per axis and step, {name}'))
        gripper = errors['gripper']
        shown.append((number(gripper['f1'] if gripper else None), f'gripper F1, {name}'))
        layers = policy['layers']
        if layers['n_layers']:
            shown.append((f'{layers["total"]["mean"]:.1f} of {layers["n_layers"]}',
                          f'layers per step, {name}'))
    return tiles(shown)


def _bags(found: dict[str, Any]) -> str:
    rows, notes = [], []
    for bag in found['bags']:
        state = 'not evaluated' if bag['failure'] else (
            f'{len(bag["problems"])} remarks' if bag['problems'] else 'complete')
        colour = 'failed' if bag['failure'] else 'untried' if bag['problems'] else 'ok'
        count = next((p['errors']['count'] for p in bag['policies'].values()), 0)
        rows.append([
            escape(bag['name']), f'<span class="{colour}">{state}</span>',
            f'{bag["duration_s"]:.1f}', str(bag['steps']), str(count), bag['trigger'],
            number(bag['steps_per_s'], 1), str(len(bag['instructions']))])
        texts = ([bag['failure']] if bag['failure'] else []) + bag['problems']
        if texts:
            notes.append(f'<h3>{escape(bag["name"])}</h3>' + bullet_list(texts))
    return (table(['bag', 'state', 'seconds', 'steps', 'compared', 'trigger',
                   'steps per second', 'instructions'], rows) + ''.join(notes)
            + '<p class="muted">Compared: steps with a recorded command. Trigger: how the '
            'observations were chosen (observation and timer as the node does; recorded: the '
            'inputs that the recorded statistics name). Steps per second: reading, decoding, all '
            'policies and writing together.</p>')


def _errors(found: dict[str, Any], assets: Path) -> str:
    policies = found['policies']
    rows, axis_rows = [], []
    for name, policy in policies.items():
        e, drift = policy['errors'], policy['drift']
        cosine, gripper = e['cosine'] or {}, e['gripper'] or {}
        rows.append([
            escape(name), str(e['count']), number(e['mae_mm']), number(e['mae_mrad']),
            number(cosine.get('translation'), 3), number(cosine.get('rotation'), 3),
            number(gripper.get('f1'), 3), number(gripper.get('f1_close'), 3),
            number(drift['after_1s']['mm']['p50'], 1), number(drift['after_1s']['mm']['p95'], 1),
            number(drift['at_end']['mm']['p50'], 1)])
        for kind in ('mae', 'rmse'):
            values = e[kind] or {}
            axis_rows.append([escape(name), kind.upper(),
                              *(number(values.get(axis), 4) for axis in AXES)])
    offline_plots.draw_axis_errors({n: p['errors'] for n, p in policies.items()},
                                   assets / 'axes.png')
    per_bag = [[escape(bag['name']), escape(name), str(p['errors']['count']),
                number(p['errors']['mae_mm']), number(p['errors']['mae_mrad']),
                number((p['errors']['cosine'] or {}).get('pose'), 3),
                number((p['errors']['gripper'] or {}).get('f1'), 3),
                number(p['drift']['at_end']['mm']['p50'], 1)]
               for bag in found['bags'] if not bag['failure']
               for name, p in bag['policies'].items()]
    return (table(['policy', 'steps', 'MAE mm', 'MAE mrad', 'cosine, translation',
                   'cosine, rotation', 'gripper F1', 'F1 of closing',
                   'drift after 1 s, mm, median', 'p95', 'drift at the end, mm, median'], rows)
            + '<p class="muted">Drift: both action sequences summed up from equal starts, '
            'distance of the two targets; at the end of each instruction. Cosine: mean over steps '
            'in which both move.</p>'
            + table(['policy', f'in units of {1e3 * MAX_POSITION_STEP_M:.0f} mm and '
                     f'{1e3 * MAX_ROTATION_STEP_RAD:.0f} mrad', *AXES], axis_rows)
            + pictures([('axes.png', 'Mean absolute error per axis')])
            + '<details open><summary>By bag</summary>'
            + table(['bag', 'policy', 'steps', 'MAE mm', 'MAE mrad', 'cosine', 'gripper F1',
                     'drift at the end, mm, median'], per_bag) + '</details>')


def _costs(found: dict[str, Any], results: Sequence[BagResult], assets: Path) -> str:
    rows, layer_rows = [], []
    for name, policy in found['policies'].items():
        for stage in STAGES:
            s = policy['timing_ms'][stage]
            if s['count']:
                rows.append([stage.removesuffix('_ms'), escape(name),
                             *(number(s[q]) for q in ('p50', 'p95', 'p99', 'max')),
                             str(s['count'])])
        layers = policy['layers']
        if layers['n_layers']:
            layer_rows.append([escape(name),
                               f'{layers["total"]["mean"]:.2f} of {layers["n_layers"]}',
                               f'{100 * layers["verified_share"]:.1f} %', str(policy['steps']),
                               str(policy['limited'])])
    times = {name: np.concatenate([np.asarray(r.policies[name].times_ms['decoder_ms'])
                                   for r in results]) for name in found['policies']}
    plots.draw_latency(times, assets / 'decoder_ms.png', 'Decoder time')
    plots.draw_layer_shares({name: p['layers']['share_per_layer']
                             for name, p in found['policies'].items()}, assets / 'layers.png')
    return (table(['stage', 'policy', 'median ms', 'p95', 'p99', 'maximum', 'steps'], rows)
            + '<p class="muted">Policies take turns on every observation, so all of them meet the '
            'same machine. The first step after each instruction is left out.</p>'
            + table(['policy', 'layers run, mean', 'steps verified', 'steps', 'limited'],
                    layer_rows)
            + pictures([('decoder_ms.png', 'Histogram of decoder times'),
                        ('layers.png', 'Share of steps in which each layer ran')]))


def _curves(results: Sequence[BagResult], assets: Path) -> str:
    parts = []
    shown = [r for r in results if any(len(p.curves.error) for p in r.policies.values())]
    for index, result in enumerate(shown[:MAX_BAGS_SHOWN]):
        curves = {name: p.curves for name, p in result.policies.items()}
        first = next(iter(curves.values()))
        worst_s = first.time_s[int(np.argmax(first.error))]
        offline_plots.draw_error(curves, assets / f'error_{index:02d}.png')
        low, high = offline_plots.draw_axes(curves, assets / f'axes_{index:02d}.png', worst_s)
        name = escape(result.name)
        parts.append(
            f'<section class="chain"><h3>{name}</h3>'
            f'<img src="assets/error_{index:02d}.png" alt="Error over time, {name}">'
            f'<details{" open" if not index else ""}><summary>Axis by axis, second {low:.0f} to '
            f'{high:.0f}</summary><img src="assets/axes_{index:02d}.png" '
            f'alt="Predicted and recorded actions, {name}"></details></section>')
    if not shown:
        return '<p>No recorded commands to compare with.</p>'
    left = len(shown) - MAX_BAGS_SHOWN
    return (''.join(parts) + (f'<p class="muted">{left} more bags are in steps.csv.</p>'
                              if left > 0 else '')
            + '<p class="muted">Error: length of the difference over the six axes, plus 1 where '
            'the gripper command differs. Long recordings show the largest error of each '
            'stretch.</p>')


def _worst(evaluation: OfflineEvaluation, assets: Path) -> str:
    parts = []
    for p, (name, worst) in enumerate(evaluation.worst.items()):
        shown = []
        for m, moment in enumerate(m for m in worst.moments if m.score > 0):
            file = f'worst_{p}_{m}.png'
            offline_plots.draw_moment(moment, name, assets / file)
            text = escape(f'{moment.bag}, second {moment.time_s:.2f}, step {moment.step}: error '
                          f'{moment.score:.2f}, "{moment.instruction}"')
            shown.append(f'<figure style="margin:0"><img src="assets/{file}" alt="{text}">'
                         f'<figcaption class="muted">{text}</figcaption></figure>')
        if shown:
            parts.append(f'<h3>{escape(name)}</h3><div class="pictures">' + ''.join(shown)
                         + '</div>')
    return ''.join(parts) or '<p>No recorded commands to compare with.</p>'


def _manifest(manifest: dict[str, Any]) -> str:
    keys = ('package', 'commit', 'date', 'python', 'system', 'processor', 'cores')
    return (table(['', ''], [[key, escape(str(manifest.get(key)))] for key in keys])
            + '<details><summary>Complete manifest</summary><pre>'
            + escape(json.dumps(manifest, indent=1)) + '</pre></details>')
