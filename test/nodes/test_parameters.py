# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Documentation in YAML and defaults in code drift apart unless they are compared."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from dysl_vla_ros.configuration import to_mapping

CONFIG = Path(__file__).resolve().parents[2] / 'config'


@pytest.mark.parametrize(('file', 'name'), [('policy.yaml', 'PolicyParameters'),
                                            ('sim.yaml', 'BridgeParameters')])
def test_the_config_file_equals_the_defaults_both_ways(file, name):
    from dysl_vla_ros.nodes import parameters
    cls = getattr(parameters, name)
    written = yaml.safe_load((CONFIG / file).read_text())['/**']['ros__parameters']
    assert written == to_mapping(cls())

    def compare(section, of_class):
        fields = dataclasses.fields(of_class)
        assert list(section) == [f.name for f in fields]  # the order reads alike
        for field in fields:
            if dataclasses.is_dataclass(field.type):
                compare(section[field.name], field.type)
            elif field.type in (bool, int, float, str):
                assert type(section[field.name]) is field.type, field.name

    compare(written, cls)


def test_every_parameter_has_a_text_and_is_described_to_ros(graph):
    from dysl_vla_ros.nodes.parameters import PolicyParameters, declare, flatten
    values = declare(graph.node, PolicyParameters)
    assert values == PolicyParameters()
    for name in flatten(PolicyParameters):
        descriptor = graph.node.describe_parameter(name)
        assert len(descriptor.description) > 20
        assert descriptor.read_only
    assert graph.node.describe_parameter('rate_hz').floating_point_range[0].to_value == 1000.0


def test_a_parameter_cannot_be_changed_at_run_time(graph):
    from rclpy.parameter import Parameter

    from dysl_vla_ros.nodes.parameters import PolicyParameters, declare
    declare(graph.node, PolicyParameters)
    result = graph.node.set_parameters([Parameter('device', value='cuda:0')])[0]
    assert not result.successful
    assert 'read-only' in result.reason


ROBOTS = sorted((CONFIG / 'robots').glob('*.yaml'))


@pytest.mark.parametrize('path', ROBOTS, ids=lambda p: p.stem)
def test_a_robot_profile_is_valid_and_safe(graph, path):
    """Every key exists, every bound is given, and nothing moves before ~/enable."""
    from rclpy.parameter import Parameter

    from dysl_vla_ros.nodes import parameters
    document = yaml.safe_load(path.read_text())
    for names, cls in (('policy_node', parameters.PolicyParameters),
                       ('sim_bridge_node', parameters.BridgeParameters)):
        if f'/**/{names}' not in document:
            continue
        values = document[f'/**/{names}']['ros__parameters']
        flat = {}

        def fill(section, prefix, flat=flat):
            for key, value in section.items():
                if isinstance(value, dict):
                    fill(value, f'{prefix}{key}.')
                else:
                    flat[prefix + key] = value

        fill(values, '')
        graph.node._parameter_overrides = {k: Parameter(k, value=v) for k, v in flat.items()
                                           if k != 'use_sim_time'}
        found = parameters.declare(graph.node, cls)
        if names == 'policy_node' and path.stem != 'simulation':
            assert found.safety.mode == 'bounded'
            assert found.safety.dry_run
            assert found.trigger == 'timer'
            assert found.outputs.moves_arm


def test_there_are_profiles_for_every_stack():
    assert {'panda_servo', 'fr3_servo', 'ur_servo', 'fzi_cartesian', 'crisp_cartesian',
            'simulation'} <= {path.stem for path in ROBOTS}
