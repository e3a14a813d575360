# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Node that plays a bag into a running policy node and records its answers.

    dysl-vla play BAG --mode lockstep --record /tmp/answers

``lockstep`` shows one observation after the other and waits for its action; ``realtime`` keeps
the times of the bag and publishes /clock. The instruction goes as a goal, so a goal accepted is
a policy reset. What was shown and what came back lies in one new bag: ``dysl-vla offline-eval``
on it must find the same actions.
"""

from dataclasses import dataclass
import sys
import threading
import time
from typing import Any

from rclpy.action.client import ClientGoalHandle
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock

from dysl_vla_ros.bags.reader import BagReader
from dysl_vla_ros.bags.topics import TOPICS, offered_qos, remapped
from dysl_vla_ros.bags.typestore import typestore
from dysl_vla_ros.bags.writer import BagWriter
from dysl_vla_ros.errors import ConfigError, DySLVLAError
from dysl_vla_ros.evaluation.offline_replay import BagReplay
from dysl_vla_ros.evaluation.replay_events import Act, ReplaySettings, Reset
from dysl_vla_ros.msg import EndEffectorAction, InferenceStats
from dysl_vla_ros.nodes import messages, qos
from dysl_vla_ros.nodes.bag_recorder_node import message_class
from dysl_vla_ros.nodes.parameters import declare, field
from dysl_vla_ros.nodes.policy_client import PolicyClient
from dysl_vla_ros.nodes.process import run_node
from dysl_vla_ros.observation.messages import IMAGES, PROPRIOCEPTION, was_sent

_SHOWN = (*PROPRIOCEPTION, *IMAGES)  # images last: they complete a set
_PIECE_S = 0.05
_LAST_ANSWER_S = 2.0
_DEPTH = 200


@dataclass(frozen=True)
class BagPlayerParameters:
    """Parameters of ``bag_player_node``."""

    bag: str = field('', 'The bag to play; must be given.')
    mode: str = field('lockstep', 'lockstep waits for every action, realtime keeps the times.',
                      choices=('lockstep', 'realtime'))
    rate: float = field(1.0, 'Realtime: how many times faster.', 0.01, 100.0)
    record: str = field('', 'New bag for what was shown and answered; empty records nothing.')
    instruction: str = field('', 'Sentence that replaces those in the bag.')
    topics: str = field('', 'Names in the bag where they differ, key:=/name, blank-separated.')
    policy_action: str = field('policy_node/execute_instruction',
                               "Name of the policy's ExecuteInstruction action.")
    republish_s: float = field(1.0, 'Lockstep: an unanswered observation is sent again.',
                               0.01, 60.0)
    timeout_s: float = field(20.0, 'Wall time without an answer after which playing ends.',
                             0.1, 3600.0)


class Answers:
    """Actions and statistics by stamp and step, until they are taken.

    A queue deeper than the node's own subscribers have: a controller wants the newest action, a
    record wants all of them.
    """

    def __init__(self, node: Node, base: str) -> None:
        """Subscribe to the policy node called ``base``."""
        self._condition = threading.Condition()
        # By (stamp, step); guarded.
        self._found: dict[str, dict[tuple[int, int], Any]] = {'action': {}, 'inference_stats': {}}
        self._taken: tuple[int, int] | None = None
        profile = QoSProfile(depth=_DEPTH, reliability=ReliabilityPolicy.RELIABLE)
        for name, kind in (('action', EndEffectorAction), ('inference_stats', InferenceStats)):
            node.create_subscription(
                kind, f'{base}/{name}', lambda message, name=name: self._store(name, message),
                profile)

    def _store(self, name: str, message: Any) -> None:
        # Two steps may have one stamp: with a timer, when only one camera has a newer image.
        answer = messages.ns_from_time(message.header.stamp), int(message.step)
        with self._condition:
            if answer != self._taken:  # else the node repeated its last answer
                self._found[name][answer] = message
                self._condition.notify_all()

    def wait(self, stamp_ns: int, timeout_s: float) -> bool:
        """Wait until both are there."""
        with self._condition:
            return self._condition.wait_for(
                lambda: all(any(stamp == stamp_ns for stamp, _ in found)
                            for found in self._found.values()), timeout_s)

    def take(self) -> list[tuple[int, Any, Any]]:
        """Remove and return (stamp, action, statistics) of those that are complete, in order.

        The action is None where the node has said that it sent none.
        """
        with self._condition:
            actions, stats = self._found.values()
            complete = [answer for answer, told in stats.items()
                        if answer in actions or not was_sent(told)]
            self._taken = complete[-1] if complete else self._taken
            return [(answer[0], actions.pop(answer, None), stats.pop(answer))
                    for answer in complete]


class Stopped(Exception):
    """The process is asked to end."""


class BagPlayerNode(Node):
    """Plays on a thread of its own; exit code 0 when the bag was played to its end."""

    def __init__(self, stop: threading.Event) -> None:
        """Open the bag, create the entities."""
        super().__init__('bag_player_node')
        self.exit_code = 1  # until the end is reached
        self._stop_event = stop
        self._p = declare(self, BagPlayerParameters)
        if not self._p.bag:
            raise ConfigError('bag_player_node: parameter bag is empty; expected a rosbag2')
        self._names = remapped(self._p.topics.split())
        self._client = PolicyClient(self, self._p.policy_action)
        self._bag = BagReader(self._p.bag)
        self._writer = BagWriter(self._p.record) if self._p.record else None
        self._streams = [key for key in _SHOWN if self._has(key)]
        self._raw_publishers: dict[str, Any] = {
            key: self.create_publisher(message_class(self._bag.topics[self._names[key]].type),
                                       TOPICS[key].name[1:], qos.SENSOR)
            for key in self._streams}
        self._clock_publisher = self.create_publisher(Clock, '/clock', qos.CLOCK)
        self._answers = Answers(self, self._p.policy_action.rsplit('/', 1)[0])
        self._count = 0
        self._goal: ClientGoalHandle | None = None
        self._announced: set[str] = set()
        self._thread = threading.Thread(target=self._run, name='player', daemon=True)

    def _has(self, key: str) -> bool:
        topic = self._bag.topics.get(self._names[key])
        return topic is not None and topic.count > 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop playing and close the bags."""
        self._stop_event.set()
        self._client.notify()
        if self._thread.ident is not None:
            self._thread.join(20.0)
        self._bag.close()
        if self._writer is not None:
            self._writer.close()
        for problem in self._bag.problems:
            self.get_logger().warning(problem)
        self.get_logger().info(f'{self._count} actions received')

    # ------------------------------------------------------------------ the thread
    def _run(self) -> None:
        try:
            self._play_lockstep() if self._p.mode == 'lockstep' else self._play_realtime()
            if self._goal is not None:
                # The policy must not go on with it when the next bag is played.
                self._client.cancel(self._goal)
                self._client.result(self._idle)
            self.exit_code = 0
        except Stopped:
            pass
        except DySLVLAError as error:
            self.get_logger().error(str(error))
        except Exception as error:  # the edge of the thread: a hang would hide it
            self.get_logger().error(f'playing failed: {error!r}')
        finally:
            self._stop_event.set()

    def _idle(self, seconds: float) -> None:
        if self._stop_event.is_set():
            raise Stopped
        self._client.sleep(self._stop_event.is_set, seconds)

    def _begin(self, instruction: str, time_ns: int) -> None:
        """Give the instruction as a goal; returns when the policy has taken it."""
        self._collect(time_ns)
        deadline_s = time.monotonic() + self._p.timeout_s

        def report(reason: str) -> None:
            if time.monotonic() > deadline_s:
                raise ConfigError(f'no goal after {self._p.timeout_s} s: {reason}')

        self._goal = self._client.start_goal(instruction, 0, self._idle, report)
        if self._writer is not None:
            self._writer.instruction(instruction, time_ns)

    def _record(self, key: str, raw: bytes, time_ns: int, kind: str = '') -> None:
        if self._writer is None:
            return
        topic = TOPICS[key]
        if topic.name not in self._announced:
            self._announced.add(topic.name)
            self._writer.add(topic.name, kind or topic.type, [offered_qos(topic.quality)])
        self._writer.write_raw(topic.name, kind or topic.type, raw, time_ns)

    def _collect(self, time_ns: int) -> None:
        """Write the answers that have come since the last time."""
        for _, action, stats in self._answers.take():
            self._record('inference_stats', serialize_message(stats), time_ns)
            if action is not None:
                self._count += 1
                self._record('action', serialize_message(action), time_ns)

    # ------------------------------------------------------------------ lockstep
    def _play_lockstep(self) -> None:
        # Sets of equal stamps, chosen as the node chooses them.
        settings = ReplaySettings('observation', instruction=self._p.instruction,
                                  uses_robot_obs=set(PROPRIOCEPTION) <= set(self._streams))
        replay = BagReplay(self._bag, self._names, settings)
        for event in replay:
            if isinstance(event, Reset):
                self._begin(event.instruction, event.time_ns)
            elif isinstance(event, Act):
                self._exchange(event)
        for problem in replay.problems:
            self.get_logger().warning(problem)

    def _exchange(self, event: Act) -> None:
        stamp_ns = event.assembly.stamp_ns
        serialised = {}
        for key in self._streams:
            message = event.assembly.samples[key].value if key in event.assembly.samples else None
            if message is not None:
                raw = bytes(typestore().serialize_cdr(message, message.__msgtype__))
                serialised[key] = raw
                self._record(key, raw, event.time_ns, message.__msgtype__)
        deadline_s = time.monotonic() + self._p.timeout_s
        send_s = 0.0
        while not self._answers.wait(stamp_ns, _PIECE_S if send_s else 0.0):
            self._idle(0.0)
            now_s = time.monotonic()
            if now_s > deadline_s:
                raise ConfigError(f'no action for the observation of {stamp_ns} ns within '
                                  f'{self._p.timeout_s} s')
            if now_s >= send_s:
                self._clock_publisher.publish(Clock(clock=messages.time_from_ns(stamp_ns)))
                for key, raw in serialised.items():
                    self._raw_publishers[key].publish(raw)
                send_s = now_s + self._p.republish_s
        self._collect(event.time_ns)

    # ------------------------------------------------------------------ realtime
    def _play_realtime(self) -> None:
        has_clock = self._has('clock')
        keys = {self._names[key]: key for key in (*self._streams, 'instruction', 'clock')}
        begin_s, first_ns = 0.0, None
        if self._p.instruction:
            self._begin(self._p.instruction, 0)
        for message in self._bag.messages(set(keys)):
            key = keys[message.topic]
            if key == 'instruction':
                sentence = self._bag.decode(message).data
                if sentence.strip() and not self._p.instruction:
                    waited_s = time.monotonic()
                    self._begin(sentence, message.time_ns)
                    begin_s += time.monotonic() - waited_s  # the bag's time stands still
                continue
            if first_ns is None:
                begin_s, first_ns = time.monotonic(), message.time_ns
            due_s = begin_s + (message.time_ns - first_ns) / 1e9 / self._p.rate
            while (left_s := due_s - time.monotonic()) > 0:
                self._idle(min(left_s, _PIECE_S))
            self._show(key, message, has_clock)
            self._collect(message.time_ns)
        end_s = time.monotonic() + _LAST_ANSWER_S
        while time.monotonic() < end_s:
            self._idle(_PIECE_S)
        self._collect(message.time_ns if first_ns is not None else 0)

    def _show(self, key: str, message: Any, has_clock: bool) -> None:
        if key == 'clock':
            now_ns = messages.ns_from_time(self._bag.decode(message).clock)
            self._clock_publisher.publish(Clock(clock=messages.time_from_ns(now_ns)))
        else:
            if not has_clock:
                self._clock_publisher.publish(
                    Clock(clock=messages.time_from_ns(message.time_ns)))
            self._raw_publishers[key].publish(message.raw)
        self._record(key, message.raw, message.time_ns, message.type)


def main(args: list[str] | None = None) -> int:
    """Entry point of ``bag_player_node``."""
    return run_node(BagPlayerNode, args)


if __name__ == '__main__':
    sys.exit(main())
