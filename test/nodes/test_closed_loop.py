# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bridge and policy as two processes. Without these, a lost step, a double step or a score from
half of a killed policy could go unnoticed.
"""

import json

import pytest

TASKS = ['open_drawer', 'close_drawer']


@pytest.fixture
def reset(graph):
    """reset(subtasks, ...) -> response of the bridge's service."""
    def reset(subtasks=TASKS, **fields):
        from dysl_vla_ros.srv import ResetEpisode
        client = graph.node.create_client(ResetEpisode, 'sim_bridge_node/reset_episode')
        assert client.wait_for_service(30)
        return graph.result(client.call_async(
            ResetEpisode.Request(subtasks=subtasks, **fields)), 'the reset')
    return reset


@pytest.fixture
def status(graph):
    from dysl_vla_ros.msg import TaskStatus

    from dysl_vla_ros.nodes import qos
    return graph.listen(TaskStatus, 'task_status', qos.LATCHED)


@pytest.fixture
def world_log(tmp_path):
    """The fake world's own account: 'reset', or the action of each step."""
    path = tmp_path / 'world.jsonl'

    def entries():
        found = [json.loads(line) for line in path.read_text().splitlines()]
        return [e for e in found if e != 'close']  # each episode has a world of its own

    entries.environment = {'DYSL_FAKE_LOG': str(path), 'DYSL_FAKE_TASK_STEPS': '20'}
    return entries


def states(status):
    from dysl_vla_ros.msg import TaskStatus
    names = {getattr(TaskStatus, n): n for n in (
        'IDLE', 'RUNNING', 'SUCCEEDED', 'FAILED', 'POLICY_LOST', 'FINISHED')}
    return [(names[s.state], s.subtask_index) for s in status]


def test_lockstep_executes_every_action_exactly_once(graph, launch, reset, status, world_log):
    bridge = launch('sim_bridge_node', world_log.environment)
    policy = launch('policy_node')
    assert reset().success
    graph.wait(lambda: ('SUCCEEDED', 1) in states(status), 'the end of the chain')
    reset_entry, *actions = world_log()
    assert reset_entry == 'reset'
    assert len(actions) == 40
    # x tells the image (numbered by the world), y the step since the goal: nothing lost or twice.
    assert [round(a[0] * 255) for a in actions] == list(range(40))
    assert [round(a[1] * 1e3) for a in actions] == [*range(20), *range(20)]
    assert policy.stop() == 0
    assert bridge.stop() == 0


def test_two_runs_give_identical_actions(graph, launch, reset, status, world_log):
    bridge = launch('sim_bridge_node', world_log.environment)
    policy = launch('policy_node')
    for run in range(2):
        assert reset().success
        graph.wait(lambda n=run + 1: states(status).count(('SUCCEEDED', 1)) == n, 'a chain')
    entries = world_log()
    assert entries[:41] == entries[41:82]
    assert (policy.stop(), bridge.stop()) == (0, 0)


def test_a_killed_policy_is_reported_and_the_episode_starts_again(
        graph, launch, reset, status, world_log):
    environment = {**world_log.environment, 'DYSL_FAKE_TASK_STEPS': '400'}
    bridge = launch('sim_bridge_node', environment, policy_timeout_s=1.0, republish_s=0.3)
    policy = launch('policy_node')
    assert reset(max_steps=1000).success
    graph.wait(lambda: any(s.step >= 60 for s in status), 'some steps')
    policy.kill()
    bridge.wait_for('policy lost')
    graph.wait(lambda: any(name == 'POLICY_LOST' for name, _ in states(status)), 'the report')
    steps_at_loss = len(world_log())
    launch('policy_node')
    bridge.wait_for('the policy is back')
    graph.wait(lambda: ('SUCCEEDED', 1) in states(status), 'the end of the chain')
    entries = world_log()
    second_reset = entries.index('reset', 1)
    # Between the loss and the new reset no step was made.
    assert steps_at_loss <= second_reset + 1
    assert len(entries) - second_reset - 1 == 800
    assert status[-1].interrupted == 1
    assert bridge.stop() == 0


def test_a_killed_bridge_is_reported_and_a_new_one_is_served(
        graph, launch, reset, status, world_log):
    environment = {**world_log.environment, 'DYSL_FAKE_TASK_STEPS': '400'}
    bridge = launch('sim_bridge_node', environment)
    policy = launch('policy_node', input_timeout_s=0.5)
    assert reset(max_steps=1000).success
    graph.wait(lambda: any(s.step >= 60 for s in status), 'some steps')
    bridge.kill()
    policy.wait_for('sending nothing until they return')
    status.clear()
    launch('sim_bridge_node', world_log.environment)
    for _ in range(30):  # the killed bridge's service may still be discovered for a while
        future = _call(graph, reset)
        if future is not None and future.success:
            break
    graph.wait(lambda: ('SUCCEEDED', 1) in states(status), 'the end of the chain')
    assert policy.stop() == 0


