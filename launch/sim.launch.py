# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Start the simulation bridge alone.

    ros2 launch dysl_vla_ros sim.launch.py mode:=live
    ros2 launch dysl_vla_ros sim.launch.py suite:=/path/to/suite.json results_dir:=/tmp/results

Without a suite it waits for the service ``sim_bridge_node/reset_episode``.
"""

from launch.actions import DeclareLaunchArgument, EmitEvent, RegisterEventHandler
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

SHARE = FindPackageShare('dysl_vla_ros')
ARGUMENTS = (
    ('params_file', PathJoinSubstitution([SHARE, 'config', 'sim.yaml']),
     'YAML file with the parameters of the simulation bridge'),
    ('namespace', '', 'Namespace of the node and its topics (/clock stays global)'),
    ('mode', 'lockstep', 'lockstep: one step per action; live: 30 Hz of /clock'),
    ('suite', '', 'Episodes: furniture-singles, furniture-chains, demo or a file; empty waits '
     'for a reset service call'),
    ('results_dir', '', 'Folder for recordings; empty records nothing'),
    ('env_factory', '', 'module:function of another world; empty uses the play table'),
    ('publish_scene_state', 'false', 'Privileged state for the scripted expert'),
    ('exit_when_done', 'false', 'Shut the launch down after the suite'),
    ('log_level', 'info', 'debug, info, warn, error or fatal'),
)


def text(name):
    """Return a launch argument as a string parameter, whatever it looks like."""
    return ParameterValue(LaunchConfiguration(name), value_type=str)


def flag(name):
    """Return a launch argument as a boolean parameter."""
    return ParameterValue(LaunchConfiguration(name), value_type=bool)


def generate_launch_description():
    """Describe one node; with exit_when_done its end ends the launch."""
    arguments = [DeclareLaunchArgument(name, default_value=default, description=description)
                 for name, default, description in ARGUMENTS]
    node = Node(
        package='dysl_vla_ros', executable='sim_bridge_node', name='sim_bridge_node',
        namespace=LaunchConfiguration('namespace'), output='screen', emulate_tty=True,
        parameters=[LaunchConfiguration('params_file'), {
            'mode': text('mode'), 'suite': text('suite'), 'results_dir': text('results_dir'),
            'env_factory': text('env_factory'), 'exit_when_done': flag('exit_when_done'),
            'publish_scene_state': flag('publish_scene_state')}],
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')])
    end = RegisterEventHandler(
        OnProcessExit(target_action=node,
                      on_exit=[EmitEvent(event=Shutdown(reason='the suite is complete'))]),
        condition=IfCondition(LaunchConfiguration('exit_when_done')))
    return LaunchDescription([*arguments, node, end])
