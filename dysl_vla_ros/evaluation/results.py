# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``results.json``: one run's scores, timings, layers and manifest, made from its recordings."""

from collections.abc import Sequence
import json
from pathlib import Path
from typing import Any

from dysl_vla_ros.errors import DatasetError
from dysl_vla_ros.evaluation.manifest import EXPERT
from dysl_vla_ros.evaluation.metrics import calvin_result, chain_metrics
from dysl_vla_ros.evaluation.recording import Recording
from dysl_vla_ros.evaluation.timing import control_summary, layer_summary, timing_summary

FILE = 'results.json'


def build_results(name: str, strategy: str, transport: str, recordings: Sequence[Recording],
                  manifest: dict[str, Any]) -> dict[str, Any]:
    """Aggregate finished recordings.

    Args:
        name: Of the suite.
        strategy: dysl, dense, another of ``skipping.names.STRATEGIES``, or ``expert``.
        transport: ``ros`` or ``in-process``.
        recordings: In the suite's order.
        manifest: ``build_manifest``.
    """
    episodes = [r.result for r in recordings]
    return {
        'format': 1, 'suite': name, 'strategy': strategy, 'transport': transport,
        'metrics': chain_metrics(episodes).to_mapping(),
        'calvin': calvin_result(f'{name}/{strategy}', episodes),
        'timing_ms': timing_summary(recordings), 'layers': layer_summary(recordings),
        'control': control_summary(recordings),
        'interrupted': sum(int(e.get('interrupted', 0)) for e in episodes),
        'episodes': episodes, 'manifest': manifest}


def strategy_label(results: dict[str, Any]) -> str:
    """The strategy as a table names it: the upper bound must not be taken for a policy."""
    name = str(results['strategy'])
    return f'{name} (privileged state)' if name == EXPERT else name


def write_results(folder: str | Path, results: dict[str, Any]) -> Path:
    """Write ``results.json`` atomically; returns its path."""
    path = Path(folder) / FILE
    partial = path.with_name(FILE + '.partial')
    partial.write_text(json.dumps(results, indent=1, allow_nan=False), encoding='utf-8')
    partial.replace(path)
    return path


def read_results(folder: str | Path) -> dict[str, Any]:
    """Read ``results.json``.

    Raises:
        DatasetError: If it is missing or of another format.
    """
    path = Path(folder) / FILE
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise DatasetError(f'{path}: {error}; expected the --out folder of dysl-vla evaluate '
                           'or demo') from error
    if data.get('format') != 1:
        raise DatasetError(f'{path}: format {data.get("format")!r}, expected 1; evaluate again')
    return data
