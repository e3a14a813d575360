# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Start the policy node alone, for a robot or a simulation that runs elsewhere.

    ros2 launch dysl_vla_ros policy.launch.py trigger:=timer checkpoint:=/path/to/weights

It configures and activates by itself (autostart:=true) and sends nothing until it has an
instruction (topic ``instruction`` or action ``policy_node/execute_instruction``).
"""

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

SHARE = FindPackageShare('dysl_vla_ros')
ARGUMENTS = (
    ('params_file', PathJoinSubstitution([SHARE, 'config', 'policy.yaml']),
     'YAML file with the parameters of the policy node'),
    ('namespace', '', 'Namespace of the node and its topics'),
    ('use_sim_time', 'false', 'Take the time from /clock'),
    ('checkpoint', 'package://dysl_vla_ros/weights/dysl-mini', 'Weights folder'),
    ('strategy', 'dysl', 'dysl, dense or a rival (docs/reference/strategies.md)'),
    ('device', 'cpu', 'Torch device, for example cpu or cuda:0'),
    ('trigger', 'timer', 'timer: fixed rate; observation: once per set of equal stamps'),
    ('policy_factory', '', 'module:function of a scripted policy; empty loads the checkpoint'),
    ('autostart', 'true', 'Configure and activate at start'),
    ('respawn', 'false', 'Start the node again when it dies'),
    ('log_level', 'info', 'debug, info, warn, error or fatal'),
)


def text(name):
    """Return a launch argument as a string parameter, whatever it looks like."""
    return ParameterValue(LaunchConfiguration(name), value_type=str)


def flag(name):
    """Return a launch argument as a boolean parameter."""
    return ParameterValue(LaunchConfiguration(name), value_type=bool)


def generate_launch_description():
    """Describe one lifecycle node."""
    arguments = [DeclareLaunchArgument(name, default_value=default, description=description)
                 for name, default, description in ARGUMENTS]
    node = Node(
        package='dysl_vla_ros', executable='policy_node', name='policy_node',
        namespace=LaunchConfiguration('namespace'), output='screen', emulate_tty=True,
        parameters=[LaunchConfiguration('params_file'), {
            'use_sim_time': flag('use_sim_time'), 'checkpoint': text('checkpoint'),
            'strategy': text('strategy'), 'device': text('device'), 'trigger': text('trigger'),
            'policy_factory': text('policy_factory'), 'autostart': flag('autostart')}],
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')],
        respawn=LaunchConfiguration('respawn'), respawn_delay=1.0)
    return LaunchDescription([*arguments, node])
