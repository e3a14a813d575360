# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Index files of a split in CALVIN's layout; the frames themselves are ``write_frame``'s.

Source: design/calvin.md sections 6.1, 6.3 and 6.4.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dysl_vla_ros.datasets.calvin import (
    LANGUAGE_FILE,
    LENGTHS_FILE,
    SCENES_FILE,
    SPANS_FILE,
    STATISTICS_FILE,
    Annotation,
)
from dysl_vla_ros.datasets.statistics import Statistics

EMBEDDINGS_FILE = 'lang_annotations/embeddings.npy'
EMBEDDING_SIZE = 384


def write_index(folder: Path, spans: Sequence[tuple[int, int]],
                annotations: Sequence[Annotation], statistics: Statistics,
                scenes: Mapping[str, tuple[int, int]] | None,
                validation_sentences: Mapping[str, str] | None,
                config: Mapping[str, Any]) -> None:
    """Write everything of a split but its frames; equal arguments give equal bytes.

    Args:
        folder: Split folder, created.
        spans: First and last frame of every episode, last included.
        annotations: Language annotations; their frames lie inside an episode.
        statistics: Of the split.
        scenes: Scene name to first and last frame for scene_info.npy (training), or None.
        validation_sentences: Task to sentence for embeddings.npy (validation), or None.
        config: How the frames were rendered, for .hydra/merged_config.yaml.

    The sentence embeddings CALVIN stores come from a MiniLM network that is no part of this
    package: their place is filled with NaN, so that a loader that wants them fails at once.
    """
    (folder / 'lang_annotations').mkdir(parents=True, exist_ok=True)
    (folder / '.hydra').mkdir(exist_ok=True)
    ids = np.array(spans, dtype=np.int64).reshape(-1, 2)
    np.save(folder / SPANS_FILE, ids)
    np.save(folder / LENGTHS_FILE, ids[:, 1] - ids[:, 0] + 1)
    _save_object(folder / LANGUAGE_FILE, {
        'language': {'ann': [a.sentence for a in annotations],
                     'task': [a.task for a in annotations],
                     'emb': _no_embeddings(len(annotations))},
        'info': {'indx': [(a.start, a.end) for a in annotations], 'episodes': []}})
    if validation_sentences is not None:
        _save_object(folder / EMBEDDINGS_FILE, {
            task: {'emb': _no_embeddings(1), 'ann': [sentence]}
            for task, sentence in validation_sentences.items()})
    if scenes is not None:
        _save_object(folder / SCENES_FILE, {name: [first, last]
                                            for name, (first, last) in scenes.items()})
    statistics.write(folder / STATISTICS_FILE)
    (folder / '.hydra/merged_config.yaml').write_text(
        yaml.safe_dump(dict(config), sort_keys=False), encoding='utf-8')


def _no_embeddings(count: int) -> np.ndarray:
    return np.full((count, 1, EMBEDDING_SIZE), np.nan, dtype=np.float32)


def _save_object(path: Path, content: dict[str, Any]) -> None:
    array = np.empty((), dtype=object)
    array[()] = content
    np.save(path, array, allow_pickle=True)
