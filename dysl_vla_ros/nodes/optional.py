# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Packages that not every installation has: one place that imports them and says what to do."""

import importlib
from types import ModuleType

from dysl_vla_ros.errors import ConfigError

_REMEDIES = {
    'cv_bridge': 'apt install ros-$ROS_DISTRO-cv-bridge, or publish an encoding of '
                 'observation/decode.py (the PyPI package named cv_bridge is an old ROS 1 port)',
    'control_msgs': 'apt install ros-$ROS_DISTRO-control-msgs, or set outputs.gripper to float64',
    'moveit_msgs': 'apt install ros-$ROS_DISTRO-moveit-msgs, or set outputs.servo_node to an '
                   'empty name (Humble has no command types)',
}


def require(name: str, feature: str) -> ModuleType:
    """Import a module that ``feature`` needs.

    Raises:
        ConfigError: If it is absent; names the feature, the module and the remedy.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        remedy = _REMEDIES.get(name.split('.')[0], f'install the package that provides {name}')
        raise ConfigError(f'{feature} needs {name}, which cannot be imported ({error}); '
                          f'{remedy}') from error
