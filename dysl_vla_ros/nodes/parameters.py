# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ROS parameters declared from frozen dataclasses: one source for name, type, range and text.

``config/policy.yaml`` and ``config/sim.yaml`` hold the same values; a test compares both ways.
No parameter may be changed at run time: they are declared read-only.
"""

import dataclasses
from dataclasses import dataclass
import difflib
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.evaluation.manifest import RENDERER
from dysl_vla_ros.skipping.names import STRATEGIES

T = TypeVar('T')
_FOREIGN = ('use_sim_time', 'start_type_description_service', 'qos_overrides.',
            'diagnostic_updater.')


def field(default: Any, description: str, low: float | None = None, high: float | None = None,
          choices: tuple[str, ...] = ()) -> Any:
    """Define one parameter: default value, what it is for, and what it may be."""
    return dataclasses.field(default=default, metadata={
        'description': description, 'low': low, 'high': high, 'choices': choices})


@dataclass(frozen=True)
class PolicyParameters:
    """Parameters of ``policy_node``."""

    checkpoint: str = field(
        'package://dysl_vla_ros/weights/dysl-mini',
        'Weights folder; package://dysl_vla_ros/ stands for the share folder.')
    strategy: str = field(
        'dysl', 'Skip strategy: dysl skips layers, dense runs all of them; the others are rivals '
                'and ablations (docs/reference/strategies.md).', choices=tuple(STRATEGIES))
    budget: float = field(
        0.0, 'Mean share of decoder layers, one that the strategy was calibrated for; 0 takes the '
             'default of its files.', 0.0, 1.0)
    device: str = field('cpu', 'Torch device, for example cpu or cuda:0.')
    torch_threads: int = field(
        1, 'CPU threads of one inference; 1 is fastest for the mini model on a small machine.',
        1, 256)
    policy_factory: str = field(
        '', 'module:function that returns a policy instead of loading the checkpoint; called '
            'with these parameters. For tests and scripted policies.')
    trigger: str = field(
        'observation', 'observation: act once per set of equal stamps (lockstep simulation). '
        'timer: act at rate_hz on the newest aligned samples (robot, live simulation).',
        choices=('observation', 'timer'))
    rate_hz: float = field(30.0, 'Control rate with trigger timer; CALVIN policies expect 30.',
                           0.1, 1000.0)
    max_observation_age_s: float = field(
        0.2, 'Trigger timer: a sample older than this is not used, and no action is sent.',
        0.001, 60.0)
    max_stamp_spread_s: float = field(
        0.05, 'Trigger timer: largest difference between the stamps of one observation.',
        0.0, 60.0)
    input_timeout_s: float = field(
        2.0, 'Wall time without any observation after which the node reports the loss.',
        0.1, 3600.0)
    action_frame: str = field('world', 'frame_id of the actions: axes of the policy.')
    autostart: bool = field(
        True, 'Configure and activate at start; false leaves the node unconfigured.')

    def __post_init__(self) -> None:
        """Raise ValueError for a value outside its range or choices."""
        _validate(self)


@dataclass(frozen=True)
class BridgeParameters:
    """Parameters of ``sim_bridge_node``."""

    mode: str = field(
        'lockstep', 'lockstep: one step per action, deterministic. live: 30 Hz of /clock whether '
        'or not an action came.', choices=('lockstep', 'live'))
    scene: str = field('calvin_scene_D', 'Scene of the play table.')
    assets_dir: str = field('', 'Folder with the official CALVIN assets; empty uses ours.')
    renderer: str = field(
        RENDERER, 'tiny: plain software rendering. tiny_layered: the same up to a few pixels, '
                  'three times faster for the static camera. egl: on a GPU.',
        choices=('tiny', 'tiny_layered', 'egl'))
    env_factory: str = field(
        '', 'module:function that returns (environment, oracle) instead of the play table; '
            'called with these parameters. For tests.')
    suite: str = field(
        '', 'Episodes to evaluate: furniture-singles, furniture-chains, shuffled, demo, or a file '
            'of dysl-vla evaluate --save-suite; empty waits for ~/reset_episode.')
    results_dir: str = field('', 'Folder for recordings and results; empty records nothing.')
    policy_action: str = field(
        'policy_node/execute_instruction', "Name of the policy's ExecuteInstruction action.")
    republish_s: float = field(
        1.0, 'Lockstep: wall time after which an unanswered observation is sent again.',
        0.01, 60.0)
    policy_timeout_s: float = field(
        5.0, 'Wall time without an answer after which the policy counts as lost and the episode '
             'is restarted as soon as it returns.', 0.1, 3600.0)
    max_action_age_s: float = field(
        0.2, 'Live: an action whose observation is older than this is not applied.', 0.001, 60.0)
    exit_when_done: bool = field(
        False, 'End the process with code 0 after the last episode of the suite.')

    def __post_init__(self) -> None:
        """Raise ValueError for a value outside its range or choices."""
        _validate(self)


def declare(node: Node, cls: type[T]) -> T:
    """Declare every field of ``cls`` on the node and return the resolved values.

    Raises:
        ConfigError: For an unknown parameter, a wrong type or a value out of range.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for name in getattr(node, '_parameter_overrides', {}):
        if name not in fields and not name.startswith(_FOREIGN):
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f'did you mean {near[0]!r}?' if near else f'valid names: {sorted(fields)}'
            raise ConfigError(f'{node.get_name()}: unknown parameter {name!r}; {hint}')
    values = {}
    for name, item in fields.items():
        try:
            values[name] = node.declare_parameter(name, item.default, _descriptor(item)).value
        except Exception as error:
            raise ConfigError(f'{node.get_name()}: parameter {name!r}: {error}') from error
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(f'{node.get_name()}: {error}') from error


def _descriptor(item: dataclasses.Field) -> ParameterDescriptor:
    data = item.metadata
    descriptor = ParameterDescriptor(
        name=item.name, description=data['description'], read_only=True,
        additional_constraints=f'one of {list(data["choices"])}' if data['choices'] else '')
    if data['low'] is not None and isinstance(item.default, float):
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=float(data['low']), to_value=float(data['high']))]
    elif data['low'] is not None:
        descriptor.integer_range = [
            IntegerRange(from_value=int(data['low']), to_value=int(data['high']), step=1)]
    return descriptor


def _validate(parameters: Any) -> None:
    for item in dataclasses.fields(parameters):
        value, data = getattr(parameters, item.name), item.metadata
        if data['choices'] and value not in data['choices']:
            raise ValueError(f'parameter {item.name!r}: got {value!r}, expected one of '
                             f'{list(data["choices"])}')
        if data['low'] is not None and not data['low'] <= value <= data['high']:
            raise ValueError(f'parameter {item.name!r}: got {value}, expected '
                             f'{data["low"]} to {data["high"]}')
