# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every kind of rosbag2 is read back; damage is named and costs only what is damaged."""

import contextlib
import shutil
import sqlite3

from fake_bag import ALL_KINDS, FIRST_NS, pack_file, small_bag, split, write_steps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from dysl_vla_ros.bags.reader import BagReader
from dysl_vla_ros.bags.writer import BagWriter
from dysl_vla_ros.errors import DatasetError
from dysl_vla_ros.observation.messages import image_from_message, ns_from_time


def reds(bag, topic='/image_static'):
    """The numbers of the images, in order."""
    return [int(image_from_message(bag.decode(m))[0, 0, 0]) for m in bag.messages([topic])]


def open_or_error(folder):
    """The bag, or the clear error that it is not one."""
    try:
        return BagReader(folder), ''
    except DatasetError as error:
        return None, str(error)


def assert_beginning_or_error(folder):
    bag, error = open_or_error(folder)
    if bag is None:
        assert str(folder) in error
        return
    with bag:
        found = reds(bag)
    assert found == list(range(len(found)))


def read_all_or_error(folder):
    """Every message is decoded, or refused by DatasetError only."""
    bag, error = open_or_error(folder)
    if bag is None:
        assert str(folder) in error
        return
    with bag:
        for message in bag.messages():
            with contextlib.suppress(DatasetError):
                bag.decode(message)


@pytest.mark.parametrize('options', ALL_KINDS)
def test_what_was_written_is_read_back(make_bag, options):
    with BagReader(make_bag(count=5, **options)) as bag:
        assert bag.problems == []
        assert bag.topics['/image_static'].count == 5
        assert bag.topics['/policy_node/action'].type == 'dysl_vla_ros/msg/EndEffectorAction'
        assert reds(bag) == [0, 1, 2, 3, 4]
        messages = list(bag.messages())
        assert [m.time_ns for m in messages] == sorted(m.time_ns for m in messages)
        assert messages[0].topic == '/instruction'
        assert bag.decode(messages[0]).data == 'open the drawer'
        action = bag.decode([m for m in messages if m.topic == '/policy_node/action'][3])
        assert ns_from_time(action.header.stamp) == FIRST_NS + 3 * 33_333_333
        assert np.allclose(action.translation, [3 / 255, 3e-3, 0.15])


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_split_bag_is_one_recording(make_bag, tmp_path, storage):
    parts = 12  # more than ten: bag_10 comes after bag_9
    folder = split(tmp_path / 'split', parts, storage)
    with BagReader(folder) as bag:
        assert bag.problems == []
        assert reds(bag) == list(range(2 * parts))
    (folder / 'metadata.yaml').unlink()
    with BagReader(folder) as bag:
        assert 'metadata.yaml is missing' in bag.problems[0]
        assert reds(bag) == list(range(2 * parts))
    next(folder.glob('*_3.*')).unlink()
    with BagReader(folder) as bag:
        assert reds(bag) == [n for n in range(2 * parts) if n not in (6, 7)]


def test_a_missing_part_is_named(tmp_path):
    folder = split(tmp_path / 'split', 3, 'mcap')
    (folder / 'split_1.mcap').unlink()
    with BagReader(folder) as bag:
        assert bag.problems == ['split_1.mcap is named in metadata.yaml and missing']
        assert reds(bag) == [0, 1, 4, 5]


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_files_compressed_as_a_whole(make_bag, storage):
    folder = pack_file(make_bag(count=4, storage=storage))
    with BagReader(folder) as bag:
        assert bag.problems == []
        assert reds(bag) == [0, 1, 2, 3]


def test_a_cut_compressed_file_gives_its_beginning(make_bag):
    folder = pack_file(make_bag(count=40, size=64))
    path = next(folder.glob('*.zstd'))
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    with BagReader(folder) as bag:
        assert any('cut off' in p for p in bag.problems)
        found = reds(bag)
        assert found == list(range(len(found)))
        assert 5 < len(found) < 40


