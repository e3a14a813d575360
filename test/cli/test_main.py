# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command line: help without heavy imports, errors as sentences, every command reachable."""

import importlib
from pathlib import Path
import subprocess
import sys

import pytest

from dysl_vla_ros.cli.__main__ import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('command', ['', *COMMANDS])
def test_help_imports_nothing_heavy(command):
    code = ('import sys\n'
            'from dysl_vla_ros.cli.__main__ import main\n'
            'try:\n'
            f'    main({[*command.split(), "--help"]!r})\n'
            'except SystemExit as end:\n'
            '    assert end.code == 0\n'
            'heavy = {"torch", "pybullet", "rclpy", "matplotlib", "transformers"}\n'
            'print("HEAVY", sorted(heavy & set(sys.modules)))\n')
    output = subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout
    assert 'usage: dysl-vla' in output
    assert 'HEAVY []' in output


@pytest.mark.parametrize('command', COMMANDS)
def test_every_command_has_the_two_functions(command):
    module = importlib.import_module(
        f'dysl_vla_ros.cli.{command.replace("-", "_")}')
    assert callable(module.add_arguments)
    assert callable(module.run)


def test_an_unknown_command_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as end:
        main(['evalaute'])
    assert end.value.code == 2
    assert 'evalaute' in capsys.readouterr().err


def test_our_errors_become_one_sentence_and_exit_code_one(capsys, tmp_path):
    assert main(['report', str(tmp_path / 'nothing')]) == 1
    text = capsys.readouterr().err
    assert text.startswith('DatasetError: ')
    assert 'Traceback' not in text


def test_ctrl_c_is_reported_as_shells_do(monkeypatch):
    from dysl_vla_ros.cli import report

    def interrupt(args):
        raise KeyboardInterrupt
    monkeypatch.setattr(report, 'run', interrupt)
    assert main(['report', 'x']) == 130
