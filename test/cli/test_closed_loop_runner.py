# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two processes started, watched and ended. A leftover node would disturb the next run, and a
dead one must not be waited for.
"""

import importlib.util
from pathlib import Path

import pytest

from dysl_vla_ros.cli import closed_loop
from dysl_vla_ros.errors import ConfigError, SimulationError
from dysl_vla_ros.evaluation.recording import read_recordings
from dysl_vla_ros.evaluation.suites import demo_chains, save_suite

needs_ros = pytest.mark.skipif(
    importlib.util.find_spec('rclpy') is None
    or importlib.util.find_spec('dysl_vla_ros.msg') is None,
    reason='rclpy or dysl_vla_ros.msg is missing: run make setup, then scripts/with_ros.sh pytest')


@pytest.fixture
def loop(tmp_path, fakes_for_children):
    def make(policy='fake_policy:create', **bridge):
        suite = save_suite(demo_chains(2), tmp_path / 'suite.json')
        return closed_loop.ClosedLoop(tmp_path, suite, {'policy_factory': policy},
                                      {'env_factory': 'fake_world:create', **bridge})
    return make


@pytest.mark.ros
@needs_ros
def test_a_suite_runs_to_its_end_and_nothing_stays(loop, monkeypatch):
    started = []
    original = closed_loop.NodeProcess.__init__

    def remember(self, *args):
        original(self, *args)
        started.append(self)
    monkeypatch.setattr(closed_loop.NodeProcess, '__init__', remember)
    seen = []
    this = loop()
    this.run(lambda done, line: seen.append(len(done)))
    assert seen[-1] == 2
    assert [r.result['succeeded'] for r in read_recordings(this.folder)] == [5, 5]
    assert [n.process.poll() for n in started] == [0, 0]


@pytest.mark.ros
@needs_ros
def test_a_policy_that_cannot_start_ends_the_run_with_its_own_words(loop):
    with pytest.raises(SimulationError, match=r'(?s)policy_node ended.*no_such_module'):
        loop('no_such_module:create').run()


def test_values_survive_the_ros_command_line():
    words = closed_loop.command('policy_node', {
        'checkpoint': "/a b/it's", 'torch_threads': 2, 'autostart': True, 'rate_hz': 30.0,
        'strategy': 'on'})
    import yaml
    values = dict(w.split(':=', 1) for w in words if ':=' in w)
    assert {k: yaml.safe_load(v) for k, v in values.items()} == {
        'checkpoint': "/a b/it's", 'torch_threads': 2, 'autostart': True, 'rate_hz': 30.0,
        'strategy': 'on'}


def test_missing_ros_is_explained(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ConfigError, match='make setup'):
        closed_loop.ros_prefix()


def test_a_checkout_with_built_interfaces_uses_the_wrapper(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, 'find_spec',
                        lambda name: object() if name == 'rclpy' else None)
    module = tmp_path / 'dysl_vla_ros' / 'cli' / 'closed_loop.py'
    monkeypatch.setattr(closed_loop, '__file__', str(module))
    for name in ('scripts/with_ros.sh', 'install/setup.bash'):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text('')
    assert closed_loop.ros_prefix() == [str(tmp_path / 'scripts/with_ros.sh')]
    Path(tmp_path / 'install/setup.bash').unlink()
    with pytest.raises(ConfigError, match='interfaces'):
        closed_loop.ros_prefix()
