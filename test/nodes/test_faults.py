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
except ImportError:
    CASES = ()


@pytest.fixture(scope='module')
def rig(module_domain):
    from dysl_vla_ros.nodes.fault_rig import FaultRig
    rig = FaultRig(module_domain)
    yield rig
    rig.close()


@pytest.mark.parametrize('case', CASES, ids=lambda case: f'{case.group}: {case.name}')
def test_the_arm_stops_says_why_and_goes_on(rig, case):
    from dysl_vla_ros.nodes.fault_cases import run_case
    result = run_case(rig, case)
    assert result.problem == ''


def test_the_table_is_as_large_as_promised():
    if not CASES:
        pytest.skip('rclpy or the interfaces are missing')
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)


def out_of_range():
    """(dotted name, value) beyond each end of every ranged or chosen parameter."""
    try:
        from dysl_vla_ros.nodes.parameters import PolicyParameters, flatten
    except ImportError:
        return []
    found = []
    for name, item in flatten(PolicyParameters).items():
        low, high = item.metadata['low'], item.metadata['high']
        if item.metadata['choices']:
            found.append((name, 'nonsense'))
        elif low is not None:
            step = 1 if isinstance(item.default, int) else 0.5 * abs(low) + 1e-3
            kind = type(item.default)
            found += [(name, kind(low - step)), (name, kind(high + max(1, step)))]
            if kind is float:
                found.append((name, float('nan')))
    return found


@pytest.mark.parametrize(('name', 'value'), out_of_range(),
                         ids=lambda v: str(v))
def test_a_parameter_out_of_range_is_refused_by_name(name, value):
    from dysl_vla_ros.nodes.parameters import PolicyParameters
    group, _, field = name.rpartition('.')
    owner = getattr(PolicyParameters(), group) if group else PolicyParameters()
    with pytest.raises((ValueError, ConfigError), match=field):
        dataclasses.replace(owner, **{field: value})
