# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recorder and player over real DDS. The offline run claims to be what the node does: here both
see the same bag.
"""

from pathlib import Path
import sys

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'fakes'))

import fake_bag
from fake_policy import FakePolicy

from dysl_vla_ros.bags.reader import BagReader
from dysl_vla_ros.bags.writer import BagWriter
from dysl_vla_ros.evaluation.offline import OfflineEvaluation
from dysl_vla_ros.evaluation.replay_events import ReplaySettings
from dysl_vla_ros.observation.messages import action_from_message, ns_from_time

TOLERANCE = 1e-6


def actions(folder):
    """Actions of a bag by stamp."""
    with BagReader(folder) as bag:
        assert bag.problems == []
        return {ns_from_time(c.header.stamp): action_from_message(c) for c in (
            bag.decode(m) for m in bag.messages(['/policy_node/action']))}


def offline(folder, out, trigger):
    """Actions of the offline run, by stamp."""
    with OfflineEvaluation({'fake': FakePolicy()}, out, ReplaySettings(trigger)) as evaluation:
        result = evaluation.evaluate(folder, 'bag')
    assert (result.failure, result.problems) == ('', [])
    return actions(out / 'predictions' / 'bag_fake')


def assert_equal(node, run, count):
    assert sorted(node) == sorted(run)
    assert len(node) >= count
    for stamp, action in node.items():
        assert np.abs(action - run[stamp]).max() <= TOLERANCE


@pytest.fixture
def bag(tmp_path):
    """Two instructions, the second in the middle of the recording."""
    with BagWriter(tmp_path / 'bag') as bag:
        bag.instruction('open the drawer', fake_bag.FIRST_NS - 1)
        fake_bag.write_steps(bag, 8)
        bag.instruction('close it', fake_bag.FIRST_NS + 8 * fake_bag.STEP_NS - 1)
        fake_bag.write_steps(bag, 7, 8)
    return tmp_path / 'bag'


def test_the_node_in_lockstep_acts_as_the_offline_run(launch, bag, tmp_path):
    policy = launch('policy_node')
    policy.wait_for('active; waiting')
    player = launch('bag_player_node', bag=bag, record=tmp_path / 'answers')
    assert player.process.wait(60) == 0, player.output
    assert '15 actions received' in player.output
    node = actions(tmp_path / 'answers')
    assert_equal(node, offline(bag, tmp_path / 'out', 'observation'), 15)
    # What was shown is recorded too: the new bag tells the same story.
    assert_equal(node, offline(tmp_path / 'answers', tmp_path / 'again', 'auto'), 15)
    steps = [round(a[1] * 1e3) for _, a in sorted(node.items())]
    assert steps == [*range(8), *range(7)]


def test_the_node_in_real_time_acts_as_the_offline_run_on_its_recorded_inputs(
        launch, bag, tmp_path):
    # On a slow machine the node would drop late actions, whose steps nobody hears of.
    policy = launch('policy_node', trigger='timer', use_sim_time='true',
                    max_observation_age_s=60.0)
    policy.wait_for('active; waiting')
    player = launch('bag_player_node', bag=bag, mode='realtime', rate=0.5,
                    record=tmp_path / 'answers')
    assert player.process.wait(60) == 0, player.output
    node = actions(tmp_path / 'answers')
    assert_equal(node, offline(tmp_path / 'answers', tmp_path / 'out', 'recorded'), 2)


def test_the_recorder_keeps_every_step_of_the_closed_loop(launch, graph, tmp_path):
    from dysl_vla_ros.msg import TaskStatus
    from dysl_vla_ros.srv import ResetEpisode

    from dysl_vla_ros.nodes import qos
    status = graph.listen(TaskStatus, 'task_status', qos.LATCHED)
    recorder = launch('bag_recorder_node', bag=tmp_path / 'bag')
    recorder.wait_for('recording 12 topics')
    launch('sim_bridge_node', {'DYSL_FAKE_TASK_STEPS': '15'})
    launch('policy_node')
    # What was sent before the recorder had found a sender is not in the bag.
    for topic in ('/clock', '/policy_node/policy_description'):
        recorder.wait_for(f'first message on {topic}')
    client = graph.node.create_client(ResetEpisode, 'sim_bridge_node/reset_episode')
    assert client.wait_for_service(30)
    request = ResetEpisode.Request(subtasks=['open_drawer', 'close_drawer'])
    assert graph.result(client.call_async(request)).success
    graph.wait(lambda: any(s.state == TaskStatus.SUCCEEDED and s.subtask_index == 1
                           for s in status), 'the end of the chain')
    assert recorder.stop() == 0
    node = actions(tmp_path / 'bag')
    assert len(node) == 30
    assert_equal(node, offline(tmp_path / 'bag', tmp_path / 'out', 'auto'), 30)
    with BagReader(tmp_path / 'bag') as bag:
        assert bag.topics['/policy_node/policy_description'].count == 1
        assert bag.topics['/instruction'].count == 2
        assert bag.topics['/clock'].count >= 30


def test_the_recorder_takes_other_names_and_other_topics(launch, graph, tmp_path):
    from geometry_msgs.msg import TwistStamped

    from dysl_vla_ros.nodes import messages, qos
    recorder = launch('bag_recorder_node', bag=tmp_path / 'bag', topics=(
        "['image_static:=/camera/color/image_raw', image_gripper, "
        "'/servo_node/delta_twist_cmds:=geometry_msgs/msg/TwistStamped']"))
    recorder.wait_for('recording 3 topics')
    image = messages.image_message(np.zeros((4, 4, 3), np.uint8), 1, 'camera')
    for topic, message, profile in (
            ('/camera/color/image_raw', image, qos.SENSOR), ('/image_gripper', image, qos.SENSOR),
            ('/servo_node/delta_twist_cmds', TwistStamped(), qos.COMMAND)):
        publisher = graph.node.create_publisher(type(message), topic, profile)

        def is_recorded(publisher=publisher, message=message, topic=topic):
            publisher.publish(message)
            return f'first message on {topic}' in recorder.output

        graph.wait_often(is_recorded, topic)
    assert recorder.stop() == 0
    with BagReader(tmp_path / 'bag') as bag:
        assert {name: topic.type for name, topic in bag.topics.items()} == {
            '/camera/color/image_raw': 'sensor_msgs/msg/Image',
            '/image_gripper': 'sensor_msgs/msg/Image',
            '/servo_node/delta_twist_cmds': 'geometry_msgs/msg/TwistStamped'}
        assert all(topic.count for topic in bag.topics.values())


@pytest.mark.parametrize(('topics', 'complaint'), [
    ('[image_statc]', "topic 'image_statc': expected one of"),
    ('[action, action]', 'is named twice'),
    ("['/x:=std_msgs/msg/Nothing']", 'message type std_msgs/msg/Nothing'),
])
def test_the_recorder_refuses_a_topic_that_it_cannot_record(launch, tmp_path, topics, complaint):
    recorder = launch('bag_recorder_node', bag=tmp_path / 'bag', topics=topics)
    recorder.wait_for(complaint)
    assert recorder.process.wait(30) == 1


def test_a_recorder_that_is_killed_leaves_a_readable_bag(launch, graph, tmp_path):
    from sensor_msgs.msg import Image

    from dysl_vla_ros.nodes import messages, qos
    recorder = launch('bag_recorder_node', bag=tmp_path / 'bag', compressed='false')
    recorder.wait_for('recording')
    publisher = graph.node.create_publisher(Image, 'image_static', qos.SENSOR)
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    path = tmp_path / 'bag' / 'bag.mcap'
    for step in range(600):
        publisher.publish(messages.image_message(noise, step, 'camera'))
        with graph.condition:
            graph.condition.wait(0.01)
        if path.stat().st_size > 3_000_000:  # chunks of a megabyte have reached the disk
            break
    recorder.kill()
    with BagReader(tmp_path / 'bag') as bag:
        assert any('recovered' in p for p in bag.problems)
        assert bag.topics['/image_static'].count > 8


@pytest.mark.parametrize(('parameters', 'complaint'), [
    ({}, 'parameter bag is empty'),
    ({'bag': '/nowhere'}, 'no such bag'),
    ({'bag': '/nowhere', 'topics': 'x:=y'}, 'expected TOPIC:='),
])
def test_a_wrong_request_ends_the_player_with_code_one(launch, parameters, complaint):
    player = launch('bag_player_node', **parameters)
    player.wait_for(complaint)
    assert player.process.wait(30) == 1


def test_a_player_without_a_policy_says_so(launch, bag):
    player = launch('bag_player_node', bag=bag, timeout_s=1.0)
    player.wait_for('no goal after 1.0 s: the policy node is not there')
    assert player.process.wait(30) == 1
