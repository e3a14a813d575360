# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The one exception family of the package.

Every message says what was found, what was expected and what to do about it.
"""

from pathlib import Path


class DySLVLAError(Exception):
    """Base class of every error raised on purpose by this package."""


class ConfigError(DySLVLAError):
    """A configuration file, key or value is wrong; names file, key, value and remedy."""


class CheckpointError(DySLVLAError):
    """A weights folder is incomplete, mis-shaped, not finite or from another architecture."""


class ContractError(DySLVLAError):
    """An observation or action breaks its contract (shape, dtype, range, finiteness)."""


class InstructionError(ContractError):
    """What the instruction asks for cannot be done: unknown words, or not from this state."""


class SimulationError(DySLVLAError):
    """The simulated world cannot be built or was asked for something impossible."""


class DatasetError(DySLVLAError):
    """A dataset folder or one of its files is missing, truncated or inconsistent."""


class FrameError(DatasetError):
    """One frame file of a dataset is missing, truncated or malformed; ``path`` names it."""

    def __init__(self, path: str | Path, problem: str) -> None:
        """Describe the problem with the file at ``path``."""
        super().__init__(f'{path}: {problem}')
        self.path = Path(path)
