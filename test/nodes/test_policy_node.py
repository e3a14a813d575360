# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Without these, an action without instruction, with a wrong stamp or NaN could go unnoticed."""

from collections import Counter
import signal

import numpy as np
import pytest


@pytest.fixture
def camera(graph):
    """camera(stamp_ns, red): publish both images with one stamp; waits for the policy first."""
    from sensor_msgs.msg import Image

    from dysl_vla_ros.nodes import messages, qos
    publishers = [graph.node.create_publisher(Image, f'image_{name}', qos.SENSOR)
                  for name in ('static', 'gripper')]

    def camera(stamp_ns, red=0):
        image = np.full((16, 16, 3), red, np.uint8)
        for publisher in publishers:
            publisher.publish(messages.image_message(image, stamp_ns, 'camera'))

    camera.publishers = publishers
    return camera


@pytest.fixture
def policy(graph, launch, camera):
    """policy(**parameters) -> running, active and connected node with its actions and goals."""
    from dysl_vla_ros.action import ExecuteInstruction
    from dysl_vla_ros.msg import EndEffectorAction, InferenceStats

    from dysl_vla_ros.nodes import qos

    def start(**parameters):
        node = launch('policy_node', **parameters)
        node.actions = graph.listen(EndEffectorAction, 'policy_node/action', qos.COMMAND)
        node.stats = graph.listen(InferenceStats, 'policy_node/inference_stats', qos.STATISTICS)
        node.wait_for('active; waiting')
        client = graph.action_client(ExecuteInstruction, 'policy_node/execute_instruction')
        assert client.wait_for_server(30)
        count = 0
        while any(p.get_subscription_count() == 0 for p in camera.publishers) or \
                graph.node.count_publishers('policy_node/action') == 0:
            with graph.condition:
                graph.condition.wait(0.05)
            count += 1
            assert count < 600, 'the policy node was not discovered'

        def goal(instruction='open the drawer', max_steps=0):
            request = ExecuteInstruction.Goal(instruction=instruction, max_steps=max_steps)
            return graph.call(lambda: client.send_goal_async(request))

        node.published = Counter()

        def act(stamp_ns, red=0):
            """Publish an observation (again and again, as the bridge does) until answered."""
            def answer():
                return [a for a in node.actions if stamp(a) == stamp_ns]
            for _ in range(60):
                camera(stamp_ns, red)
                node.published[stamp_ns] += 1
                with graph.condition:
                    if graph.condition.wait_for(answer, 1.0):
                        return answer()[0]
            raise AssertionError(f'no action for {stamp_ns}; output:\n{node.output}')

        node.goal, node.act = goal, act
        return node

    return start


