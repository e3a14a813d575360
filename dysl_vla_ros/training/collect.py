# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Collect demonstrations: chains of furniture tasks by the scripted expert.

Every frame's label is what the expert does in that state. What is executed may differ: the
expert's action plus correlated noise, or a learner's action (DAgger), so that the data covers
the states a policy reaches by its own mistakes. Each chain depends on its seed alone and is
written atomically; a killed run resumes with the missing chains.

Packed layout of the output folder: rgb_static.npy, rgb_gripper.npy (N, s, s, 3) uint8,
robot_obs.npy (N, 15) and scene_obs.npy (N, 24) float64, actions.npy (N, 7) float32,
episodes.json and manifest.json.
"""

from collections.abc import Callable
from dataclasses import dataclass
import hashlib
import json
import multiprocessing
from pathlib import Path
import shutil
from typing import Any

import numpy as np

from dysl_vla_ros import __version__
from dysl_vla_ros.configuration import to_mapping
from dysl_vla_ros.errors import DatasetError
from dysl_vla_ros.observation.observation import Observation
from dysl_vla_ros.observation.preprocess import resize
from dysl_vla_ros.sim import PlayTableEnv, TaskOracle
from dysl_vla_ros.sim.expert import ScriptedExpert
from dysl_vla_ros.sim.instructions import TRAINING
from dysl_vla_ros.sim.sampling import feasible_furniture_tasks, random_initial_state
from dysl_vla_ros.training.layout import ARRAYS

_NOISE_MEMORY = 0.8
_NOISE_STEP = 0.6


@dataclass(frozen=True)
class CollectConfig:
    """What to collect.

    Attributes:
        scene: CALVIN scene.
        image_size: Side of the stored square images in pixels; the model's input size.
        chains: Number of chains; one reset each.
        subtasks: Tasks per chain.
        max_steps: Steps after which a subtask counts as failed (its frames are kept only when a
            learner drives, because the labels are right all the same).
        noise_max: Largest standard deviation of the action noise, drawn per chain.
        clean_share: Share of chains without noise.
        workers: Processes.
        renderer: Renderer of the play table.
        seed: First seed; chain i uses (seed, i) alone.
        learner: Weights folder of a policy that drives a share of the steps, or None.
        learner_strategy: How the learner runs; with dysl the states are those that skipping leads
            to, which is what distillation should see.
        learner_share: Probability per subtask that the learner drives it.
    """

    scene: str = 'calvin_scene_D'
    image_size: int = 80
    chains: int = 340
    subtasks: int = 5
    max_steps: int = 150
    noise_max: float = 0.35
    clean_share: float = 0.3
    workers: int = 2
    seed: int = 1
    learner: str | None = None
    learner_strategy: str = 'dense'
    learner_share: float = 0.8
    renderer: str = 'tiny'

    def __post_init__(self) -> None:
        """Raise ValueError for a count below one or a share outside [0, 1]."""
        if min(self.image_size, self.chains, self.subtasks, self.max_steps, self.workers) < 1:
            raise ValueError('image_size, chains, subtasks, max_steps and workers must be >= 1')
        if self.seed < 0:
            raise ValueError(f'seed must be >= 0, got {self.seed}')
        if not (0 <= self.clean_share <= 1 and 0 <= self.learner_share <= 1):
            raise ValueError('clean_share and learner_share must lie in [0, 1]')


class ChainCollector:
    """Rolls out one chain at a time, each in a fresh environment.

    A reset leaves traces of the motion before it in the physics engine's caches: in a used
    environment the last bits of a chain would depend on the chains before it.
    """

    def __init__(self, config: CollectConfig) -> None:
        """If asked for, load the learner."""
        self.config = config
        self.oracle = TaskOracle()
        self.learner: Any = None
        if config.learner is not None:
            import torch

            from dysl_vla_ros.skipping.policy import DySLPolicy
            torch.set_num_threads(1)
            self.learner = DySLPolicy.from_pretrained(config.learner, config.learner_strategy)

    def collect(self, index: int) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
        """Roll out chain ``index``; returns its arrays and episode entries (local indices)."""
        config = self.config
        rng = np.random.default_rng((config.seed, index))
        noise = 0.0 if rng.random() < config.clean_share else rng.uniform(0.05, config.noise_max)
        frames: dict[str, list[np.ndarray]] = {name: [] for name in ARRAYS}
        episodes: list[dict[str, Any]] = []
        self.env = PlayTableEnv(config.scene, renderer=config.renderer)
        self.expert = ScriptedExpert(self.env)
        observation = self.env.reset(*random_initial_state(rng, scene=config.scene))
        for _ in range(config.subtasks):
            task = str(rng.choice(feasible_furniture_tasks(observation['scene_obs'],
                                                           self.env.scene)))
            start = len(frames['actions'])
            observation, success = self._subtask(task, observation, noise, rng, frames)
            if success or self.learner is not None:
                episodes.append({
                    'start': start, 'end': len(frames['actions']), 'task': task,
                    'instructions': list(TRAINING[task]), 'seed': index, 'success': success})
            else:
                for values in frames.values():
                    del values[start:]
            if not success:
                break
        self.env.close()
        return {name: np.array(values) for name, values in frames.items()}, episodes

    def _subtask(self, task: str, observation: dict[str, Any], noise: float,
                 rng: np.random.Generator,
                 frames: dict[str, list[np.ndarray]]) -> tuple[dict[str, Any], bool]:
        self.expert.reset(task)
        start_info = self.env.get_info()
        learner_drives = self.learner is not None and rng.random() < self.config.learner_share
        if learner_drives:
            self.learner.reset(str(rng.choice(TRAINING[task])))
        error = np.zeros(6)
        for _ in range(self.config.max_steps):
            label = self.expert.act(observation)
            size = self.config.image_size
            frames['rgb_static'].append(resize(observation['rgb_obs']['rgb_static'], size, 'area'))
            frames['rgb_gripper'].append(
                resize(observation['rgb_obs']['rgb_gripper'], size, 'area'))
            frames['robot_obs'].append(observation['robot_obs'])
            frames['scene_obs'].append(observation['scene_obs'])
            frames['actions'].append(label.astype(np.float32))
            if learner_drives:
                rgb = observation['rgb_obs']
                executed = self.learner.act(Observation(
                    rgb['rgb_static'], rgb['rgb_gripper'], observation['robot_obs'])).action
            else:
                error = _NOISE_MEMORY * error + _NOISE_STEP * noise * rng.normal(size=6)
                executed = np.append(np.clip(label[:6] + error, -1, 1), label[6])
            observation, _, _, info = self.env.step(executed)
            if self.oracle.get_task_info_for_set(start_info, info, (task,)):
                return observation, True
        return observation, False


_collector: ChainCollector | None = None


def _start_worker(config: CollectConfig) -> None:
    global _collector
    _collector = ChainCollector(config)


def _collect_to_file(job: tuple[int, str]) -> tuple[int, int]:
    index, folder = job
    assert _collector is not None
    arrays, episodes = _collector.collect(index)
    target = Path(folder) / f'chain_{index:05d}.npz'
    temporary = target.with_suffix('.tmp')
    with temporary.open('wb') as stream:
        np.savez(stream, episodes=np.array(json.dumps(episodes)), **arrays)  # type: ignore[arg-type]
    temporary.replace(target)
    return index, len(arrays['actions'])


def collect(config: CollectConfig, folder: str | Path,
            progress: Callable[[int, int], None] | None = None) -> Path:
    """Collect all chains into ``folder`` and pack them; resumes what is missing.

    Args:
        config: What to collect.
        folder: Output folder; may hold the chains of an interrupted run of the same config.
        progress: Called with (chains done, frames so far).

    Returns:
        The packed dataset folder.

    Raises:
        DatasetError: If the folder holds chains of a different configuration.
    """
    folder = Path(folder)
    chains = folder / 'chains'
    chains.mkdir(parents=True, exist_ok=True)
    wanted = {k: v for k, v in to_mapping(config).items() if k != 'workers'}
    stamp = folder / 'config.json'
    if stamp.is_file() and json.loads(stamp.read_text()) != wanted:
        raise DatasetError(f'{folder} holds chains of another configuration '
                           f'({stamp.read_text()}); choose another folder or delete it')
    stamp.write_text(json.dumps(wanted, indent=1))
    if (folder / 'manifest.json').is_file():
        return folder
    jobs = [(i, str(chains)) for i in range(config.chains)
            if not (chains / f'chain_{i:05d}.npz').is_file()]
    frames = 0
    done = config.chains - len(jobs)
    context = multiprocessing.get_context('spawn')
    with context.Pool(config.workers, _start_worker, (config,)) as pool:
        for _, count in pool.imap_unordered(_collect_to_file, jobs):
            done, frames = done + 1, frames + count
            if progress is not None:
                progress(done, frames)
    return pack(folder, config)


def pack(folder: Path, config: CollectConfig) -> Path:
    """Join the chain files into the packed layout and write the manifest."""
    files = [folder / 'chains' / f'chain_{i:05d}.npz' for i in range(config.chains)]
    episodes: list[dict[str, Any]] = []
    counts: list[int] = []
    for file in files:
        with np.load(file, allow_pickle=False) as data:
            offset = sum(counts)
            counts.append(len(data['actions']))
            for episode in json.loads(str(data['episodes'])):
                episode['start'] += offset
                episode['end'] += offset
                episodes.append(episode)
    size = config.image_size
    shapes = {'rgb_static': (size, size, 3), 'rgb_gripper': (size, size, 3),
              'robot_obs': (15,), 'scene_obs': (24,), 'actions': (7,)}
    dtypes = {'rgb_static': np.uint8, 'rgb_gripper': np.uint8, 'robot_obs': np.float64,
              'scene_obs': np.float64, 'actions': np.float32}
    for name in ARRAYS:
        packed = np.lib.format.open_memmap(
            folder / f'{name}.npy', mode='w+', dtype=dtypes[name],
            shape=(sum(counts), *shapes[name]))
        position = 0
        for file, count in zip(files, counts, strict=True):
            if count:
                with np.load(file, allow_pickle=False) as data:
                    packed[position:position + count] = data[name]
            position += count
        packed.flush()
    (folder / 'episodes.json').write_text(json.dumps(
        {'image_size': size, 'episodes': episodes}, indent=0))
    tasks = sorted({e['task'] for e in episodes})
    digest = hashlib.sha256((folder / 'actions.npy').read_bytes()
                            + (folder / 'episodes.json').read_bytes()).hexdigest()
    wanted = {k: v for k, v in to_mapping(config).items() if k != 'workers'}
    manifest = {
        'version': __version__, 'config': wanted, 'renderer': config.renderer,
        'frames': sum(counts), 'episodes': len(episodes), 'sha256': digest,
        'per_task': {t: {'episodes': sum(e['task'] == t for e in episodes),
                         'success': sum(e['task'] == t and e['success'] for e in episodes)}
                     for t in tasks},
    }
    (folder / 'manifest.json').write_text(json.dumps(manifest, indent=1))
    shutil.rmtree(folder / 'chains')
    return folder
