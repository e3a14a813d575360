# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The same weights must act the same however the node is started, and a governor must bite."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from dysl_vla_ros.errors import ConfigError

ACT = """
import hashlib
import numpy as np
from dysl_vla_ros.nodes.parameters import PolicyParameters
from dysl_vla_ros.nodes.policies import load_policy
from dysl_vla_ros.observation.observation import Observation
policy = load_policy(PolicyParameters())
policy.reset('open the drawer')
rng = np.random.default_rng(0)
actions = [policy.act(Observation(rng.integers(0, 256, (200, 200, 3), np.uint8),
                                  rng.integers(0, 256, (84, 84, 3), np.uint8))).action
           for _ in range(8)]
print('ACTIONS', hashlib.sha256(np.array(actions).tobytes()).hexdigest())
"""


@pytest.mark.weights
def test_actions_do_not_depend_on_the_threads_of_the_environment():
    digests = set()
    for threads in (None, '1', '2'):
        environment = {k: v for k, v in os.environ.items()
                       if k not in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS')}
        if threads:
            environment['OMP_NUM_THREADS'] = threads
        output = subprocess.run([sys.executable, '-c', ACT], env=environment, check=True,
                                capture_output=True, text=True).stdout
        digests.add(output.split('ACTIONS ')[1].strip())
    assert len(digests) == 1


def governed(**fields):
    from dysl_vla_ros.nodes.parameters import GovernorParameters
    return GovernorParameters(budget_ms=10.0, **fields)


def test_a_governor_needs_a_policy_that_skips():
    from dysl_vla_ros.nodes.policies import create_governor
    policy = SimpleNamespace(describe=lambda: {'skipping': None})
    with pytest.raises(ConfigError, match='skips layers'):
        create_governor(policy, governed())


def test_the_governor_starts_at_the_calibrated_threshold_and_refuses_a_floor_above_it():
    from dysl_vla_ros.nodes.policies import create_governor, set_skip_threshold
    thresholds = []
    policy = SimpleNamespace(describe=lambda: {'skipping': {'skip_threshold': 0.8}},
                             rule=SimpleNamespace(executor=SimpleNamespace(
                                 set_threshold=thresholds.append)))
    governor = create_governor(policy, governed())
    set_skip_threshold(policy, governor.threshold)
    assert thresholds == [0.8]
    with pytest.raises(ConfigError, match='above the calibrated'):
        create_governor(policy, governed(min_threshold=0.9))


@pytest.mark.weights
def test_the_governor_moves_the_shipped_policy():
    from dysl_vla_ros.nodes.policies import create_governor, set_skip_threshold
    from dysl_vla_ros.resources import resolve
    from dysl_vla_ros.skipping.policy import DySLPolicy
    policy = DySLPolicy.from_pretrained(resolve('package://dysl_vla_ros/weights/dysl-mini'))
    governor = create_governor(policy, governed())
    before = policy.rule.executor.logit_threshold
    set_skip_threshold(policy, governor.threshold)
    assert policy.rule.executor.logit_threshold == pytest.approx(before)
    set_skip_threshold(policy, 0.05)
    assert policy.rule.executor.logit_threshold < before


@pytest.mark.weights
def test_precision_and_speed_options_reach_the_policy_and_the_governor_its_threshold():
    from dysl_vla_ros.nodes.parameters import PolicyParameters
    from dysl_vla_ros.nodes.policies import create_governor, load_policy, set_skip_threshold
    policy = load_policy(PolicyParameters(dtype='bf16', cuda_graphs=True))
    said = policy.describe()
    assert said['dtype'] == 'bfloat16'
    assert said['acceleration']['left_out'] == {
        'cuda_graphs': 'needs a CUDA device, this policy runs on cpu'}
    assert create_governor(policy, governed(min_threshold=0.1)) is not None
    set_skip_threshold(policy, 1.0)
    policy.reset('open the drawer')
    from dysl_vla_ros.nodes.policies import warm_up
    warm_up(policy)
    assert policy.rule.executor.logit_threshold == float('inf')


def test_progress_names_the_phases():
    from dysl_vla_ros.nodes.parameters import PolicyParameters
    from dysl_vla_ros.nodes.policies import load_policy
    phases = []
    load_policy(PolicyParameters(policy_factory='dysl_vla_ros.nodes.scripted_policy:create'),
                phases.append)
    assert phases == ['loading the policy', 'warming up']


def test_the_expert_is_loaded_without_a_warm_up_that_it_could_not_do():
    from dysl_vla_ros.nodes.parameters import PolicyParameters
    from dysl_vla_ros.nodes.policies import load_policy, needs_robot_obs, uses_scene_state
    expert = load_policy(PolicyParameters(
        policy_factory='dysl_vla_ros.nodes.expert_policy:create'))
    assert uses_scene_state(expert)
    assert not needs_robot_obs(expert)
    circle = load_policy(PolicyParameters(
        policy_factory='dysl_vla_ros.nodes.scripted_policy:create'))
    assert not uses_scene_state(circle)