def stamp(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def outcome(graph, handle):
    return graph.call(handle.get_result_async, 'the result of a goal').result


def result_code(name):
    from dysl_vla_ros.action import ExecuteInstruction
    return getattr(ExecuteInstruction.Result, name)


def test_an_action_carries_the_stamp_and_content_of_its_observation(policy):
    node = policy()
    assert node.goal('open the drawer').accepted
    for step, red in enumerate((10, 200, 30)):
        action = node.act(10**9 * (step + 2), red)
        assert action.step == step
        assert action.gripper == 1
        assert action.translation == pytest.approx([red / 255, 1e-3 * step, 0.15], abs=1e-6)
    stats = next(s for s in node.stats if stamp(s) == 2 * 10**9)
    assert list(stats.executed) == [True, True, False, True]
    assert stats.groups[0].reason == stats.groups[0].SKIPPED
    assert list(stats.input_names) == ['image_static', 'image_gripper']


def test_a_repeated_observation_is_answered_with_the_same_action(policy, graph, camera):
    node = policy()
    node.goal()
    first = node.act(2 * 10**9, 7)
    count = len(node.actions)
    camera(2 * 10**9, 99)  # another content under the same stamp: must not be looked at
    graph.wait(lambda: len(node.actions) > count, 'the cached action')
    assert node.actions[-1] == first
    assert node.act(3 * 10**9).step == 1


def test_a_new_observation_does_not_repeat_the_answer_before(policy):
    node = policy()
    node.goal()
    for second in (2, 3, 4, 5):
        node.act(second * 10**9)
    answers = Counter(stamp(a) for a in node.actions)
    assert set(answers) == set(node.published)
    assert all(answers[s] <= node.published[s] for s in answers), answers


@pytest.fixture
def deliver(graph, camera):
    """deliver(stamp_ns): publish until the node's diagnostics say that both images arrived."""
    from diagnostic_msgs.msg import DiagnosticArray

    from dysl_vla_ros.nodes import qos
    reports = graph.listen(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)

    def samples():
        return max((int(v.value) for r in reports for s in r.status for v in s.values
                    if v.key == 'samples'), default=0)

    def deliver(stamp_ns):
        del reports[:]
        graph.wait(lambda: len(reports) >= 2, 'a report from before')
        before = samples()
        for _ in range(20):  # best effort: an image may be lost
            camera(stamp_ns)
            with graph.condition:
                if graph.condition.wait_for(lambda: samples() >= before + 2, 3.0):
                    return
        raise AssertionError('the images do not arrive')

    return deliver


def test_nothing_is_sent_without_an_instruction(policy, deliver):
    node = policy()
    deliver(2 * 10**9)
    node.goal()
    node.act(3 * 10**9)  # the sentinel: the first action is about the later observation
    assert stamp(node.actions[0]) == 3 * 10**9


def test_the_step_limit_ends_the_goal(policy, graph):
    node = policy()
    handle = node.goal(max_steps=2)
    node.act(2 * 10**9)
    node.act(3 * 10**9)
    result = outcome(graph, handle)
    assert result.outcome == result_code('STEP_LIMIT')
    assert result.steps == 2


def test_a_newer_goal_preempts_and_resets(policy, graph):
    node = policy()
    first = node.goal('one')
    node.act(2 * 10**9)
    node.goal('three')
    assert outcome(graph, first).outcome == result_code('PREEMPTED')
    action = node.act(3 * 10**9)
    assert action.step == 0
    assert action.translation[2] == pytest.approx(0.05, abs=1e-6)  # five letters


def test_a_cancelled_goal_stops_the_actions(policy, graph, deliver):
    node = policy()
    handle = node.goal()
    node.act(2 * 10**9)
    graph.call(handle.cancel_goal_async)
    assert outcome(graph, handle).outcome == result_code('CANCELED')
    deliver(3 * 10**9)
    node.goal()
    node.act(4 * 10**9)
    assert 3 * 10**9 not in [stamp(a) for a in node.actions]


@pytest.mark.parametrize(('state', 'expected'), [('SUCCEEDED', 'SUCCEEDED'), ('FAILED', 'FAILED')])
def test_the_judge_ends_the_goal_but_an_old_judgement_does_not(policy, graph, state, expected):
    from dysl_vla_ros.msg import TaskStatus

    from dysl_vla_ros.nodes import messages, qos
    node = policy()
    judge = graph.node.create_publisher(TaskStatus, 'task_status', qos.LATCHED)
    handle = node.goal()
    node.act(2 * 10**9)
    old = TaskStatus(state=getattr(TaskStatus, state))
    old.header.stamp = messages.time_from_ns(2 * 10**9)
    judge.publish(old)
    node.act(3 * 10**9)  # still runs
    new = TaskStatus(state=getattr(TaskStatus, state), detail='judged')
    new.header.stamp = messages.time_from_ns(3 * 10**9)
    judge.publish(new)
    result = outcome(graph, handle)
    assert result.outcome == result_code(expected)
    assert result.reason == 'judged'
    assert result.steps == 2


def test_the_instruction_topic_starts_but_cannot_take_over_a_goal(policy, graph):
    from std_msgs.msg import String

    from dysl_vla_ros.nodes import qos
    node = policy()
    publisher = graph.node.create_publisher(String, 'instruction', qos.LATCHED)
    publisher.publish(String(data='four'))
    node.wait_for("instruction: 'four'")
    assert node.act(2 * 10**9).translation[2] == pytest.approx(0.04, abs=1e-6)
    node.goal('seven77')
    publisher.publish(String(data='intruder'))
    node.wait_for('a goal owns the policy')
    assert node.act(3 * 10**9).translation[2] == pytest.approx(0.07, abs=1e-6)


@pytest.mark.parametrize('factory', ['create_failing', 'create_nan'])
def test_a_failing_policy_sends_nothing_and_becomes_inactive(policy, graph, camera, factory):
    from lifecycle_msgs.srv import GetState
    node = policy(policy_factory=f'fake_policy:{factory}')
    handle = node.goal()
    for step in range(3):
        node.act(10**9 * (2 + step))
    for _ in range(60):  # best effort: an image may be lost
        camera(5 * 10**9)
        with graph.condition:
            graph.condition.wait(0.5)
        if 'inactive; nothing is sent' in node.output:
            break
    node.wait_for('inactive; nothing is sent')
    assert outcome(graph, handle).outcome == result_code('ERROR')
    assert 'Traceback' in node.output
    assert len({stamp(a) for a in node.actions}) == 3
    assert all(np.isfinite([*a.translation, *a.rotation]).all() for a in node.actions)
    client = graph.node.create_client(GetState, 'policy_node/get_state')
    assert client.wait_for_service(30)
    assert graph.result(client.call_async(GetState.Request())).current_state.label == 'inactive'
    assert not node.goal().accepted


def test_an_instruction_the_policy_refuses_ends_only_its_goal(policy, graph):
    node = policy()
    handle = node.goal('an unknown word')
    assert outcome(graph, handle).outcome == result_code('ERROR')
    assert node.goal().accepted
    assert node.act(2 * 10**9).step == 0


def test_an_empty_instruction_is_refused(policy):
    assert not policy().goal('  ').accepted


def test_silence_is_reported_and_recovered_from(policy, graph):
    from diagnostic_msgs.msg import DiagnosticArray

    from dysl_vla_ros.nodes import qos
    node = policy(input_timeout_s=0.3)
    reports = graph.listen(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    node.goal()
    node.act(2 * 10**9)
    node.wait_for('sending nothing until they return')
    graph.wait(lambda: any(s.message == 'observations stopped' for r in reports
                           for s in r.status), 'the alarm')
    assert node.act(3 * 10**9).step == 1
    node.wait_for('observations are back')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_node_with_code_zero_and_the_goal_with_an_error(policy, graph, number):
    node = policy()
    node.goal()
    node.act(2 * 10**9)
    assert node.stop(number) == 0
    assert 'stopped after 1 steps' in node.output


@pytest.mark.parametrize(('parameters', 'complaint'), [
    ({'stratgy': 'dysl'}, "did you mean 'strategy'"),
    ({'strategy': 'sparse'}, "expected one of ['dysl', 'dense', 'dysl_joint'"),
    ({'rate_hz': '-1.0'}, 'rate_hz'),
    ({'policy_factory': 'fake_policy:nothing'}, 'expected module:function'),
    ({'policy_factory': '""', 'checkpoint': '/nowhere'}, 'does not exist'),
])
def test_wrong_parameters_end_the_node_with_code_one(launch, parameters, complaint):
    node = launch('policy_node', **parameters)
    node.wait_for(complaint)
    assert node.process.wait(30) == 1
