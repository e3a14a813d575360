# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Record every topic that explains a run: ``ros2 bag record`` with our list.

    ros2 launch dysl_vla_ros record.launch.py output:=/data/run_01
    ros2 launch dysl_vla_ros record.launch.py extra_topics:='/tf /tf_static /joint_commands'

Ctrl-C ends the recording. The latched instruction, task status and policy description are
recorded too, whenever they were sent. Without ``ros2 bag``: bag_recorder_node.
"""

from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.substitutions import EnvironmentVariable, LaunchConfiguration

from launch import LaunchDescription

# bags/topics.py; a test compares. Absolute names are global, the others take the namespace.
TOPICS = ('policy_node/policy_description', '/clock', 'instruction', 'task_status',
          'joint_states', 'ee_pose', 'gripper_width', 'image_static', 'image_gripper',
          'policy_node/inference_stats', 'policy_node/action', '/diagnostics')
ARGUMENTS = (
    ('output', 'bag', 'New folder of the bag'),
    ('storage', 'mcap', 'mcap survives a crash; sqlite3 is in every installation'),
    ('namespace', '', 'Namespace of the nodes'),
    ('image_static', 'image_static', 'Topic of the third-person camera'),
    ('image_gripper', 'image_gripper', 'Topic of the wrist camera'),
    ('joint_states', 'joint_states', 'Topic of the joint states'),
    ('ee_pose', 'ee_pose', 'Topic of the tool pose'),
    ('extra_topics', '', 'Further topics, separated by blanks'),
    ('max_bag_size', '0', 'Bytes after which a new file begins; 0 never'),
)


def record(context):
    """Build the command line; names can be known only when the arguments are."""
    values = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    prefix = '/' + values['namespace'].strip('/')
    names = [values.get(topic, topic) for topic in TOPICS]
    absolute = [name if name.startswith('/') else f'{prefix.rstrip("/")}/{name}'
                for name in names]
    # Humble knows positional topics only, Lyrical only --topics (rosbag2#2328).
    distribution = EnvironmentVariable('ROS_DISTRO', default_value='').perform(context)
    return [ExecuteProcess(
        cmd=['ros2', 'bag', 'record', '--output', values['output'], '--storage',
             values['storage'], '--max-bag-size', values['max_bag_size'],
             *([] if distribution == 'humble' else ['--topics']),
             *absolute, *values['extra_topics'].split()],
        output='screen', sigterm_timeout='30')]


def generate_launch_description():
    """Describe one recording process."""
    arguments = [DeclareLaunchArgument(name, default_value=default, description=description)
                 for name, default, description in ARGUMENTS]
    return LaunchDescription([*arguments, OpaqueFunction(function=record)])
