# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Start the simulation bridge and the policy node as two processes, and evaluate a suite.

    ros2 launch dysl_vla_ros closed_loop.launch.py
    ros2 launch dysl_vla_ros closed_loop.launch.py suite:=/path/to/suite.json \
        results_dir:=/tmp/results exit_when_done:=true

mode:=lockstep steps the world once per action (scores); mode:=live runs it at 30 Hz.
"""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

SHARE = FindPackageShare('dysl_vla_ros')
ARGUMENTS = (
    ('policy_params_file', PathJoinSubstitution([SHARE, 'config', 'policy.yaml']),
     'YAML file with the parameters of the policy node'),
    ('sim_params_file', PathJoinSubstitution([SHARE, 'config', 'sim.yaml']),
     'YAML file with the parameters of the simulation bridge'),
    ('namespace', '', 'Namespace of both nodes (/clock stays global)'),
    ('use_sim_time', 'true', 'The policy takes the time from /clock'),
    ('mode', 'lockstep', 'lockstep: one step per action; live: 30 Hz of /clock'),
    ('suite', 'demo', 'Episodes: furniture-singles, furniture-chains, demo or a file; empty '
     'waits for a reset service call'),
    ('results_dir', '', 'Folder for recordings; empty records nothing'),
    ('exit_when_done', 'false', 'Shut everything down after the suite'),
    ('checkpoint', 'package://dysl_vla_ros/weights/dysl-mini', 'Weights folder'),
    ('strategy', 'dysl', 'dysl, dense or a rival (docs/reference/strategies.md)'),
    ('device', 'cpu', 'Torch device, for example cpu or cuda:0'),
    ('policy_factory', '', 'module:function of a scripted policy; empty loads the checkpoint'),
    ('env_factory', '', 'module:function of another world; empty uses the play table'),
    ('publish_scene_state', 'false', 'Privileged state for the scripted expert'),
    ('autostart', 'true', 'Configure and activate the policy at start'),
    ('respawn', 'false', 'Start the policy node again when it dies'),
    ('log_level', 'info', 'debug, info, warn, error or fatal'),
)


def include(file, names, **others):
    """Include one of our launch files with the named arguments passed on."""
    passed = {name: LaunchConfiguration(name) for name in names}
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, 'launch', file])),
        launch_arguments={**passed, **others}.items())


def generate_launch_description():
    """Describe both nodes."""
    arguments = [DeclareLaunchArgument(name, default_value=default, description=description)
                 for name, default, description in ARGUMENTS]
    # In lockstep the policy answers every stamp; live it ticks at its own rate.
    trigger = PythonExpression(
        ["'timer' if '", LaunchConfiguration('mode'), "' == 'live' else 'observation'"])
    policy = include(
        'policy.launch.py',
        ('namespace', 'use_sim_time', 'checkpoint', 'strategy', 'device', 'policy_factory',
         'autostart', 'respawn', 'log_level'),
        params_file=LaunchConfiguration('policy_params_file'), trigger=trigger)
    sim = include(
        'sim.launch.py',
        ('namespace', 'mode', 'suite', 'results_dir', 'env_factory', 'publish_scene_state',
         'exit_when_done', 'log_level'),
        params_file=LaunchConfiguration('sim_params_file'))
    return LaunchDescription([*arguments, policy, sim])
