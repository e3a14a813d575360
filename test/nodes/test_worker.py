# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The order of resets and observations decides which instruction an action belongs to."""

import threading

import pytest


@pytest.fixture
def worker():
    """A worker whose first step blocks until ``gate`` opens; ``calls`` is what it did."""
    from dysl_vla_ros.nodes.worker import PolicyWorker
    calls, gate, entered, ended = [], threading.Event(), threading.Event(), threading.Event()

    def step(job):
        entered.set()
        assert gate.wait(30)
        calls.append(job)
        if job == 'fail':
            raise RuntimeError('scripted')
        if job == 'last':
            ended.set()

    def failed(error):
        calls.append(str(error))
        ended.set()

    worker = PolicyWorker(lambda sentence: calls.append(f'reset {sentence}'), step, failed)
    worker.calls, worker.gate, worker.entered, worker.ended = calls, gate, entered, ended
    yield worker
    gate.set()
    worker.stop()


def test_only_the_newest_waiting_observation_is_processed(worker):
    worker.submit('first')
    assert worker.entered.wait(30)
    worker.submit('dropped')
    worker.submit('last')
    assert worker.is_busy
    worker.gate.set()
    assert worker.ended.wait(30)
    assert worker.calls == ['first', 'last']


def test_a_reset_drops_what_waits_and_comes_first(worker):
    worker.submit('first')
    assert worker.entered.wait(30)
    worker.submit('dropped')
    worker.submit_reset('go')
    worker.submit('last')
    worker.gate.set()
    assert worker.ended.wait(30)
    assert worker.calls == ['first', 'reset go', 'last']


def test_an_exception_is_reported_once_and_ends_the_thread(worker):
    worker.gate.set()
    worker.submit('fail')
    assert worker.ended.wait(30)
    worker.submit('never')
    assert worker.stop()
    assert worker.calls == ['fail', 'scripted']


def test_stop_waits_for_what_runs(worker):
    worker.submit('first')
    assert worker.entered.wait(30)
    worker.gate.set()
    assert worker.stop()
    assert worker.calls == ['first']
