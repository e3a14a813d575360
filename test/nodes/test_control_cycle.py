# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every action that a policy makes is told once: beside what was sent, or with why it was not."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from dysl_vla_ros.errors import ContractError


@pytest.fixture
def cycle(graph):
    """cycle(action, **parameters) -> a cycle with one session; ``sent`` has what went out."""
    from dysl_vla_ros.nodes.control_cycle import ControlCycle, Hooks
    from dysl_vla_ros.nodes.parameters import PolicyParameters
    from dysl_vla_ros.nodes.session import Counters, Session
    from dysl_vla_ros.skipping.step import SkipTrace, Step, StepTiming
    sent, made = [], []
    graph.node.create_lifecycle_publisher = lambda kind, topic, qos: SimpleNamespace(
        topic_name=topic, publish=lambda message: sent.append((topic, message)))
    graph.node.destroy_lifecycle_publisher = lambda publisher: None

    class Policy:
        def reset(self, instruction):
            pass

        def act(self, observation):
            made[-1].while_thinking()
            trace = SkipTrace(np.array([True]), 1, (), np.nan, np.nan, False)
            return Step(np.array(action, np.float32), 0.9, 3, trace,
                        StepTiming(0.0, 0.0, 0.0, 0.0, 0.0))

        def describe(self):
            return {'model': {'head': {'use_state': False}}}

    action = None

    def create(of_action, **parameters):
        nonlocal action
        action = of_action
        hooks = Hooks(lambda *_: None, lambda *_: None, lambda error: None, lambda text: None,
                      lambda *_: None)
        cycle = ControlCycle(graph.node, PolicyParameters(**parameters), threading.RLock(),
                             Policy(), None, Counters(), hooks)
        cycle.sent, cycle.counters = sent, cycle._counters
        cycle.while_thinking = lambda: None
        cycle.activate()
        cycle.session = Session('open the drawer')
        made.append(cycle)
        return cycle

    yield create
    for one in made:
        one.deactivate('the test is over')
        one.destroy()


@pytest.fixture
def job(graph):
    """job(cycle, age_s) -> an observation that is so old."""
    from dysl_vla_ros.nodes import messages
    from dysl_vla_ros.nodes.session import Job
    from dysl_vla_ros.observation.assembler import Assembly, StreamState
    from dysl_vla_ros.observation.ring import Sample

    def create(cycle, age_s=0.0):
        stamp_ns = graph.node.get_clock().now().nanoseconds - int(age_s * 1e9)
        image = messages.image_message(np.zeros((4, 4, 3), np.uint8), stamp_ns, 'camera')
        samples = {name: Sample(stamp_ns, image) for name in cycle.streams}
        assembly = Assembly(samples, dict.fromkeys(samples, StreamState.FRESH), 0, True, stamp_ns,
                            '')
        return Job(assembly, cycle.session, 0.0, 1.0)

    return create


GOOD = [0.1, 0, 0, 0, 0, 0, 1]


def test_a_step_in_time_is_told_beside_its_action(cycle, job):
    from dysl_vla_ros.observation.messages import was_sent
    one = cycle(GOOD)
    one._infer(job(one))
    assert [topic for topic, _ in one.sent] == ['~/action', '~/inference_stats']
    assert was_sent(one.sent[1][1])
    assert (one.counters.steps, one.counters.unsent) == (1, 0)


@pytest.mark.parametrize(('prepare', 'reason'), [
    (lambda cycle: None, 'the observation is 10.0'),
    (lambda cycle: setattr(cycle, 'session', None), 'the instruction ended'),
    (lambda cycle: cycle.deactivate('stop'), 'the node was stopped'),
])
def test_a_step_that_comes_too_late_is_told_with_the_reason(cycle, job, prepare, reason):
    from dysl_vla_ros.observation.messages import was_sent
    one = cycle(GOOD, trigger='timer')
    late = job(one, age_s=10.0)
    one.while_thinking = lambda: prepare(one)
    one._infer(late)
    ((topic, stats),) = one.sent
    assert topic == '~/inference_stats'
    assert not was_sent(stats)
    assert stats.limit_reasons[0].startswith(f'not sent: {reason}')
    assert list(stats.raw_action) == pytest.approx(GOOD)
    assert (one.counters.steps, one.counters.unsent) == (0, 1)


def test_an_observation_of_an_instruction_that_is_over_does_not_reach_the_policy(cycle, job):
    one = cycle(GOOD)
    late = job(one)
    one.session = None
    one.while_thinking = lambda: pytest.fail('the policy was asked')
    one._infer(late)
    assert one.sent == []
    assert (one.counters.replaced, one.counters.unsent) == (1, 0)


@pytest.mark.parametrize('action', [[np.nan, 0, 0, 0, 0, 0, 1], GOOD[:6]])
def test_a_step_of_a_broken_policy_is_told_too(cycle, job, action):
    one = cycle(action)
    with pytest.raises(ContractError):
        one._infer(job(one))
    ((topic, stats),) = one.sent
    assert topic == '~/inference_stats'
    assert stats.limit_reasons[0].startswith('not sent: ContractError')


def test_a_frozen_camera_stops_an_action_that_was_being_made(cycle, job):
    class FreezesWhileThePolicyThinks:
        answers = iter(['', 'image_static: frozen'])

        @property
        def problem(self):
            return next(self.answers)

    one = cycle(GOOD)
    one._freeze = FreezesWhileThePolicyThinks()
    one._infer(job(one))
    assert [topic for topic, _ in one.sent] == ['~/inference_stats']
    assert one.sent[0][1].limit_reasons == ['not sent: image_static: frozen']
