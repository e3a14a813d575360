# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Packages that not every installation has: one place that imports them and says what to do."""

import importlib
import importlib.util
from types import ModuleType

from dysl_vla_ros.errors import ConfigError

_REMEDIES = {
    'dysl_vla_ros.msg': 'build this package with colcon (or `make setup`) and source '
                        'install/setup.bash',
    'launch_ros': 'apt install ros-$ROS_DISTRO-launch-ros (it has no PyPI wheel; the PyPI '
                  'package named launch is another program)',
    'tf2_ros': 'apt install ros-$ROS_DISTRO-tf2-ros-py',
    'control_msgs': 'apt install ros-$ROS_DISTRO-control-msgs',
}


def is_available(name: str) -> bool:
    """Tell whether a module can be imported, without importing it."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def require(name: str, feature: str) -> ModuleType:
    """Import a module that ``feature`` needs.

    Raises:
        ConfigError: If it is absent; names the feature, the module and the remedy.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        remedy = _REMEDIES.get(name, f'install the package that provides {name}')
        raise ConfigError(f'{feature} needs {name}, which cannot be imported ({error}); '
                          f'{remedy}') from error
