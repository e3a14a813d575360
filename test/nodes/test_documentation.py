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
    rows = re.findall(r'^\| (in|out|service|action) \| `([^`]+)` \| `([^`]+)` \|([^\n]*)', section,
                      re.M)
    assert rows

    def absolute(name):
        return f'/{node}{name[1:]}' if name.startswith('~') else '/' + name.lstrip('/')
    return {(kind, absolute(name), of_type): 'only ' in text or 'with either' in text
            for kind, name, of_type, text in rows}


def live(graph, node):
    found = set()
    for kind, names in (('in', graph.node.get_subscriber_names_and_types_by_node(node, '/')),
                        ('out', graph.node.get_publisher_names_and_types_by_node(node, '/'))):
        found |= {(kind, name, types[0]) for name, types in names if not FOREIGN.search(name)}
    for name, types in graph.node.get_service_names_and_types_by_node(node, '/'):
        if types[0].startswith(('dysl_vla_ros/srv/', 'std_srvs/srv/')):
            found.add(('service', name, types[0]))
        if name.endswith('/_action/send_goal'):
            found.add(('action', name.removesuffix('/_action/send_goal'),
                       types[0].removesuffix('_SendGoal')))
    return found


@pytest.mark.parametrize(('name', 'parameters', 'more'), [
    ('policy_node', {}, set()),
    ('sim_bridge_node', {}, set()),
    ('policy_node', {'outputs.twist': True, 'outputs.gripper': 'float64',
                     'outputs.gripper_open': 1.0, 'outputs.markers': True,
                     'safety.mode': 'unbounded', 'safety.deadman': 'bool'},
     {'/ee_pose', '/deadman', '/policy_node/command_twist', '/policy_node/command_gripper',
      '/policy_node/markers'}),
    ('policy_node', {'outputs.pose': True, 'safety.mode': 'unbounded', 'safety.deadman': 'joy'},
     {'/ee_pose', '/joy', '/policy_node/command_pose'}),
    ('policy_node', {'policy_factory': 'dysl_vla_ros.nodes.expert_policy:create'},
     {'/scene_state'}),
    ('sim_bridge_node', {'publish_scene_state': True}, {'/scene_state'}),
    ('sim_bridge_node', {'command_interface': 'twist'},
     {'/policy_node/command_twist', '/policy_node/command_gripper'}),
    ('sim_bridge_node', {'command_interface': 'pose'},
     {'/policy_node/command_pose', '/policy_node/command_gripper'}),
], ids=str)
def test_the_tables_equal_the_running_node(graph, launch, name, parameters, more):
    from rclpy.node import NodeNameNonExistentError
    said = 'active' if name == 'policy_node' else 'world ready'
    launch(name, **{k: str(v).lower() if isinstance(v, bool) else v
                    for k, v in parameters.items()}).wait_for(said)
    table = documented(name)
    assert more <= {row[1] for row in table}
    expected = {row for row, is_optional in table.items() if not is_optional or row[1] in more}

    # Discovery has no event to wait for: look again a bounded number of times.
    for _ in range(600):
        with contextlib.suppress(NodeNameNonExistentError):
            if live(graph, name) >= expected:
                break
        with graph.condition:
            graph.condition.wait(0.05)
    assert live(graph, name) - {('in', '/clock', 'rosgraph_msgs/msg/Clock')} == expected
