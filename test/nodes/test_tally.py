# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What became of every message: sent and received, received and used must add up."""

from dysl_vla_ros.nodes.tally import Tally


def receive(tally, *numbers):
    for number in numbers:
        tally.receive({'publication_sequence_number': number}, 'a newer one came first')


def test_gaps_in_the_numbers_are_lost_messages():
    tally = Tally()
    receive(tally, 1, 2, 5, 6)
    assert (tally.received, dict(tally.not_received)) == (4, {'lost or overtaken on the way': 2})


def test_before_the_first_and_while_paused_nobody_listened():
    tally = Tally()
    receive(tally, 4, 5)
    tally.pause()
    receive(tally, 9, 11)
    assert dict(tally.not_received) == {'no subscription': 3 + 3,
                                        'lost or overtaken on the way': 1}


def test_a_new_publisher_begins_again():
    tally = Tally()
    receive(tally, 1, 2, 3, 1, 2, 4)
    assert (tally.received, dict(tally.not_received)) == (6, {'lost or overtaken on the way': 1})


def test_without_numbers_nothing_counts_as_lost():
    tally = Tally()
    receive(tally, 0, 0)
    tally.receive({}, '')
    assert (tally.received, dict(tally.not_received)) == (3, {})


def test_every_received_message_has_one_fate():
    tally = Tally()
    receive(tally, 1)
    tally.use()
    tally.use()                 # a second step on the same message
    receive(tally, 2)
    tally.explain('the policy was busy')
    receive(tally, 3, 4)
    tally.use()
    tally.explain('too late')   # it is used already
    receive(tally, 5)
    values = tally.values('image')
    assert values == {'image received': 5, 'image used': 2, 'image open': 1,
                      'image unused, a newer one came first': 1,
                      'image unused, the policy was busy': 1}
    tally.close()
    assert tally.received == tally.used + tally.unused.total()
