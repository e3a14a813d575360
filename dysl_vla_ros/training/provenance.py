# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which commit made a data set or weights."""

from pathlib import Path
import subprocess


def git_commit() -> str:
    """Commit of the source checkout, or 'unknown' for an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / '.git').exists():  # a repository further up is not ours
        return 'unknown'
    try:
        return subprocess.run(['git', '-C', str(root), 'rev-parse', 'HEAD'], capture_output=True,
                              text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'
