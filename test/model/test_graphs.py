# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which paths are captured and that a replay is the path; the capture itself needs a GPU."""

from fake_graph import capture
import pytest
import torch

from dysl_vla_ros.model.graphs import GraphCache, capture_cuda_graph


@pytest.fixture
def calls():
    """How often Python ran the path."""
    return []


@pytest.fixture
def double(calls):
    def function(x):
        calls.append(x.shape)
        return 2 * x
    return function


def test_a_frequent_path_is_captured_once_and_then_replayed(calls, double):
    cache = GraphCache(capture, seen_first=2)
    for i in range(6):
        assert torch.equal(cache.run('double', double, torch.full((3,), float(i))),
                           torch.full((3,), 2.0 * i))
    assert len(cache) == 1
    assert len(calls) == 3  # twice as seen, once while capturing


def test_another_shape_is_another_path(calls, double):
    cache = GraphCache(capture, seen_first=0)
    assert cache.run('double', double, torch.ones(2)).shape == (2,)
    assert cache.run('double', double, torch.ones(3)).shape == (3,)
    assert len(cache) == 2


def test_a_replay_does_not_change_what_an_earlier_one_returned(double):
    cache = GraphCache(capture, seen_first=0)
    first = cache.run('double', double, torch.ones(1))
    cache.run('double', double, torch.full((1,), 7.0))
    assert float(first) == 2.0


def test_there_is_a_limit(double):
    cache = GraphCache(capture, seen_first=0, limit=2)
    for n in range(1, 5):
        assert cache.run('double', double, torch.ones(n)).shape == (n,)
    assert len(cache) == 2


def test_what_cannot_be_captured_runs_without_and_is_named(double, caplog):
    def refuse(function, inputs):
        raise RuntimeError('operation not permitted when stream is capturing\nmore')
    cache = GraphCache(refuse, seen_first=0)
    for _ in range(2):
        assert float(cache.run('double', double, torch.ones(1))) == 2.0
    assert cache.failure == 'operation not permitted when stream is capturing'
    assert caplog.text.count('could not be captured') == 1


def test_the_dense_path_is_captured_and_training_is_not(tiny_model):
    x, media = tiny_model.embed(torch.tensor([[3, 7, 4, 0]])), torch.randn(1, 8, 16)
    tiny_model.graphs = GraphCache(capture, seen_first=0)
    assert tiny_model.decode(x, media).requires_grad
    assert len(tiny_model.graphs) == 0
    with torch.inference_mode():
        replayed = [tiny_model.decode(x, media, first) for first in (0, 0, 2, 2)]
        assert len(tiny_model.graphs) == 2
        tiny_model.graphs = None
        assert torch.equal(replayed[1], tiny_model.decode(x, media))
        assert torch.equal(replayed[3], tiny_model.decode(x, media, 2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason='CUDA graphs need a GPU')
def test_a_cuda_graph_replays_the_function():
    weight = torch.randn(4, 4, device='cuda')
    replay = capture_cuda_graph(lambda x: (x @ weight, x + 1), (torch.zeros(2, 4, device='cuda'),))
    x = torch.randn(2, 4, device='cuda')
    product, following = replay(x)
    torch.testing.assert_close(product, x @ weight)
    torch.testing.assert_close(following, x + 1)
