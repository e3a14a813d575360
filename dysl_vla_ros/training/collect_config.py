# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What to collect, see config/collect.yaml and config/collect_calvin.yaml."""

from dataclasses import dataclass
from typing import Literal

from dysl_vla_ros.sim.instructions import FURNITURE_TASKS, TASKS
from dysl_vla_ros.sim.physics import CALVIN, PHYSICS

Format = Literal['packed', 'calvin']


@dataclass(frozen=True)
class CollectConfig:
    """What to collect.

    Attributes:
        format: ``packed`` (long arrays, fastest to train from) or ``calvin`` (CALVIN's own
            layout, which other projects read).
        scene: CALVIN scene.
        tasks: Tasks to demonstrate; those the expert can do.
        first_task_in_turn: Chain i starts with task i modulo their number, from a state in
            which it is possible, so that rare tasks are not missed. Otherwise all are random.
        image_size: Side of the stored square images in pixels, the model's input size; None
            keeps CALVIN's 200 and 84 (layout ``calvin`` only).
        depth: Store depth images too (layout ``calvin`` only, at CALVIN's sizes).
        chains: Number of chains; one reset each.
        subtasks: Tasks per chain.
        max_steps: Steps after which a subtask counts as failed (its frames are kept only when a
            learner drives, because the labels are right all the same).
        noise_max: Largest standard deviation of the action noise, drawn per chain.
        clean_share: Share of chains without noise.
        workers: Processes; the result does not depend on it.
        seed: First seed; chain i uses (seed, i) alone.
        held_out_every: Every n-th chain goes to the validation split, 0 for none (layout
            ``calvin`` only; a reader of the packed layout holds out by itself).
        held_out_only: Collect every ``held_out_every``-th chain alone: with the seed of a packed
            folder the demonstrations that nothing is trained on, without the others.
        learner: Weights folder of a policy that drives a share of the steps, or None.
        learner_strategy: How the learner runs; with dysl the states are those that skipping leads
            to, which is what distillation should see.
        learner_share: Probability per subtask that the learner drives it.
        renderer: Which renderer makes the images; recorded, because it moves scores.
        physics: ``calvin``, or ``fast`` for two thirds of the time; recorded like the renderer.
        assets_dir: A user's calvin_env ``data`` folder, or None for the built-in furniture.
    """

    format: Format = 'packed'
    scene: str = 'calvin_scene_D'
    tasks: tuple[str, ...] = FURNITURE_TASKS
    first_task_in_turn: bool = False
    image_size: int | None = 80
    depth: bool = False
    chains: int = 340
    subtasks: int = 5
    max_steps: int = 150
    noise_max: float = 0.35
    clean_share: float = 0.3
    workers: int = 2
    seed: int = 1
    held_out_every: int = 20
    held_out_only: bool = False
    learner: str | None = None
    learner_strategy: str = 'dense'
    learner_share: float = 0.8
    renderer: str = 'tiny'
    physics: str = CALVIN
    assets_dir: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for a value out of range or an unknown task."""
        sizes = (self.chains, self.subtasks, self.max_steps, self.workers,
                 1 if self.image_size is None else self.image_size)
        if min(sizes) < 1:
            raise ValueError('image_size, chains, subtasks, max_steps and workers must be >= 1')
        if min(self.seed, self.held_out_every) < 0:
            raise ValueError(f'seed and held_out_every must be >= 0, got {self.seed} and '
                             f'{self.held_out_every}')
        if self.held_out_only and (self.format != 'packed' or not self.held_out_every):
            raise ValueError('held_out_only is for the packed layout and must have a '
                             'held_out_every')
        if not (0 <= self.clean_share <= 1 and 0 <= self.learner_share <= 1):
            raise ValueError('clean_share and learner_share must lie in [0, 1]')
        if self.physics not in PHYSICS:
            raise ValueError(f'physics {self.physics!r}: must be one of {sorted(PHYSICS)}')
        unknown = [task for task in self.tasks if task not in TASKS]
        if unknown or not self.tasks:
            raise ValueError(f'tasks: {unknown or "none"} given; they must be names of '
                             'dysl_vla_ros.sim.instructions.TASKS')
        if self.format == 'packed' and (self.image_size is None or self.depth):
            raise ValueError('the packed layout must have an image_size and no depth; choose '
                             "format: calvin for CALVIN's image sizes and depth")

    @property
    def chain_numbers(self) -> range:
        """Numbers of the chains to collect."""
        return range(0, self.chains, self.held_out_every if self.held_out_only else 1)
