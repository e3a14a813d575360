# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Documentation in YAML and defaults in code drift apart unless they are compared."""

import dataclasses
from pathlib import Path

import pytest
import yaml

CONFIG = Path(__file__).resolve().parents[2] / 'config'


@pytest.mark.parametrize(('file', 'name'), [('policy.yaml', 'PolicyParameters'),
                                            ('sim.yaml', 'BridgeParameters')])
def test_the_config_file_equals_the_defaults_both_ways(file, name):
    from dysl_vla_ros.nodes import parameters
    cls = getattr(parameters, name)
    written = yaml.safe_load((CONFIG / file).read_text())['/**']['ros__parameters']
    assert written == dataclasses.asdict(cls())
    assert list(written) == [f.name for f in dataclasses.fields(cls)]  # the order reads alike
    assert [type(v) for v in written.values()] == [f.type for f in dataclasses.fields(cls)]


def test_every_parameter_has_a_text_and_is_described_to_ros(graph):
    from dysl_vla_ros.nodes.parameters import PolicyParameters, declare
    values = declare(graph.node, PolicyParameters)
    assert values == PolicyParameters()
    for field in dataclasses.fields(PolicyParameters):
        descriptor = graph.node.describe_parameter(field.name)
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
