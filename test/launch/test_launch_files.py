# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Launch files are checked by parsing everywhere, and built where launch_ros exists."""

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / 'launch').glob('*.launch.py'))
HAS_LAUNCH = importlib.util.find_spec('launch_ros') is not None


def arguments(path):
    """Names in the ARGUMENTS table."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == 'ARGUMENTS':
            return {entry.elts[0].value for entry in node.value.elts}
    raise AssertionError(f'{path}: no ARGUMENTS')


@pytest.mark.parametrize('path', FILES, ids=lambda p: p.name)
def test_only_launch_and_launch_ros_are_imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.module.split('.')[0] in {'launch', 'launch_ros'}
        assert not isinstance(node, ast.Import)


@pytest.mark.parametrize('path', FILES, ids=lambda p: p.name)
def test_every_configuration_is_a_declared_argument(path):
    declared = arguments(path)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') in (
                'LaunchConfiguration', 'text', 'flag') and isinstance(node.args[0], ast.Constant):
            assert node.args[0].value in declared, f'{path.name}: {node.args[0].value}'


def test_the_closed_loop_passes_on_only_what_the_others_declare():
    declared = {name: arguments(ROOT / 'launch' / f'{name}.launch.py')
                for name in ('policy', 'sim', 'closed_loop')}
    assert {'checkpoint', 'strategy', 'device', 'namespace', 'use_sim_time', 'log_level',
            'autostart', 'suite', 'mode'} <= declared['closed_loop']
    own = {'policy_params_file', 'sim_params_file'}
    assert declared['closed_loop'] - own <= declared['policy'] | declared['sim']


@pytest.mark.skipif(not HAS_LAUNCH, reason='launch_ros of ROS 2 is not installed (it has no '
                                           'PyPI wheel); runs on a real ROS 2 install')
@pytest.mark.parametrize('path', FILES, ids=lambda p: p.name)
def test_the_description_can_be_built(path):
    spec = importlib.util.spec_from_file_location('described', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert len(module.generate_launch_description().entities) > 5


def test_the_recording_lists_every_topic_of_a_bag():
    from dysl_vla_ros.bags.topics import TOPICS
    tree = ast.parse((ROOT / 'launch' / 'record.launch.py').read_text())
    listed = next(ast.literal_eval(node.value) for node in tree.body
                  if isinstance(node, ast.Assign) and node.targets[0].id == 'TOPICS')
    assert {'/' + name.lstrip('/') for name in listed} == {t.name for t in TOPICS.values()}
    is_global = {t.name for t in TOPICS.values() if t.quality in ('clock', 'diagnostics')}
    assert {name for name in listed if name.startswith('/')} == is_global