def _call(graph, reset):
    """One reset call that may get lost in the killed bridge's service."""
    from dysl_vla_ros.srv import ResetEpisode
    client = graph.node.create_client(ResetEpisode, 'sim_bridge_node/reset_episode')
    assert client.wait_for_service(30)
    future = client.call_async(ResetEpisode.Request(subtasks=TASKS))
    with graph.condition:
        graph.condition.wait_for(future.done, 3.0)
    graph.node.destroy_client(client)
    return future.result() if future.done() else None


def test_live_goes_on_without_a_policy_and_uses_it_when_there(
        graph, launch, reset, status, world_log):
    from rosgraph_msgs.msg import Clock

    from dysl_vla_ros.nodes import qos
    clock = graph.listen(Clock, '/clock', qos.CLOCK)
    bridge = launch('sim_bridge_node', world_log.environment, mode='live')
    assert reset().success
    graph.wait(lambda: len(clock) > 30, 'time passing without a policy')
    held = world_log()[1:]
    assert held
    assert all(a[:6] == [0.0] * 6 and a[6] == 1.0 for a in held)
    policy = launch('policy_node', trigger='timer', use_sim_time='true')
    graph.wait(lambda: ('SUCCEEDED', 1) in states(status), 'the end of the chain')
    assert any(a[2] for a in world_log()[1:] if a != 'reset')
    times = [c.clock.sec * 10**9 + c.clock.nanosec for c in clock]
    assert times == sorted(times)
    assert (policy.stop(), bridge.stop()) == (0, 0)


def test_a_wrong_request_is_refused_with_a_reason(launch, reset):
    launch('sim_bridge_node')
    response = reset(['open_the_drawer'])
    assert not response.success
    assert 'open_the_drawer' in response.message
    response = reset(['open_drawer'], instructions=['a', 'b'])
    assert not response.success
    assert '2 instructions for 1 subtasks' in response.message


def test_a_request_during_a_suite_is_refused_and_the_suite_goes_on(
        graph, launch, reset, status, world_log, tmp_path):
    from dysl_vla_ros.evaluation.suites import demo_chains, save_suite
    suite = save_suite(demo_chains(1), tmp_path / 'suite.json')
    bridge = launch('sim_bridge_node', world_log.environment, suite=suite)
    response = reset()  # the suite waits for a policy
    assert not response.success
    assert 'a suite is running' in response.message
    policy = launch('policy_node')
    graph.wait(lambda: any(name == 'FINISHED' for name, _ in states(status)), 'the suite')
    assert len(world_log()) == 1 + 5 * 20
    assert reset().success  # idle again
    assert (policy.stop(), bridge.stop()) == (0, 0)


@pytest.mark.sim
def test_the_play_table_runs_in_the_loop(graph, launch, reset, status):
    bridge = launch('sim_bridge_node', env_factory='""')
    policy = launch('policy_node')
    assert reset(['open_drawer'], max_steps=4).success
    graph.wait(lambda: ('FAILED', 0) in states(status), 'the step limit')
    assert status[-1].step == 4
    assert (policy.stop(), bridge.stop()) == (0, 0)


@pytest.mark.sim
def test_the_expert_does_a_task_and_gives_up_one_that_it_cannot_do(graph, launch, reset, status):
    bridge = launch('sim_bridge_node', env_factory='""', publish_scene_state='true')
    policy = launch('policy_node', policy_factory='dysl_vla_ros.nodes.expert_policy:create')
    assert reset(['turn_on_led', 'place_in_drawer']).success
    graph.wait(lambda: ('FAILED', 1) in states(status), 'the end of the chain')
    assert ('SUCCEEDED', 0) in states(status)
    assert status[-1].detail.startswith('InfeasibleTask: place_in_drawer')
    assert status[-1].step == 0
    # A wording that it does not know fails as well, and the node still serves the next one.
    assert reset(['turn_on_led'], instructions=['sing a song']).success
    graph.wait(lambda: ('FAILED', 0) in states(status), 'the refusal')
    assert "unknown wording 'sing a song'" in status[-1].detail
    assert all(s.interrupted == 0 for s in status)
    assert (policy.stop(), bridge.stop()) == (0, 0)
