# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which commit made a data set or weights."""

from dysl_vla_ros.resources import source_git


def git_commit() -> str:
    """Commit of the source checkout, or 'unknown' for an installed package."""
    return source_git('rev-parse', 'HEAD') or 'unknown'
