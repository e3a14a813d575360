# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Chains of a running collection that ends in the packed layout (datasets/packed.py)."""

from collections.abc import Iterator
import json
import os
from pathlib import Path
import shutil
from typing import Any

import numpy as np

from dysl_vla_ros.datasets.packed import ARRAYS, write_packed
from dysl_vla_ros.sim.instructions import TRAINING
from dysl_vla_ros.training.collect_config import CollectConfig
from dysl_vla_ros.training.collect_manifest import collection_manifest
from dysl_vla_ros.training.rollout import Chain


class PackedStore:
    """One file per chain until all are there."""

    def __init__(self, folder: Path, config: CollectConfig) -> None:
        """Work in ``folder``."""
        self.folder, self.config = folder, config
        self._chains = folder / 'chains'

    @property
    def is_finished(self) -> bool:
        """Whether all chains are packed."""
        return (self.folder / 'manifest.json').is_file()

    def _file(self, index: int) -> Path:
        return self._chains / f'chain_{index:05d}.npz'

    def has(self, index: int) -> bool:
        """Whether chain ``index`` is complete."""
        return self._file(index).is_file()

    def save(self, chain: Chain) -> None:
        """Write a chain; it appears at once."""
        self._chains.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {
            name: np.array(chain.frames.get('rel_actions' if name == 'actions' else name, []))
            for name in ARRAYS}
        arrays['actions'] = arrays['actions'].astype(np.float32)
        episodes = [{'start': s['start'], 'end': s['end'], 'task': s['task'],
                     'instructions': list(TRAINING[s['task']]), 'seed': chain.index,
                     'success': s['success']} for s in chain.kept]
        temporary = self._file(chain.index).with_suffix(f'.{os.getpid()}')
        with temporary.open('wb') as stream:
            np.savez(stream, episodes=np.array(json.dumps(episodes)),
                     subtasks=np.array(json.dumps(chain.subtasks)), **arrays)
        temporary.replace(self._file(chain.index))

    def finish(self, commits: list[str]) -> None:
        """Join the chain files and write the manifest."""
        episodes: list[dict[str, Any]] = []
        subtasks: list[dict[str, Any]] = []
        count = 0
        for index in self.config.chain_numbers:
            with np.load(self._file(index), allow_pickle=False) as data:
                for episode in json.loads(str(data['episodes'])):
                    episodes.append({**episode, 'start': episode['start'] + count,
                                     'end': episode['end'] + count})
                subtasks += json.loads(str(data['subtasks']))
                count += len(data['actions'])
        assert self.config.image_size is not None
        write_packed(self.folder, self.config.image_size, count, episodes, self._parts(),
                     collection_manifest(self.config, subtasks, commits))
        shutil.rmtree(self._chains)

    def _parts(self) -> Iterator[dict[str, np.ndarray]]:
        for index in self.config.chain_numbers:
            with np.load(self._file(index), allow_pickle=False) as data:
                yield {name: data[name] for name in ARRAYS}
