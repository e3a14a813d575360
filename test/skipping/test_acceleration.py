# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Precision and speed options of a policy: what they change, and that graphs change nothing."""

from fake_graph import capture
import numpy as np
import pytest
import torch

from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model import acceleration
from dysl_vla_ros.model.acceleration import Acceleration
from dysl_vla_ros.model.graphs import GraphCache
from dysl_vla_ros.skipping.names import STRATEGIES
from dysl_vla_ros.skipping.policy import DySLPolicy

INSTRUCTION = 'open the drawer'
# One of each kind of path; capturing is slow here.
CAPTURED = ('dense', 'truncated', 'random', 'deer', 'one_shot_router', 'dysl', 'dysl_joint')


def run(policy, observe, steps=8):
    policy.reset(INSTRUCTION)
    return [policy.act(observe(n)) for n in range(steps)]


@pytest.mark.parametrize('name', CAPTURED)
def test_captured_paths_act_like_eager_ones(all_strategies, observe, name):
    eager = run(DySLPolicy.from_pretrained(all_strategies, name), observe)
    policy = DySLPolicy.from_pretrained(all_strategies, name)
    policy.model.graphs = GraphCache(capture, seen_first=1, limit=5)
    for a, b in zip(eager, run(policy, observe), strict=True):
        assert np.array_equal(a.action, b.action)
        assert np.array_equal(a.trace.executed, b.trace.executed)
        assert a.trace.groups == b.trace.groups
        assert a.trace.n_executed_total == b.trace.n_executed_total
    assert policy.model.graphs.failure is None
    assert len(policy.model.graphs) > 0


def test_strategies_of_one_network_do_not_share_captured_paths(all_strategies, observe):
    names = {'truncated': None, 'dysl_joint': None, 'dysl': None}
    expected = {n: run(DySLPolicy.from_pretrained(all_strategies, n), observe) for n in names}
    policies = DySLPolicy.from_pretrained_many(all_strategies, names)
    network = policies['dysl'].model
    assert all(p.model is network for p in policies.values())
    network.graphs = GraphCache(capture, seen_first=0, limit=8)
    for name, policy in policies.items():
        for a, b in zip(expected[name], run(policy, observe), strict=True):
            assert np.array_equal(a.action, b.action), name


@pytest.mark.parametrize('name', STRATEGIES)
@pytest.mark.parametrize('dtype', ['bf16', 'fp16'])
def test_every_strategy_runs_in_half_precision(all_strategies, observe, name, dtype):
    policy = DySLPolicy.from_pretrained(all_strategies, name, acceleration=Acceleration(dtype))
    for part in (policy.model, policy.rule.modules):
        if part is not None:
            assert {p.dtype for p in part.parameters()} == {policy.model.dtype}
    steps = run(policy, observe)
    assert all(s.action.dtype == np.float32 and np.isfinite(s.action).all() for s in steps)
    assert policy.describe()['dtype'] == {'bf16': 'bfloat16', 'fp16': 'float16'}[dtype]


def test_half_precision_stays_close_and_full_precision_is_the_default(all_strategies, observe):
    full, default, half = (
        run(DySLPolicy.from_pretrained(all_strategies, 'dense', acceleration=Acceleration(d)),
            observe) for d in ('fp32', 'stored', 'bf16'))
    assert all(np.array_equal(a.action, b.action) for a, b in zip(full, default, strict=True))
    difference = max(np.abs(a.action - b.action)[:6].max()
                     for a, b in zip(full, half, strict=True))
    assert 0 < difference < 0.05


def test_what_a_cpu_cannot_do_is_left_out_with_the_reason(all_strategies, observe, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise RuntimeError('no C++ compiler')
    monkeypatch.setattr(torch.nn.Module, 'compile', refuse)
    options = Acceleration(compile=True, cuda_graphs=True)
    policy = DySLPolicy.from_pretrained(all_strategies, 'dysl', acceleration=options)
    said = policy.describe()['acceleration']
    assert said['compile'] is True
    assert said['left_out'] == {'compile': 'RuntimeError: no C++ compiler',
                                'cuda_graphs': 'needs a CUDA device, this policy runs on cpu'}
    plain = run(DySLPolicy.from_pretrained(all_strategies, 'dysl'), observe)
    for a, b in zip(plain, run(policy, observe), strict=True):
        assert np.array_equal(a.action, b.action)


def test_quantisation_comes_after_the_copies_that_strategies_make(all_strategies, monkeypatch):
    quantised = []
    monkeypatch.setattr(acceleration, 'quantise_int8', lambda model: quantised.append(
        {n for n, p in model.named_parameters()}) or model.layers.apply(zero))

    def zero(module):
        for parameter in module.parameters(recurse=False):
            parameter.data.zero_()
    policy = DySLPolicy.from_pretrained(all_strategies, 'truncated',
                                        acceleration=Acceleration(int8=True))
    assert len(quantised) == 1
    assert all(p.abs().sum() > 0 for n, p in policy.rule.modules.named_parameters()
               if n.endswith('to_q.weight'))


def test_an_unknown_precision_is_refused():
    with pytest.raises(ConfigError, match=r"dtype: got 'fp8', expected one of \['stored', 'fp32'"):
        Acceleration('fp8')


def test_the_governor_finds_the_threshold_of_a_real_policy(all_strategies):
    """It looked for it in a place where policies have had none since strategies exist."""
    policy = DySLPolicy.from_pretrained(all_strategies, 'dysl')
    policy.executor.set_threshold(0.5)
    assert policy.rule.executor.logit_threshold == 0.0
    assert not hasattr(DySLPolicy.from_pretrained(all_strategies, 'dense'), 'executor')
