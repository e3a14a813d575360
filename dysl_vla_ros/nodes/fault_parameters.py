# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Faults of configuration: every value beyond every range, at start and on the running node."""

from collections.abc import Callable
from typing import Any

from rcl_interfaces.srv import SetParameters
import rclpy
from rclpy.parameter import Parameter

from dysl_vla_ros.errors import ConfigError, SimulationError
from dysl_vla_ros.nodes.fault_cases import FaultCase
from dysl_vla_ros.nodes.fault_rig import PARAMETERS, FaultRig
from dysl_vla_ros.nodes.parameters import PolicyParameters, declare, flatten


def out_of_range() -> dict[str, list[Any]]:
    """Values beyond each end of every ranged or chosen parameter, by dotted name."""
    found: dict[str, list[Any]] = {}
    for name, item in flatten(PolicyParameters).items():
        low, high = item.metadata['low'], item.metadata['high']
        if item.metadata['choices']:
            found[name] = ['nonsense']
        elif low is not None:
            step = 1 if isinstance(item.default, int) else 0.5 * abs(low) + 1e-3
            kind = type(item.default)
            found[name] = [kind(low - step), kind(high + max(1, step))]
            if kind is float:
                found[name].append(float('nan'))
    return found


def _refusal_at_start(rig: FaultRig, name: str, value: Any) -> str:
    """What a node says that is started with the rig's parameters and this value.

    Raises:
        SimulationError: If it takes it, or does not name the parameter.
    """
    overrides = {**{k: v for k, v in PARAMETERS.items() if k != 'use_sim_time'}, name: value}
    node = rclpy.create_node(
        'candidate', context=rig.context, start_parameter_services=False, enable_rosout=False,
        parameter_overrides=[Parameter(k, value=v) for k, v in overrides.items()])
    try:
        declare(node, PolicyParameters)
    except ConfigError as error:
        if name.rpartition('.')[2] in str(error):
            return str(error)
        raise SimulationError(f'{name} {value}: refused without its name: {error}') from error
    finally:
        node.destroy_node()
    raise SimulationError(f'{name} {value}: taken at start')


def _inject(name: str, values: list[Any]) -> Callable[[FaultRig], str]:
    def inject(rig: FaultRig) -> str:
        said = [_refusal_at_start(rig, name, value) for value in values]
        results = rig.call('parameters', SetParameters.Request(parameters=[
            Parameter(name, value=value).to_parameter_msg() for value in values])).results
        if taken := [v for v, r in zip(values, results, strict=True) if r.successful]:
            raise SimulationError(f'{name} {taken}: taken by the running node')
        return f'{said[0]}; running: {results[0].reason}'
    return inject


PARAMETER_CASES: tuple[FaultCase, ...] = tuple(
    FaultCase(f'{name}: {", ".join(map(str, values))}', 'parameter', _inject(name, values), '',
              stops=False) for name, values in out_of_range().items())
