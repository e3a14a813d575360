# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a result was made with: versions, commit, machine, weights, configuration."""

from datetime import datetime, timezone
import hashlib
from importlib import metadata
import json
import os
from pathlib import Path
import platform
from typing import Any

from dysl_vla_ros import __version__
from dysl_vla_ros.errors import CheckpointError
from dysl_vla_ros.resources import source_git

PACKAGES = ('torch', 'numpy', 'pybullet', 'safetensors', 'opencv-python-headless',
            'imageio-ffmpeg')
EXPERT = 'expert'  # stands where a strategy's name stands: scripted, from privileged state
PHYSICS = 'calvin'  # of evaluations unless asked otherwise; see sim/physics.py
RENDERER = 'tiny_layered'  # of evaluations and of the bridge; see sim/layered_renderer.py


def build_manifest(config: dict[str, Any], checkpoint: Path | None = None,
                   renderer: str = RENDERER, physics: str = PHYSICS) -> dict[str, Any]:
    """Collect everything needed to repeat a run.

    Args:
        config: The complete resolved configuration of the run, JSON-ready.
        checkpoint: Weights folder, or None for a scripted policy.
        renderer: Which renderer made the images.
        physics: Which physics moved the world.
    """
    return {
        'package': __version__, 'commit': _commit(),
        'date': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'python': platform.python_version(), 'system': platform.platform(),
        'processor': _processor(), 'cores': os.cpu_count(),
        'packages': {name: _version(name) for name in PACKAGES},
        'ros_distro': os.environ.get('ROS_DISTRO') or (
            'jazzy (PyPI wheels)' if _version('rclpy') else None),
        'renderer': renderer, 'physics': physics,
        'checkpoint': describe_checkpoint(checkpoint), 'config': config}


def describe_checkpoint(folder: Path | None) -> dict[str, Any] | None:
    """Folder, hashes of its weight files and its provenance.

    Raises:
        CheckpointError: If the folder has no model.safetensors.
    """
    if folder is None:
        return None
    if not (folder / 'model.safetensors').is_file():
        raise CheckpointError(f'{folder}: no model.safetensors; expected a weights folder written '
                              'by dysl-vla train')
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
             for path in sorted(folder.glob('*.safetensors'))}
    described: dict[str, Any] = {'folder': str(folder), 'sha256': files}
    for name in ('provenance', 'skipping'):
        path = folder / f'{name}.json'
        if path.is_file():
            described[name] = json.loads(path.read_text(encoding='utf-8'))
    return described


def _commit() -> str | None:
    commit, changes = source_git('rev-parse', 'HEAD'), source_git('status', '--porcelain')
    if commit is None or changes is None:
        return None
    return commit + (' with local changes' if changes else '')


def _processor() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(':', 1)[1].strip() for line in lines
                 if line.startswith('model name')), platform.machine())


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
