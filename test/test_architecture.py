# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The rooms of docs/explanation/architecture.md: who may import whom, checked on every import."""

import ast
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'dysl_vla_ros'
BASE = {'errors', 'configuration', 'resources', 'calvin_hash', '__init__', '__version__'}
MAY_IMPORT = {
    'observation': {'control'},
    'control': set(),
    'bags': {'control', 'observation'},
    'model': {'observation'},
    'skipping': {'model', 'observation'},
    'sim': {'control', 'observation'},
    'datasets': {'control', 'observation', 'bags'},
    'training': {'datasets', 'skipping', 'model', 'observation', 'control', 'sim', 'bags'},
    'evaluation': {'skipping', 'model', 'observation', 'control', 'sim', 'bags'},
    'nodes': {'evaluation', 'bags', 'skipping', 'model', 'observation', 'control', 'sim',
              'msg', 'srv', 'action'},
    'cli': {'nodes', 'training', 'evaluation', 'datasets', 'bags', 'skipping', 'model',
            'observation', 'control', 'sim', 'msg', 'srv', 'action'},
}
ROS = {'rclpy', 'launch', 'launch_ros', 'builtin_interfaces', 'std_msgs', 'sensor_msgs',
       'geometry_msgs', 'diagnostic_msgs', 'lifecycle_msgs', 'rosgraph_msgs', 'rcl_interfaces',
       'ament_index_python'}
FILES = sorted(PACKAGE.rglob('*.py'))


def room(path):
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else parts[0].removesuffix('.py')


def imports(path):
    """(module name, is inside a function) of every import."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    inner = {id(node) for function in ast.walk(tree)
             if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
             for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in inner
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: relative import'
            if node.module == 'dysl_vla_ros':
                for alias in node.names:
                    yield f'dysl_vla_ros.{alias.name}', id(node) in inner
            else:
                yield node.module, id(node) in inner


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_keep_to_the_rooms(path):
    here = room(path)
    for name, is_inside_function in imports(path):
        top, *rest = name.split('.')
        if top == 'dysl_vla_ros' and rest and here not in BASE:
            target = rest[0]
            allowed = MAY_IMPORT[here] | BASE | {here}
            assert target in allowed, f'{here} may not import {name}'
            if here == 'cli' and target in {'nodes', 'msg', 'srv', 'action'}:
                assert is_inside_function, f'cli may import {name} inside functions only'
        elif top == 'dysl_vla_ros' and rest:
            assert rest[0] in BASE, f'{path.name} may not import {name}'
        elif top in ROS:
            assert here == 'nodes' or (here == 'cli' and is_inside_function), \
                f'{here} may not import {name}'
        elif top == 'pybullet':
            assert here == 'sim', f'{here} may not import pybullet'
        elif top == 'rosbags':
            assert here == 'bags', f'{here} may not import rosbags'
        elif top == 'torch' and here in {'observation', 'control', 'sim', 'bags', 'datasets'}:
            pytest.fail(f'{here} may not import torch')


@pytest.mark.parametrize(('module', 'forbidden'), [
    ('dysl_vla_ros', ['torch', 'numpy', 'pybullet', 'rclpy']),
    ('dysl_vla_ros.observation.assembler', ['torch', 'pybullet', 'rclpy', 'transformers']),
    ('dysl_vla_ros.control.limits', ['torch', 'pybullet', 'rclpy']),
    ('dysl_vla_ros.model', ['pybullet', 'rclpy']),
    ('dysl_vla_ros.skipping', ['pybullet', 'rclpy']),
    ('dysl_vla_ros.sim', ['rclpy', 'torch']),
    ('dysl_vla_ros.datasets.calvin', ['torch', 'pybullet', 'rclpy', 'pyarrow', 'rosbags']),
    ('dysl_vla_ros.training.collect', ['torch', 'rclpy']),
    ('dysl_vla_ros.bags.reader', ['torch', 'pybullet', 'rclpy']),
    ('dysl_vla_ros.evaluation', ['rclpy']),
])
def test_a_bare_interpreter_loads_nothing_that_is_not_needed(module, forbidden):
    code = (f'import sys, {module}\n'
            f'print([name for name in {forbidden!r} if name in sys.modules])')
    output = subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout
    assert output.strip().splitlines()[-1] == '[]'


def test_every_python_file_carries_the_licence():
    for path in [*FILES, *(ROOT / 'launch').glob('*.py'), *(ROOT / 'test').rglob('*.py')]:
        head = path.read_text(encoding='utf-8').splitlines()[:3]
        assert any('SPDX-License-Identifier: Apache-2.0' in line for line in head), path
