# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a collection was made with and how often the expert succeeded; no times, no host."""

from importlib import metadata
from typing import Any

from dysl_vla_ros import __version__
from dysl_vla_ros.configuration import to_mapping
from dysl_vla_ros.training.collect_config import CollectConfig


def collection_manifest(config: CollectConfig, subtasks: list[dict[str, Any]],
                        commits: list[str]) -> dict[str, Any]:
    """Entries of manifest.json that every layout has.

    Args:
        config: The whole configuration; the number of workers changes nothing and is left out.
        subtasks: Of all chains, see ``Chain.subtasks``.
        commits: Commits that worked on the folder.
    """
    subtasks = [s for s in subtasks if s['task'] in config.tasks]
    tasks = sorted({s['task'] for s in subtasks})
    per_task = {}
    for task in tasks:
        own = [s for s in subtasks if s['task'] == task]
        kept = [s for s in own if s['start'] is not None]
        per_task[task] = {
            'attempts': len(own), 'success': sum(s['success'] for s in own),
            'episodes': len(kept), 'frames': sum(s['end'] - s['start'] for s in kept)}
    attempts, success = len(subtasks), sum(s['success'] for s in subtasks)
    return {
        'version': __version__, 'commits': commits,
        'config': {k: v for k, v in to_mapping(config).items() if k != 'workers'},
        'renderer': config.renderer, 'physics': config.physics,
        'packages': {name: metadata.version(name) for name in ('numpy', 'pybullet')},
        'attempts': attempts, 'success': success,
        'success_share': round(success / attempts, 6) if attempts else None,
        'per_task': per_task}
