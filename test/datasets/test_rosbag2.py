# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Exported bags: replayed, they must be what the nodes would have seen and done."""

from fakes.calvin_split import frame_values
import numpy as np
import pytest

from dysl_vla_ros.bags.reader import BagReader
from dysl_vla_ros.bags.topics import TOPICS
from dysl_vla_ros.datasets.demonstrations import open_demonstrations
from dysl_vla_ros.datasets.rosbag2 import write_bag
from dysl_vla_ros.errors import DatasetError, FrameError
from dysl_vla_ros.observation.decode import decode_image

START_NS, STEP_NS = 1_000_000_000, 33_333_333  # docs/reference/nodes.md, CALVIN's 30 Hz


def stamp_ns(message):
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


def read(folder):
    """(topic key, time of receipt, decoded message) in the bag's order."""
    keys = {topic.name: key for key, topic in TOPICS.items()}
    with BagReader(folder) as bag:
        found = [(keys[m.topic], m.time_ns, bag.decode(m)) for m in bag.messages()]
        assert bag.problems == []
        assert all(bag.topics[topic.name].type == topic.type
                   for topic in TOPICS.values() if topic.name in bag.topics)
    return found


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_bag_holds_the_nodes_topics_with_the_demonstrations_frames(split, tmp_path, storage):
    demonstration = open_demonstrations(split)[1]
    assert (demonstration.name, demonstration.length) == ('000001_turn_on_led', 20)
    count = write_bag(demonstration, tmp_path / 'out/bag', storage)
    messages = read(tmp_path / 'out/bag')
    assert len(messages) == count == 7 * 20 + 4
    by_topic = {}
    for key, time_ns, message in messages:
        by_topic.setdefault(key, []).append((time_ns, message))
    assert [m.data for _, m in by_topic['instruction']] == ['turn on the led']
    states = [(m.state, m.task, m.step, m.succeeded) for _, m in by_topic['task_status']]
    assert states == [(1, 'turn_on_led', 0, 0), (2, 'turn_on_led', 20, 1)]
    for step in range(20):
        stamp = START_NS + step * STEP_NS
        frame = frame_values(120 + step)
        for name in ('image_static', 'image_gripper', 'joint_states', 'ee_pose', 'action'):
            time_ns, message = by_topic[name][step]
            assert (time_ns, stamp_ns(message)) == (stamp, stamp), name
        image = by_topic['image_static'][step][1]
        assert np.array_equal(decode_image(image.height, image.width, image.encoding, image.step,
                                           image.data), frame['rgb_static'])
        action = by_topic['action'][step][1]
        assert np.allclose([*action.translation, *action.rotation, action.gripper],
                           frame['rel_actions'])
        assert (action.step, action.header.frame_id) == (step, 'world')
        assert np.allclose(by_topic['joint_states'][step][1].position[:7],
                           frame['robot_obs'][7:14])
        assert by_topic['gripper_width'][step][1].data == frame['robot_obs'][6]
    clocks = [m.clock.sec * 10**9 + m.clock.nanosec for _, m in by_topic['clock']]
    assert clocks == [START_NS + k * STEP_NS for k in range(21)]


def test_a_damaged_frame_leaves_no_bag_and_an_existing_one_is_kept(split, tmp_path):
    path = split / 'episode_0000125.npz'
    path.write_bytes(path.read_bytes()[:60])
    first, second, _ = open_demonstrations(split)
    with pytest.raises(FrameError, match=r'episode_0000125\.npz'):
        write_bag(second, tmp_path / 'out/b')
    assert list((tmp_path / 'out').iterdir()) == []
    write_bag(first, tmp_path / 'out/a')
    with pytest.raises(DatasetError, match='exists'):
        write_bag(first, tmp_path / 'out/a')
