# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Three ways to install (make, pip, colcon) from three lists: they must agree."""

import configparser
import os
from pathlib import Path
import re
import xml.etree.ElementTree as ElementTree

ROOT = Path(__file__).resolve().parents[1]


def names(file):
    lines = (ROOT / 'requirements' / file).read_text().splitlines()
    return [re.split(r'[<>=! ;]', line)[0].lower() for line in lines
            if line and not line.startswith(('#', '-'))]


def test_every_requirement_is_pinned_exactly():
    lines = [line for line in (ROOT / 'requirements' / 'constraints.txt').read_text().splitlines()
             if line and not line.startswith('#')]
    assert all('==' in line for line in lines)
    pinned = {line.split('==')[0].lower() for line in lines}
    for file in ('runtime.txt', 'ros.txt', 'dev.txt'):
        for name in names(file):
            assert name in pinned, f'{file}: {name} is not in constraints.txt'


def test_the_unrelated_pypi_package_launch_is_never_required():
    for file in ('runtime.txt', 'ros.txt', 'dev.txt', 'constraints.txt'):
        assert not {'launch', 'launch-ros', 'cv-bridge'} & set(names(file))


def test_pip_and_make_install_the_same_runtime():
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg')
    wanted = {re.split(r'[<>=]', line)[0].lower()
              for line in config['options']['install_requires'].split()}
    assert wanted == set(names('runtime.txt'))


def test_versions_agree():
    from dysl_vla_ros import __version__
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg')
    manifest = ElementTree.parse(ROOT / 'package.xml').getroot()
    assert manifest.findtext('version') == config['metadata']['version'] == __version__
    assert f'## {__version__}' in (ROOT / 'CHANGELOG.md').read_text()


def test_every_interface_file_is_generated():
    listed = set(re.findall(r'(?:msg|srv|action)/\w+\.(?:msg|srv|action)',
                            (ROOT / 'CMakeLists.txt').read_text()))
    present = {str(path.relative_to(ROOT)) for kind in ('msg', 'srv', 'action')
               for path in (ROOT / kind).iterdir()}
    assert listed == present


def test_every_interface_field_is_documented():
    for kind in ('msg', 'srv', 'action'):
        for path in (ROOT / kind).iterdir():
            is_documented = False
            for line in path.read_text().splitlines():
                if line.startswith('#'):
                    is_documented = True
                elif not line.strip() or line == '---':
                    is_documented = False
                else:
                    assert is_documented or '#' in line, f'{path.name}: {line}'


def test_scripts_can_be_executed():
    for path in ('.ci/run', 'scripts/with_ros.sh', 'scripts/build_interfaces.sh',
                 'scripts/check_host.sh', 'scripts/policy_node', 'scripts/sim_bridge_node',
                 'scripts/bag_recorder_node', 'scripts/bag_player_node'):
        assert os.access(ROOT / path, os.X_OK), path
