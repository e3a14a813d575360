# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Chains of a running collection that ends in CALVIN's layout.

While it runs, ``chains/chain_00012/`` holds the frames of a complete chain and its chain.json.
At the end the frames move to ``training/`` and ``validation/``, numbered uniquely over both;
``chains.json`` says what each chain holds, with the hash of its frames, and ``manifest.json``,
written last, marks the data set as complete.
"""

import hashlib
import json
import os
from pathlib import Path
import shutil
from typing import Any

import numpy as np

from dysl_vla_ros.datasets.calvin import SPLITS, Annotation
from dysl_vla_ros.datasets.calvin_writer import write_index
from dysl_vla_ros.datasets.frames import frame_name, write_frame
from dysl_vla_ros.datasets.statistics import Statistics
from dysl_vla_ros.errors import DatasetError
from dysl_vla_ros.sim import cameras
from dysl_vla_ros.sim.instructions import VALIDATION
from dysl_vla_ros.sim.physics import get_physics
from dysl_vla_ros.training.collect_config import CollectConfig
from dysl_vla_ros.training.collect_manifest import collection_manifest
from dysl_vla_ros.training.rollout import Chain

_RECORD, _STATES_FILE = 'chain.json', 'states.npz'
_STATES = ('robot_obs', 'scene_obs', 'actions')


class CalvinStore:
    """One folder per chain until all are there, then their frames move to the splits."""

    def __init__(self, folder: Path, config: CollectConfig) -> None:
        """Work in ``folder``."""
        self.folder, self.config = folder, config
        self._chains = folder / 'chains'

    @property
    def is_finished(self) -> bool:
        """Whether the data set is complete."""
        return (self.folder / 'manifest.json').is_file()

    def _chain_folder(self, index: int) -> Path:
        return self._chains / f'chain_{index:05d}'

    def has(self, index: int) -> bool:
        """Whether chain ``index`` is complete."""
        return (self._chain_folder(index) / _RECORD).is_file()

    def save(self, chain: Chain) -> None:
        """Write a chain; it appears at once."""
        partial = self._chain_folder(chain.index).with_suffix(f'.{os.getpid()}')
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        digest = hashlib.sha256()
        for number in range(len(chain)):
            path = partial / frame_name(number)
            write_frame(path, {name: values[number] for name, values in chain.frames.items()})
            digest.update(path.read_bytes())
        states: dict[str, Any] = {name: np.array(values) for name, values in chain.frames.items()
                                  if name in _STATES and len(chain)}
        np.savez(partial / _STATES_FILE, **states)
        (partial / _RECORD).write_text(json.dumps({
            'index': chain.index, 'frames': len(chain), 'noise': chain.noise,
            'sha256': digest.hexdigest(), 'subtasks': chain.subtasks}))
        try:
            partial.rename(self._chain_folder(chain.index))
        except OSError:  # an equal one is there: a worker outlived the run that started it
            if not self.has(chain.index):
                raise
            shutil.rmtree(partial)

    def split(self, index: int) -> str:
        """Split of chain ``index``."""
        every = self.config.held_out_every
        return SPLITS[every > 0 and (index + 1) % every == 0]

    def finish(self, commits: list[str]) -> None:
        """Number the frames, move them, write the index files and the manifest.

        May be killed and called again: a frame is either still here or already there.
        """
        chains = [json.loads((self._chain_folder(i) / _RECORD).read_text())
                  for i in range(self.config.chains)]
        first = 0
        for chain in chains:
            chain['first'] = first
            chain['split'] = self.split(chain['index'])
            self._move(chain)
            first += chain['frames']
        for split in SPLITS:
            self._write_split(split, [c for c in chains if c['split'] == split and c['frames']])
        content = json.dumps(chains, indent=0)
        (self.folder / 'chains.json').write_text(content)
        subtasks = [s for chain in chains for s in chain['subtasks']]
        manifest = {
            **collection_manifest(self.config, subtasks, commits),
            'frames': first, 'episodes': sum(s['start'] is not None for s in subtasks),
            'wordings': len({s['instruction'] for s in subtasks if s['start'] is not None}),
            # Of every frame file, through the chains' own hashes.
            'sha256': hashlib.sha256(content.encode()).hexdigest()}
        temporary = self.folder / 'manifest.tmp'
        temporary.write_text(json.dumps(manifest, indent=1))
        temporary.replace(self.folder / 'manifest.json')
        shutil.rmtree(self._chains)

    def _move(self, chain: dict[str, Any]) -> None:
        target = self.folder / chain['split']
        target.mkdir(exist_ok=True)
        for number in range(chain['frames']):
            source = self._chain_folder(chain['index']) / frame_name(number)
            final = target / frame_name(chain['first'] + number)
            if source.is_file():
                source.replace(final)
            elif not final.is_file():
                raise DatasetError(f'{source}: frame lost between two runs; delete '
                                   f'{self._chain_folder(chain["index"])} and collect again')

    def _write_split(self, split: str, chains: list[dict[str, Any]]) -> None:
        folder = self.folder / split
        if not chains:  # few chains: no held-out one, or none with a success
            return
        states: dict[str, list[np.ndarray]] = {name: [] for name in _STATES}
        annotations = []
        for chain in chains:
            with np.load(self._chain_folder(chain['index']) / _STATES_FILE) as data:
                for name in _STATES:
                    states[name].append(data[name])
            annotations += [
                Annotation(chain['first'] + s['start'], chain['first'] + s['end'] - 1, s['task'],
                           s['instruction'])
                for s in chain['subtasks'] if s['start'] is not None]
        spans = [(c['first'], c['first'] + c['frames'] - 1) for c in chains]
        is_training = split == 'training'
        statistics = Statistics.of(*(np.concatenate(states[name]) for name in _STATES))
        write_index(
            folder, spans, annotations, statistics,
            {self.config.scene: (spans[0][0], spans[-1][1])} if is_training else None,
            None if is_training else VALIDATION, self._render_config())

    def _render_config(self) -> dict[str, Any]:
        """How the frames were rendered, with the names of CALVIN's own configuration."""
        def camera(spec: cameras.CameraSpec, name: str) -> dict[str, Any]:
            size = self.config.image_size
            return {'name': name, 'fov': spec.fov_deg, 'aspect': spec.width / spec.height,
                    'nearval': spec.near_m, 'farval': spec.far_m, 'width': size or spec.width,
                    'height': size or spec.height}

        static = camera(cameras.STATIC_CAMERA, 'static')
        static |= {'look_at': list(cameras.STATIC_TARGET),
                   'look_from': list(cameras.STATIC_EYE), 'up_vector': list(cameras.STATIC_UP)}
        return {
            'cameras': {'static': static, 'gripper': camera(cameras.GRIPPER_CAMERA, 'gripper')},
            'scene': {'name': self.config.scene},
            'env': {'bullet_time_step': float(get_physics(self.config.physics).rate_hz),
                    'control_freq': 30, 'use_vr': False,
                    'use_egl': self.config.renderer == 'egl'},
            'dysl_vla_ros': {'renderer': self.config.renderer,
                             'physics': self.config.physics,
                             'assets': 'official' if self.config.assets_dir else 'built-in'}}
