# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""docs/reference/nodes.md against the running nodes: a remapping copied from it must work."""

import contextlib
from pathlib import Path
import re

import pytest

TEXT = (Path(__file__).resolve().parents[2] / 'docs/reference/nodes.md').read_text()
# What rclpy gives every node.
FOREIGN = re.compile(r'/rosout|/parameter_events|/transition_event$|^/test_graph|/_action/')


def documented(node):
    section = TEXT.split(f'## {node}')[1].split('\n## ')[0]
    rows = re.findall(r'^\| (in|out|service|action) \| `([^`]+)` \| `([^`]+)` \|', section, re.M)
    assert rows

    def absolute(name):
        return f'/{node}{name[1:]}' if name.startswith('~') else '/' + name.lstrip('/')
    return {(kind, absolute(name), of_type) for kind, name, of_type in rows}


def live(graph, node):
    found = set()
    for kind, names in (('in', graph.node.get_subscriber_names_and_types_by_node(node, '/')),
                        ('out', graph.node.get_publisher_names_and_types_by_node(node, '/'))):
        found |= {(kind, name, types[0]) for name, types in names if not FOREIGN.search(name)}
    for name, types in graph.node.get_service_names_and_types_by_node(node, '/'):
        if types[0].startswith('dysl_vla_ros/srv/'):
            found.add(('service', name, types[0]))
        if name.endswith('/_action/send_goal'):
            found.add(('action', name.removesuffix('/_action/send_goal'),
                       types[0].removesuffix('_SendGoal')))
    return found


@pytest.mark.parametrize('name', ['policy_node', 'sim_bridge_node'])
def test_the_tables_equal_the_running_node(graph, launch, name):
    from rclpy.node import NodeNameNonExistentError
    said = 'active' if name == 'policy_node' else 'world ready'
    launch(name).wait_for(said)
    table = documented(name)
    # Weights without proprioception: the fake policy needs none.
    optional = {('in', '/joint_states', 'sensor_msgs/msg/JointState'),
                ('in', '/ee_pose', 'geometry_msgs/msg/PoseStamped')}
    expected = table - (optional if name == 'policy_node' else set())

    # Discovery has no event to wait for: look again a bounded number of times.
    for _ in range(600):
        with contextlib.suppress(NodeNameNonExistentError):
            if live(graph, name) >= expected:
                break
        with graph.condition:
            graph.condition.wait(0.05)
    assert live(graph, name) - {('in', '/clock', 'rosgraph_msgs/msg/Clock')} == expected