@pytest.mark.parametrize('options', ALL_KINDS)
def test_a_truncated_bag_gives_its_beginning(make_bag, options):
    folder = make_bag(count=60, size=200, **options)
    path = next(p for p in folder.iterdir() if p.suffix in ('.mcap', '.db3'))
    content = path.read_bytes()
    path.write_bytes(content[:int(0.6 * len(content))])
    (folder / 'metadata.yaml').unlink()
    with BagReader(folder) as bag:
        assert any('damaged' in p and 'recovered' in p for p in bag.problems)
        found = reds(bag)
        assert found == list(range(len(found)))
        # A storage chunk is a megabyte; of a small compressed bag only whole chunks are left.
        assert 10 <= len(found) < 60 or options.get('is_compressed')
        assert bag.topics['/image_static'].count == len(found)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
@settings(max_examples=25, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0.0, 1.0))
def test_a_cut_anywhere_gives_a_beginning_or_a_clear_error(tmp_path_factory, storage, share):
    folder = tmp_path_factory.mktemp('cut') / 'bag'
    shutil.copytree(small_bag(storage), folder)
    path = next(p for p in folder.iterdir() if p.suffix in ('.mcap', '.db3'))
    content = path.read_bytes()
    path.write_bytes(content[:int(share * len(content))])
    assert_beginning_or_error(folder)


@settings(max_examples=40, deadline=None)
@given(position=st.floats(0.0, 0.999), value=st.integers(0, 255))
def test_a_wrong_byte_never_crashes_the_reader(tmp_path_factory, position, value):
    folder = tmp_path_factory.mktemp('flip') / 'bag'
    shutil.copytree(small_bag('mcap'), folder)
    path = folder / 'bag.mcap'
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] = value
    path.write_bytes(bytes(content))
    read_all_or_error(folder)


def test_the_write_ahead_log_of_a_killed_recorder_is_read(make_bag):
    folder = make_bag(count=6, storage='sqlite3')
    path = folder / 'bag.db3'
    connection = sqlite3.connect(path)
    connection.execute('PRAGMA journal_mode=WAL')
    connection.execute('UPDATE messages SET timestamp = timestamp + 1')
    connection.commit()
    copy = folder.parent / 'killed'
    shutil.copytree(folder, copy)  # as a kill -9 leaves it
    connection.close()
    with BagReader(copy) as bag:
        assert 'not closed by its recorder' in bag.problems[0]
        assert next(bag.messages(['/instruction'])).time_ns % 10 == 1


def test_messages_of_another_version_are_read_with_the_definition_in_the_bag(tmp_path):
    from rosbags.rosbag2 import Writer
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore
    store = get_typestore(Stores.ROS2_JAZZY)
    kind = 'dysl_vla_ros/msg/EndEffectorAction'
    store.register(get_types_from_msg('std_msgs/Header header\nstring added\nint8 gripper', kind))
    header = store.types['std_msgs/msg/Header'](
        store.types['builtin_interfaces/msg/Time'](3, 4), 'world')
    with Writer(tmp_path / 'other', version=8) as writer:
        connection = writer.add_connection('/a', kind, typestore=store)
        writer.write(connection, 7, store.serialize_cdr(
            store.types[kind](header, 'new', -1), kind))
    with BagReader(tmp_path / 'other') as bag:
        message = bag.decode(next(bag.messages()))
    assert (message.added, message.gripper) == ('new', -1)


@pytest.mark.parametrize('content', [b'', b'not a bag at all' * 10])
def test_what_is_no_bag_is_refused(tmp_path, content):
    with pytest.raises(DatasetError, match='no such bag'):
        BagReader(tmp_path / 'nothing')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DatasetError, match='no bag files'):
        BagReader(tmp_path / 'empty')
    path = tmp_path / 'x.mcap'
    path.write_bytes(content)
    with pytest.raises(DatasetError, match='no message can be recovered'):
        BagReader(path)


def test_a_folder_is_never_overwritten(make_bag):
    folder = make_bag()
    from dysl_vla_ros.errors import ConfigError
    with pytest.raises(ConfigError, match='choose another folder'):
        BagWriter(folder)
    with pytest.raises(ConfigError, match='expected one of'):
        BagWriter(folder / 'x', storage='rosbag1')


def test_a_block_that_raises_leaves_a_readable_bag(tmp_path):
    def broken():
        with BagWriter(tmp_path / 'bag') as bag:
            write_steps(bag, 3)
            raise RuntimeError('trouble of the caller')

    with pytest.raises(RuntimeError, match='trouble'):
        broken()
    with BagReader(tmp_path / 'bag') as bag:
        assert bag.problems == []
        assert reds(bag) == [0, 1, 2]
