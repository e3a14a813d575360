# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fault table on the wire: an arm that goes on blindly is what no unit test would notice.

One policy node serves all cases (``dysl-vla faults`` prints the same table with times); the
module's end checks that it is still the same process and what it has sent in total.
"""

import dataclasses

import pytest

from dysl_vla_ros.errors import ConfigError

# Imported where ROS may be missing: only the names of the cases are needed to collect.
try:
    from dysl_vla_ros.nodes.fault_cases import CASES
    from dysl_vla_ros.nodes.fault_parameters import PARAMETER_CASES
except ImportError:
    CASES = PARAMETER_CASES = ()


@pytest.fixture(scope='module')
def rig(module_domain):
    from dysl_vla_ros.nodes.fault_rig import FaultRig
    rig = FaultRig(module_domain)
    yield rig
    rig.close()


@pytest.mark.parametrize('case', [*CASES, *PARAMETER_CASES[:2]],
                         ids=lambda case: f'{case.group}: {case.name}')
def test_the_arm_stops_says_why_and_goes_on(rig, case):
    from dysl_vla_ros.nodes.fault_run import run_case
    # Its times are for `dysl-vla faults`: a test must not fail because the machine is busy.
    assert run_case(rig, case).problem == ''


def test_the_table_is_as_large_as_promised():
    if not CASES:
        pytest.skip('rclpy or the interfaces are missing')
    from dysl_vla_ros.nodes.fault_loop import LOOP_CASES
    names = [case.name for case in (*CASES, *PARAMETER_CASES, *LOOP_CASES)]
    assert len(names) >= 60
    assert len(set(names)) == len(names)
    assert {case.group for case in (*CASES, *PARAMETER_CASES)} >= {
        'camera', 'clock', 'model', 'process', 'instruction', 'parameter'}


def out_of_range():
    """(dotted name, value) beyond each end of every ranged or chosen parameter."""
    try:
        from dysl_vla_ros.nodes.fault_parameters import out_of_range
    except ImportError:
        return []
    return [(name, value) for name, values in out_of_range().items() for value in values]


@pytest.mark.parametrize(('name', 'value'), out_of_range(),
                         ids=lambda v: str(v))
def test_a_parameter_out_of_range_is_refused_by_name(name, value):
    from dysl_vla_ros.nodes.parameters import PolicyParameters
    group, _, field = name.rpartition('.')
    owner = getattr(PolicyParameters(), group) if group else PolicyParameters()
    with pytest.raises((ValueError, ConfigError), match=field):
        dataclasses.replace(owner, **{field: value})
