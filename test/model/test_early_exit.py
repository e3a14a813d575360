# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""DeeR's exits: the solver against a literal transcription of its rule, and the criterion.

A solver that is off by one rank still looks plausible and only shifts the mean exit.
"""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest
import torch

from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model.early_exit import (
    action_change,
    exit_shares,
    exits_taken,
    run_until_exit,
    solve_thresholds,
    value_positions,
)


def literal_solver(values, ratio, skip_first):
    """The rule of architecture.md section 8.1, sample by sample."""
    exits, samples = values.shape
    shares = exit_shares(ratio, exits, skip_first)
    thresholds, gone = [], [False] * samples
    for k in range(exits - 1):
        rank = math.floor(samples * shares[k])
        threshold, seen = -1e8, 0
        for n in values[k].argsort().tolist():
            if not gone[n]:
                seen += 1
                if seen == rank:
                    threshold = values[k][n].item()
                    break
        gone = [g or values[k][n].item() <= threshold for n, g in enumerate(gone)]
        thresholds.append(threshold)
    return [*thresholds, 1e8]


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 6), st.integers(1, 60), st.floats(0.2, 3.0), st.booleans(),
       st.integers(0, 1000))
def test_solver_equals_the_rule_sample_by_sample(exits, samples, ratio, skip_first, seed):
    values = torch.rand(exits, samples, generator=torch.Generator().manual_seed(seed))
    if exits == 1 and skip_first:
        return  # nothing would be left to normalise
    assert solve_thresholds(values, ratio, skip_first).tolist() \
        == literal_solver(values, ratio, skip_first)


def test_solved_thresholds_give_the_wanted_shares():
    values = torch.rand(6, 5000, generator=torch.Generator().manual_seed(3))
    taken = exits_taken(values, solve_thresholds(values, 0.8))
    shares = torch.bincount(taken, minlength=6) / 5000
    torch.testing.assert_close(shares, exit_shares(0.8, 6), atol=2e-3, rtol=0)


@pytest.mark.parametrize('values', [torch.zeros(3), torch.zeros(0, 4),
                                    torch.full((2, 3), float('nan'))])
def test_values_of_another_form_are_refused(values):
    with pytest.raises(ConfigError, match='exit values'):
        solve_thresholds(values, 1.0)


def test_value_positions_are_deers():
    assert list(value_positions(12)) == [5, 6, 7, 8, 9, 10]  # design/architecture.md section 8.1


@pytest.fixture
def step(tiny_model):
    with torch.inference_mode():
        x = tiny_model.embed(torch.tensor([[3, 9, 4, 0]]))
        yield tiny_model, x, torch.randn(1, 8, 16, generator=torch.Generator().manual_seed(2))


def test_the_first_exit_is_compared_with_layer_0_and_later_ones_with_the_exit_before(step):
    model, x, media = step
    state = model.lm_head.initial_state()
    poses, hidden = [], x
    for layer in model.layers:
        hidden = layer(hidden, media)
        poses.append(model.lm_head.peek(model.pool(hidden), state).pose)
    passed = run_until_exit(model, x, media, state, (1, 2), (-1.0, -1.0))
    assert passed.layer == 2
    assert [j for j, _ in passed.deltas] == [1, 2]
    assert passed.deltas[0][1] == float(action_change(poses[1], poses[0]))
    assert passed.deltas[1][1] == float(action_change(poses[2], poses[1]))
    assert torch.equal(passed.output.pose, poses[2])
    assert state == model.lm_head.initial_state()


def test_a_pass_ends_where_the_change_equals_the_threshold_and_runs_no_later_layer(step,
                                                                                   monkeypatch):
    model, x, media = step
    state = model.lm_head.initial_state()
    delta = run_until_exit(model, x, media, state, (1, 2), (-1.0, -1.0)).deltas[0][1]

    def refuse(*args):
        raise AssertionError('ran')
    monkeypatch.setattr(model.layers[2], 'forward', refuse)
    assert run_until_exit(model, x, media, state, (1, 2), (delta, 1e8)).layer == 1
    assert run_until_exit(model, x, media, state, (1, 2), (-1.0, 1e8), max_layer=2).layer == 1


@pytest.mark.parametrize(('exits', 'thresholds'), [((1, 2), (0.1,)), ((), ()), ((1, 3), (1., 1.))])
def test_exits_that_do_not_fit_are_refused(exits, thresholds, step):
    model, x, media = step
    with pytest.raises(ConfigError, match='exit'):
        run_until_exit(model, x, media, model.lm_head.initial_state(), exits, thresholds)
