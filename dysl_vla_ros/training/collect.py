# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Collect demonstrations by the scripted expert, in parallel; a killed run resumes exactly.

Each chain depends on the configuration and its own number alone and appears in the output folder
at once (a rename) when it is complete; what was killed is done again. So any number of
interruptions ends in the same bytes as none.
"""

from collections.abc import Callable
import json
import multiprocessing
from multiprocessing import connection
import os
from pathlib import Path
import threading
from typing import Any

from dysl_vla_ros.configuration import from_mapping, to_mapping
from dysl_vla_ros.errors import ConfigError, DatasetError
from dysl_vla_ros.training.calvin_store import CalvinStore
from dysl_vla_ros.training.collect_config import CollectConfig
from dysl_vla_ros.training.packed_store import PackedStore
from dysl_vla_ros.training.provenance import git_commit
from dysl_vla_ros.training.rollout import ChainCollector

__all__ = ['CollectConfig', 'collect']
_STAMP, _COMMITS = 'config.json', 'commits.json'
_STORES: dict[str, type[PackedStore] | type[CalvinStore]] = {
    'packed': PackedStore, 'calvin': CalvinStore}


class _Worker:
    """What a process keeps between chains."""

    def __init__(self, config: CollectConfig, folder: Path) -> None:
        self.collector = ChainCollector(config)
        self.store = _STORES[config.format](folder, config)

    def run(self, index: int) -> int:
        chain = self.collector.collect(index)
        self.store.save(chain)
        return len(chain)


_job: tuple[CollectConfig, Path] | None = None
_worker: _Worker | None = None


def _start_worker(config: CollectConfig, folder: Path) -> None:
    global _job, _worker
    parent = multiprocessing.parent_process()
    if parent is not None:
        # A killed parent cannot stop its workers; they must not go on beside its successor's.
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    # Built with the first chain: an error here would make the pool start workers for ever.
    _job, _worker = (config, folder), None


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _collect_one(index: int) -> int:
    global _worker
    if _worker is None:
        assert _job is not None
        _worker = _Worker(*_job)
    return _worker.run(index)


def collect(config: CollectConfig, folder: str | Path,
            progress: Callable[[int, int], None] | None = None) -> Path:
    """Collect all chains into ``folder``; resumes what is missing.

    Args:
        config: What to collect.
        folder: Output folder; may hold the chains of an interrupted run of the same config.
        progress: Called with (chains done, frames collected by this call).

    Returns:
        The dataset folder.

    Raises:
        DatasetError: If the folder holds chains of a different configuration.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _check_stamp(folder, config)
    store = _STORES[config.format](folder, config)
    if store.is_finished:
        return folder
    commits = _remember_commit(folder)
    jobs = [i for i in config.chain_numbers if not store.has(i)]
    frames, done = 0, len(config.chain_numbers) - len(jobs)
    if progress is not None:
        progress(done, 0)
    if jobs:
        context = multiprocessing.get_context('spawn')
        with context.Pool(min(config.workers, len(jobs)), _start_worker,
                          (config, folder)) as pool:
            for count in pool.imap_unordered(_collect_one, jobs):
                done, frames = done + 1, frames + count
                if progress is not None:
                    progress(done, frames)
    store.finish(commits)
    return folder


def _wanted(config: CollectConfig) -> dict[str, Any]:
    """What decides the result: all but the number of processes."""
    return {k: v for k, v in to_mapping(config).items() if k != 'workers'}


def _check_stamp(folder: Path, config: CollectConfig) -> None:
    stamp = folder / _STAMP
    if stamp.is_file() and ((folder / 'chains').is_dir() or (folder / 'manifest.json').is_file()):
        text = stamp.read_text()
        try:  # a folder of an earlier version lacks keys: their defaults are what it had
            stored = _wanted(from_mapping(CollectConfig, json.loads(text), str(stamp)))
        except (ConfigError, json.JSONDecodeError):
            stored = None
        if stored != _wanted(config):
            raise DatasetError(f'{folder} holds chains of another configuration '
                               f'({text}); choose another folder or delete it')
    temporary = stamp.with_suffix('.tmp')
    temporary.write_text(json.dumps(_wanted(config), indent=1))
    temporary.replace(stamp)


def _remember_commit(folder: Path) -> list[str]:
    """Commits that worked on this folder, oldest first; usually one."""
    path = folder / _COMMITS
    commits: list[str] = json.loads(path.read_text()) if path.is_file() else []
    if git_commit() not in commits:
        commits.append(git_commit())
        temporary = path.with_suffix('.tmp')
        temporary.write_text(json.dumps(commits))
        temporary.replace(path)
    return commits
