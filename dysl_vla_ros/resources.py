# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the package's installed data (config, launch, weights) lies.

One function answers for all three ways of running: a source checkout, a colcon install
space (ament share folder) and a pip install (``<prefix>/share``).
"""

import os
from pathlib import Path
import subprocess
import sys

from dysl_vla_ros.errors import ConfigError

PACKAGE = 'dysl_vla_ros'


def share_directory() -> Path:
    """Return the folder that holds ``config/`` and ``weights/``.

    Raises:
        ConfigError: If no candidate folder exists; lists every place that was tried.
    """
    source = Path(__file__).resolve().parent.parent
    candidates = [source]
    candidates += [Path(prefix) / 'share' / PACKAGE
                   for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
                   if prefix]
    candidates.append(Path(sys.prefix) / 'share' / PACKAGE)
    for candidate in candidates:
        if (candidate / 'config').is_dir() and (candidate / 'package.xml').is_file():
            return candidate
    raise ConfigError(f'cannot find the share folder of {PACKAGE}; tried '
                      + ', '.join(str(c) for c in candidates))


def resolve(path: str | Path) -> Path:
    """Resolve a user path; ``package://dysl_vla_ros/x`` means ``<share>/x``."""
    text = str(path)
    prefix = f'package://{PACKAGE}/'
    if text.startswith(prefix):
        return share_directory() / text[len(prefix):]
    return Path(text).expanduser()


def source_git(*arguments: str) -> str | None:
    """Output of git in the source checkout, or None without one (an installed package)."""
    root = Path(__file__).resolve().parent.parent
    if not (root / '.git').exists():  # a repository further up is not ours
        return None
    try:
        return subprocess.run(['git', '-C', str(root), *arguments], capture_output=True,
                              text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
