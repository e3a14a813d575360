# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Start the policy node for an arm, with a profile of config/robots/.

    ros2 launch dysl_vla_ros robot.launch.py profile:=panda_servo \
        command_topic:=/servo_node/delta_twist_cmds

Nothing reaches the arm before the service ``policy_node/enable`` is called with true
(docs/how-to/run_on_a_robot.md). Copy the profile and adapt its workspace first: profile_file.
"""

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

SHARE = FindPackageShare('dysl_vla_ros')
ARGUMENTS = (
    ('profile', 'panda_servo', 'Name of a file in config/robots/, without .yaml'),
    ('profile_file', PathJoinSubstitution([SHARE, 'config', 'robots', PythonExpression(
        ["'", LaunchConfiguration('profile'), ".yaml'"])]),
     'Your own copy of a profile; overrides profile'),
    ('namespace', '', 'Namespace of the node and its topics'),
    ('use_sim_time', 'false', 'Take the time from /clock (a simulated robot)'),
    ('checkpoint', 'package://dysl_vla_ros/weights/dysl-mini', 'Weights folder'),
    ('strategy', 'dysl', 'dysl skips layers, dense runs all of them'),
    ('device', 'cpu', 'Torch device, for example cpu or cuda:0'),
    ('policy_factory', '', 'module:function of a scripted policy, for example '
     'dysl_vla_ros.nodes.scripted_policy:create (a slow circle)'),
    ('image_static', 'image_static', 'Topic of the third-person camera'),
    ('image_gripper', 'image_gripper', 'Topic of the wrist camera'),
    ('command_topic', '/servo_node/delta_twist_cmds', "The arm stack's input: twists for Servo, "
     'poses for a Cartesian controller'),
    ('autostart', 'true', 'Configure and activate at start (the outputs stay silent)'),
    ('log_level', 'info', 'debug, info, warn, error or fatal'),
)


def text(name):
    """Return a launch argument as a string parameter, whatever it looks like."""
    return ParameterValue(LaunchConfiguration(name), value_type=str)


def flag(name):
    """Return a launch argument as a boolean parameter."""
    return ParameterValue(LaunchConfiguration(name), value_type=bool)


def generate_launch_description():
    """Describe one lifecycle node with the arm's topics remapped."""
    arguments = [DeclareLaunchArgument(name, default_value=default, description=description)
                 for name, default, description in ARGUMENTS]
    node = Node(
        package='dysl_vla_ros', executable='policy_node', name='policy_node',
        namespace=LaunchConfiguration('namespace'), output='screen', emulate_tty=True,
        parameters=[LaunchConfiguration('profile_file'), {
            'use_sim_time': flag('use_sim_time'), 'checkpoint': text('checkpoint'),
            'strategy': text('strategy'), 'device': text('device'),
            'policy_factory': text('policy_factory'), 'autostart': flag('autostart'),
            'inputs.image_static': text('image_static'),
            'inputs.image_gripper': text('image_gripper')}],
        remappings=[('~/command_twist', LaunchConfiguration('command_topic')),
                    ('~/command_pose', LaunchConfiguration('command_topic'))],
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')])
    return LaunchDescription([*arguments, node])
