# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``index.html`` from result folders: a self-contained page without scripts or outside resources.

<out>/index.html, <out>/assets/*.png, *.jpg, *.mp4
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
import json
from pathlib import Path
import shutil
from typing import Any

from dysl_vla_ros.evaluation import plots
from dysl_vla_ros.evaluation.html import bullet_list as _list
from dysl_vla_ros.evaluation.html import fill_template
from dysl_vla_ros.evaluation.html import number as _number
from dysl_vla_ros.evaluation.html import table as _table
from dysl_vla_ros.evaluation.manifest import EXPERT
from dysl_vla_ros.evaluation.metrics import paired_difference
from dysl_vla_ros.evaluation.recording import Recording, read_recordings
from dysl_vla_ros.evaluation.results import read_results, strategy_label
from dysl_vla_ros.evaluation.timing import stage_values
from dysl_vla_ros.evaluation.video import POSTER

MAX_CHAINS = 12
NOT_MEASURED = (
    'No real robot. Everything here ran in PyBullet, scene D only.',
    "Not CALVIN's benchmark of 34 tasks and 1000 chains: the policy knows eight furniture tasks. "
    'Chain lengths must not be compared with published CALVIN scores.',
    "Furniture and robot are our own geometry of the same dimensions, not CALVIN's official "
    'assets, unless the configuration below names an assets folder.',
    'The policy was trained and tested in the same scene, with demonstrations of our scripted '
    'expert; no generalisation to other scenes (ABC to D) was tested.',
    'The published latencies (51.0 ms dense, 13.6 ms DySL on an RTX 4090, 3B parameters) were not '
    'reproduced: the model here is small and runs on a CPU, so ratios differ.',
    'No graph-captured or compiled dense decoder was timed, which is the strongest dense baseline '
    'on a GPU.',
)


@dataclass(frozen=True)
class _Run:
    results: dict[str, Any]
    recordings: list[Recording]

    @property
    def name(self) -> str:
        return str(self.results['strategy'])

    @property
    def label(self) -> str:
        return strategy_label(self.results)


def write_report(folders: Sequence[str | Path], out: str | Path,
                 title: str = 'DySL-VLA in closed loop',
                 notes: Sequence[str] = ()) -> Path:
    """Write the report of one or more runs.

    Args:
        folders: Result folders of ``dysl-vla evaluate``; runs of different strategies on the
            same suite are compared, the first one's chains are shown first.
        out: Folder of the report; its old index.html and assets are replaced.
        title: Heading.
        notes: Further entries of "what was not measured".

    Returns:
        Path of index.html.

    Raises:
        DatasetError: If a folder is not complete.
    """
    runs = [_read(folder) for folder in folders]
    out = Path(out)
    assets = out / 'assets'
    shutil.rmtree(assets, ignore_errors=True)
    assets.mkdir(parents=True)
    first = runs[0].results
    subtitle = (f'Suite {first["suite"]}, scene '
                f'{first["manifest"]["config"].get("scene", "calvin_scene_D")}, over '
                + ('ROS 2 in lockstep' if first['transport'] == 'ros' else 'one process (no ROS)')
                + f'. {first["manifest"]["date"][:10]}, {first["manifest"]["processor"]}.')
    page = fill_template(
        'report_template.html', title=escape(title), subtitle=escape(subtitle),
        tiles=_tiles(runs), scores=_scores(runs), costs=_costs(runs, assets),
        chains=_chains(runs, assets),
        not_measured=_list([*notes, *NOT_MEASURED]), manifest=_manifest(runs))
    index = out / 'index.html'
    index.write_text(page, encoding='utf-8')
    return index


def _read(folder: str | Path) -> _Run:
    results = read_results(folder)
    order = [e['episode_id'] for e in results['episodes']]
    return _Run(results, read_recordings(folder, order))


def _interval(estimate: dict[str, Any], percent: bool) -> str:
    scale, digits, unit = (100, 0, ' %') if percent else (1, 2, '')
    return (f'{scale * estimate["value"]:.{digits}f}{unit} <small>'
            f'[{scale * estimate["low"]:.{digits}f}, {scale * estimate["high"]:.{digits}f}]'
            '</small>')


def _tiles(runs: Sequence[_Run]) -> str:
    tiles = []
    for run in runs:
        length = run.results['metrics']['average_length']
        most = len(run.results['metrics']['success_rates'])
        decoder = run.results['timing_ms']['decoder_ms']['p50']
        tiles.append((f'{length["value"]:.2f} of {most}',
                      f'subtasks in a row, {run.label}, {length["count"]} episodes'))
        if decoder is not None:
            tiles.append((_number(decoder, 2, ' ms'), f'decoder, {run.name}, median'))
        layers = run.results['layers']
        if layers['n_layers'] and run.name != 'dense':
            tiles.append((f'{layers["total"]["mean"]:.1f} of {layers["n_layers"]}',
                          f'decoder layers per step, {run.name}, mean'))
    return '<div class="tiles">' + ''.join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(text)}</span></div>'
        for value, text in tiles) + '</div>'


def _scores(runs: Sequence[_Run]) -> str:
    longest = max(len(r.results['metrics']['success_rates']) for r in runs)
    rows = []
    for run in runs:
        metrics = run.results['metrics']
        rates = [_interval(e, True) for e in metrics['success_rates']]
        rows.append([escape(run.label), str(metrics['average_length']['count']), *rates,
                     *[''] * (longest - len(rates)), _interval(metrics['average_length'], False)])
    head = ['strategy', 'episodes', *(f'{i} in a row' for i in range(1, longest + 1)),
            'average length']
    text = ('<p class="muted">CALVIN protocol: one reset per episode, the next instruction starts '
            'at once, at most 360 steps per subtask, a failure ends the episode. Brackets: 95 % '
            'intervals (Wilson for rates, bootstrap for lengths).</p>')
    if any(r.name == EXPERT for r in runs):
        text += ('<p class="muted">expert: a script that reads the privileged state of the '
                 'simulation instead of images. It is the upper bound of this table, not a '
                 'policy.</p>')
    if len(runs) > 1:
        lines = []
        for other in runs[1:]:
            d = paired_difference(runs[0].results['episodes'], other.results['episodes'])
            lines.append(f'{runs[0].name} minus {other.name}, paired by episode: {d.value:+.2f} '
                         f'subtasks [{d.low:+.2f}, {d.high:+.2f}], {d.count} episodes.')
        text += ''.join(f'<p>{escape(line)}</p>' for line in lines)
    tasks = sorted({t for r in runs for t in r.results['metrics']['per_task']})
    task_rows = []
    for task in tasks:
        cells = []
        for run in runs:
            e = run.results['metrics']['per_task'].get(task)
            cells.append(f'{round(e["value"] * e["count"])} of {e["count"]} '
                         f'<small>[{100 * e["low"]:.0f}, {100 * e["high"]:.0f}] %</small>'
                         if e else '<small>not attempted</small>')
        task_rows.append([escape(task.replace('_', ' ')), *cells])
    return (_table(head, rows) + text + '<details open><summary>Success per attempted task'
            '</summary>' + _table(['task', *(escape(r.label) for r in runs)], task_rows)
            + '</details>')


def _costs(runs: Sequence[_Run], assets: Path) -> str:
    rows = []
    stages = {'vision_ms': 'vision', 'decoder_ms': 'decoder', 'head_ms': 'action head',
              'total_ms': 'whole policy step', 'latency_ms': 'image to action, node'}
    for key, name in stages.items():
        for run in runs:
            s = run.results['timing_ms'][key]
            if s['count']:
                rows.append([name, escape(run.label), *(_number(s[q]) for q in
                             ('p50', 'p95', 'p99', 'max')), str(s['count'])])
    layer_rows = []
    for run in runs:
        layers = run.results['layers']
        if layers['n_layers']:
            layer_rows.append([
                escape(run.name), f'{layers["committed"]["mean"]:.2f} of {layers["n_layers"]}',
                f'{layers["total"]["mean"]:.2f}', f'{100 * layers["verified_share"]:.1f} %',
                str(layers['steps'])])
    pictures = []
    for key, label in (('decoder_ms', 'Decoder time'), ('total_ms', 'Whole policy step')):
        plots.draw_latency({r.name: stage_values(r.recordings, key) for r in runs},
                           assets / f'{key}.png', label)
        pictures.append((f'{key}.png', f'Histogram: {label.lower()} per strategy'))
    plots.draw_layer_shares({r.name: r.results['layers'].get('share_per_layer', [])
                             for r in runs}, assets / 'layers.png')
    pictures.append(('layers.png', 'Share of steps in which each layer ran'))
    return (_table(['stage', 'strategy', 'median ms', 'p95', 'p99', 'maximum', 'steps'], rows)
            + '<p class="muted">Wall time on the machine named above, the simulator running '
            'beside it. The first step after each instruction is left out. Decoder time contains '
            'controllers, adapters and verification.</p>'
            + _table(['strategy', 'layers whose result was used', 'layers run in all',
                      'steps verified', 'steps'], layer_rows)
            + '<div class="pictures">' + ''.join(
                f'<img src="assets/{name}" alt="{escape(alt)}">' for name, alt in pictures)
            + '</div>')


def _chains(runs: Sequence[_Run], assets: Path) -> str:
    parts = []
    left = MAX_CHAINS
    # Skipping runs first: they are what the page is about.
    for run in sorted(runs, key=lambda r: r.name in ('dense', EXPERT)):
        shown = run.recordings[:left]
        left -= len(shown)
        parts += [_chain(run, recording, assets, f'{run.name}_{i:02d}')
                  for i, recording in enumerate(shown)]
        if len(shown) < len(run.recordings):
            parts.append(f'<p class="muted">{len(run.recordings) - len(shown)} more episodes of '
                         f'{escape(run.name)} are in the results folder.</p>')
    return ''.join(parts)


def _chain(run: _Run, recording: Recording, assets: Path, name: str) -> str:
    # File names are numbered: an episode's id may hold characters that a URL may not.
    plots.draw_timeline(recording, assets / f'{name}.png')
    done, total = int(recording.result['succeeded']), len(recording.spec.subtasks)
    steps = list(recording.result['steps'])
    items = []
    for i, subtask in enumerate(recording.spec.subtasks):
        if i < done:
            verdict = f'<span class="ok">success after {steps[i]} steps</span>'
        elif i < len(steps):
            reason = recording.result.get('reason')
            why = f'given up: {escape(str(reason))}' if reason else f'{steps[i]} steps used up'
            verdict = f'<span class="failed">failed, {why}</span>'
        else:
            verdict = '<span class="untried">not attempted</span>'
        items.append(f'<li>&ldquo;{escape(subtask.instruction)}&rdquo; '
                     f'<small class="muted">({escape(subtask.task)})</small> {verdict}</li>')
    video = '<p class="muted">No video was recorded.</p>'
    if recording.video is not None:
        shutil.copyfile(recording.video, assets / f'{name}.mp4')
        poster = ''
        if (recording.folder / POSTER).is_file():
            shutil.copyfile(recording.folder / POSTER, assets / f'{name}.jpg')
            poster = f' poster="assets/{name}.jpg"'
        video = (f'<video controls muted preload="metadata" src="assets/{name}.mp4"{poster}>'
                 '</video>')
    badge = 'badge good' if done == total else 'badge'
    return (f'<section class="chain"><h3>{escape(recording.spec.episode_id)}, {escape(run.label)}'
            f'<span class="{badge}">{done} of {total}</span></h3>'
            f'<ol class="subtasks">{"".join(items)}</ol>{video}'
            f'<img src="assets/{name}.png" alt="Layers over time, trajectory continuity and '
            f'gripper of {escape(recording.spec.episode_id)}"><p class="muted">Vertical lines: '
            'next instruction. Dotted red: the gripper command changes. Orange: the step was '
            'predicted again with all layers.</p></section>')


def _manifest(runs: Sequence[_Run]) -> str:
    manifest = runs[0].results['manifest']
    rows = [[escape(key), escape(str(manifest.get(key)))] for key in
            ('package', 'commit', 'date', 'python', 'system', 'processor', 'cores', 'ros_distro',
             'renderer', 'physics')]
    rows += [[escape(name), escape(str(version))]
             for name, version in manifest['packages'].items()]
    checkpoint = manifest.get('checkpoint') or {}
    rows += [[escape(name), f'<small>sha256 {escape(value)}</small>']
             for name, value in checkpoint.get('sha256', {}).items()]
    rows.append(['policy restarts', str(sum(r.results.get('interrupted', 0) for r in runs))])
    text = escape(json.dumps([r.results['manifest'] for r in runs], indent=1))
    return (_table(['', ''], rows) + '<details><summary>Complete manifests</summary><pre>'
            + text + '</pre></details>')
