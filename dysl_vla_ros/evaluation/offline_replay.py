# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a bag to control steps: which observation the policy acts on, and when it is reset.

Follows ``nodes/policy_node.py`` on the messages of a bag, with the node's own alignment
(``observation/assembler.py``): a test compares both on the same messages.
"""

from collections.abc import Iterator
import json
from typing import Any

from dysl_vla_ros.bags.reader import BagMessage, BagReader
from dysl_vla_ros.errors import ContractError, DatasetError
from dysl_vla_ros.evaluation.replay_events import Act, Command, ReplaySettings, Reset, Trigger
from dysl_vla_ros.observation.assembler import Assembly, ObservationAssembler, StreamState
from dysl_vla_ros.observation.messages import (
    NS_PER_S,
    action_from_message,
    ns_from_time,
    was_sent,
)
from dysl_vla_ros.observation.ring import Sample, StampRing

_GAP_NS = NS_PER_S
_LOOK_AHEAD = 200
_LISTED = 3  # problems of one kind told one by one; the rest is counted
_HOLD_NS = NS_PER_S  # how much later than its goal's first step an instruction may be shown


class BagReplay:
    """Iterates over the events of one bag, in order.

    Attributes:
        trigger: The one chosen.
        problems: What was missing or wrong; complete when the iteration has ended.
        refused: Ticks without a usable observation, by reason (timer only).
    """

    def __init__(self, bag: BagReader, names: dict[str, str], settings: ReplaySettings) -> None:
        """Prepare.

        Args:
            bag: Open bag.
            names: Topic name by key (``bags.topics.remapped``).
            settings: See there.

        Raises:
            DatasetError: If a camera, needed proprioception or every instruction is missing.
        """
        self._bag, self._names, self._settings = bag, names, settings
        self.problems: list[str] = []
        self.refused: dict[str, int] = {}
        self._is_recorded_sim_time = self._count('clock') > 0
        self._check_topics()
        self.recorded = self._recorded_parameters()
        self.trigger = self._choose_trigger()
        limits = [self._limit(*each) for each in (
            ('max_age_s', 'max_observation_age_s', 0.2),
            ('max_spread_s', 'max_stamp_spread_s', 0.05), ('rate_hz', 'rate_hz', 30.0))]
        self._period_ns = round(NS_PER_S / limits[2])
        self._assembler = ObservationAssembler(settings.streams, round(limits[0] * NS_PER_S),
                                               round(limits[1] * NS_PER_S))
        self._rings: dict[str, StampRing[Any]] = {s: StampRing() for s in settings.streams}
        self._has_session = False
        self._acted_ns: int | None = None
        self._ignored_ns: int | None = None
        self._used: dict[str, int] = {}
        self._next_tick_ns: int | None = None
        self._last_stamp_ns: int | None = None
        self._instruction, self._is_new = '', False
        self._held: list[tuple[int, Act]] = []  # recorded steps that wait for their instruction
        self._jumps = self._gaps = self._lost_inputs = self._invalid = self._lost_steps = 0
        self._expected_step = self._set_back = 0

    # ------------------------------------------------------------------ preparation
    def _count(self, key: str) -> int:
        topic = self._bag.topics.get(self._names[key])
        return topic.count if topic is not None else 0

    def _check_topics(self) -> None:
        missing = [f'{self._names[key]} ({key})' for key in self._settings.streams
                   if not self._count(key)]
        if missing:
            raise DatasetError(
                f'{self._bag.path}: no message on {", ".join(missing)}; the bag has '
                f'{sorted(name for name, t in self._bag.topics.items() if t.count)}; rename with '
                '--topic KEY:=/name')
        if not self._settings.instruction and not self._count('instruction'):
            raise DatasetError(f'{self._bag.path}: no instruction on {self._names["instruction"]}'
                               '; give one with --instruction')
        if not self._count('action'):
            self.problems.append(f'no recorded command on {self._names["action"]}: errors cannot '
                                 'be computed')

    def _recorded_parameters(self) -> dict[str, Any]:
        """Parameters of the node that was recorded, from its description."""
        for message in self._bag.messages([self._names['policy_description']]):
            try:
                return dict(json.loads(self._bag.decode(message).parameters_json))
            except (DatasetError, ValueError, TypeError) as error:
                self.problems.append(f'the policy description cannot be read: {error}')
        return {}

    def _limit(self, setting: str, parameter: str, default: float) -> float:
        given = getattr(self._settings, setting)
        return float(given if given is not None else self.recorded.get(parameter, default))

    def _choose_trigger(self) -> Trigger:
        chosen = self._settings.trigger
        has_stats = self._count('inference_stats') > 0
        if chosen == 'recorded' and not has_stats:
            raise DatasetError(f'{self._bag.path}: trigger recorded needs '
                               f'{self._names["inference_stats"]}, which is not in the bag')
        if chosen != 'auto':
            return chosen
        recorded = self.recorded.get('trigger')
        if recorded == 'observation' or (recorded is None and self._share_stamps()):
            return 'observation'
        return 'recorded' if has_stats else 'timer'

    def _share_stamps(self) -> bool:
        """Whether some of the first samples carry one stamp on every stream."""
        assembler = ObservationAssembler(self._settings.streams, 1, 0)
        keys = {self._names[key]: key for key in self._settings.streams}
        for index, message in enumerate(self._bag.messages(set(keys))):
            try:
                stamp_ns = ns_from_time(self._bag.decode(message).header.stamp)
            except DatasetError:
                continue
            assembler.push(keys[message.topic], stamp_ns, None)
            if assembler.complete() is not None:
                return True
            if index >= _LOOK_AHEAD:
                break
        return False

    # ------------------------------------------------------------------ events
    def __iter__(self) -> Iterator[Reset | Act | Command]:
        wanted = {key: self._names[key] for key in (
            *self._settings.streams, 'instruction', 'action', 'inference_stats', 'clock')}
        keys = {name: key for key, name in wanted.items()}
        for message in self._bag.messages(set(keys)):
            key = keys[message.topic]
            if self.trigger == 'timer' and not self._is_recorded_sim_time:
                yield from self._ticks(message.time_ns, message.time_ns)
            try:
                content = self._bag.decode(message)
            except DatasetError as error:
                self._invalid += 1
                if self._invalid == 1:
                    self.problems.append(str(error))
                continue
            yield from self._on_message(key, message, content)
        yield from self._release()
        self._summarise()

    def _on_message(self, key: str, message: BagMessage,
                    content: Any) -> Iterator[Reset | Act | Command]:
        if key == 'instruction':
            if not self._settings.instruction:
                yield from self._begin(message.time_ns, str(content.data))
        elif key == 'action':
            try:
                yield Command(message.time_ns, ns_from_time(content.header.stamp),
                              action_from_message(content))
            except ContractError as error:
                self._invalid += 1
                if self._invalid <= _LISTED:
                    self.problems.append(f'recorded command at {message.time_ns} ns: {error}')
        elif key == 'clock':
            if self.trigger == 'timer' and self._is_recorded_sim_time:
                yield from self._ticks(ns_from_time(content.clock), message.time_ns)
        elif key == 'inference_stats':
            if self.trigger == 'recorded':
                yield from self._act_as_recorded(message, content)
        else:
            yield from self._on_sample(key, message, content)

    def _begin(self, time_ns: int, instruction: str) -> Iterator[Reset | Act]:
        if self.trigger == 'recorded':
            # The reset comes with the recorded step 0: before or after this message, because a
            # goal carries the instruction to the policy and the topic only shows it.
            self._instruction, self._is_new = instruction, True
            if self._held:
                yield from self._release()
            return
        self._has_session = bool(instruction.strip())
        if self._has_session:
            self._ignored_ns = self._acted_ns
            if self.trigger == 'observation':
                self._forget()
            yield Reset(time_ns, instruction)

    def _forget(self) -> None:
        self._assembler.clear()
        self._acted_ns = None

    def _on_sample(self, stream: str, message: BagMessage,
                   content: Any) -> Iterator[Reset | Act]:
        if self._settings.instruction and not self._has_session and self.trigger != 'recorded':
            yield from self._begin(message.time_ns, self._settings.instruction)
        stamp_ns = ns_from_time(content.header.stamp)
        self._note_gap(stream, stamp_ns, message.time_ns)
        self._rings[stream].push(stamp_ns, content)
        if self._assembler.push(stream, stamp_ns, content):
            self._jumps += 1
            self._acted_ns, self._used = None, {}
            for ring in self._rings.values():
                ring.clear()
            self._rings[stream].push(stamp_ns, content)
        if self.trigger != 'observation' or not self._has_session:
            return
        assembly = self._assembler.complete()
        if assembly is None:
            return
        if assembly.stamp_ns == self._ignored_ns:
            self._ignored_ns = None
            self._assembler.clear()
        elif assembly.stamp_ns != self._acted_ns:
            yield self._act(message.time_ns, assembly)

    def _act(self, time_ns: int, assembly: Assembly[Any], is_sent: bool = True) -> Act:
        self._acted_ns, self._ignored_ns = assembly.stamp_ns, None
        self._used = {name: sample.stamp_ns for name, sample in assembly.samples.items()}
        return Act(time_ns, assembly, is_sent)

    def _ticks(self, now_ns: int, time_ns: int) -> Iterator[Act]:
        """The node's timer: fires when due; missed ticks are left out, as rcl does."""
        if self._next_tick_ns is None or now_ns < self._next_tick_ns - NS_PER_S:
            self._next_tick_ns = now_ns + self._period_ns
        while now_ns >= self._next_tick_ns:
            tick_ns = now_ns if self._is_recorded_sim_time else self._next_tick_ns
            self._next_tick_ns += self._period_ns
            if self._is_recorded_sim_time and self._next_tick_ns <= now_ns:
                missed = (now_ns - self._next_tick_ns) // self._period_ns + 1
                self._next_tick_ns += missed * self._period_ns
            if not self._has_session:
                continue
            assembly = self._assembler.at(tick_ns)
            if not assembly.is_usable:
                for name, state in assembly.states.items():
                    if state not in (StreamState.FRESH, StreamState.HELD):
                        reason = f'{name}: {state.value}'
                        self.refused[reason] = self.refused.get(reason, 0) + 1
            elif assembly.stamp_ns != self._acted_ns:
                yield self._act(time_ns, assembly)

    def _act_as_recorded(self, message: BagMessage, stats: Any) -> Iterator[Reset | Act]:
        """Act on the inputs that the recorded step names."""
        inputs = {name: ns_from_time(stamp) for name, stamp in
                  zip(stats.input_names, stats.input_stamps, strict=False)}
        found: dict[str, Sample[Any] | None] = {
            name: self._rings[name].exactly(inputs[name]) if name in inputs else None
            for name in self._settings.streams}
        samples = {name: sample for name, sample in found.items() if sample is not None}
        stamps = [sample.stamp_ns for sample in samples.values()]
        act = Act(message.time_ns, Assembly(
            samples, dict.fromkeys(samples, StreamState.FRESH),
            max(stamps, default=0) - min(stamps, default=0), len(samples) == len(found),
            ns_from_time(stats.header.stamp), ''), was_sent(stats))
        step = int(stats.step)
        if self._held and (step == 0 or message.time_ns - self._held[0][1].time_ns > _HOLD_NS):
            yield from self._release()  # no new sentence came: the goal repeats the last one
        if self._held or (step == 0 and not self._is_new and not self._settings.instruction):
            self._held.append((step, act))
        else:
            yield from self._step_as_recorded(step, act)

    def _release(self) -> Iterator[Reset | Act]:
        """Do the steps that waited for their instruction."""
        held, self._held = self._held, []
        for step, act in held:
            yield from self._step_as_recorded(step, act)

    def _step_as_recorded(self, step: int, act: Act) -> Iterator[Reset | Act]:
        if step == 0:
            instruction = self._settings.instruction or self._instruction
            self._has_session, self._is_new = bool(instruction.strip()), False
            self._expected_step = 0
            if self._has_session:
                yield Reset(act.time_ns, instruction)
        if not self._has_session or not act.assembly.is_usable:
            self._lost_inputs += 1
            return
        self._lost_steps += max(0, step - self._expected_step)
        self._expected_step = step + 1
        yield self._act(act.time_ns, act.assembly, act.is_sent)

    # ------------------------------------------------------------------ what was wrong
    def _note_gap(self, stream: str, stamp_ns: int, time_ns: int) -> None:
        if stream != self._settings.streams[0]:
            return
        if self._last_stamp_ns is not None and stamp_ns - self._last_stamp_ns > _GAP_NS:
            self._gaps += 1
            if self._gaps <= _LISTED:
                self.problems.append(
                    f'{self._names[stream]}: {(stamp_ns - self._last_stamp_ns) / NS_PER_S:.2f} s '
                    f'without an image before stamp {stamp_ns / NS_PER_S:.3f} s')
        elif self._last_stamp_ns is not None and stamp_ns < self._last_stamp_ns - _GAP_NS:
            self._set_back += 1
            if self._set_back <= _LISTED:
                self.problems.append(
                    f'clock set back by {(self._last_stamp_ns - stamp_ns) / NS_PER_S:.2f} s to '
                    f'{stamp_ns / NS_PER_S:.3f} s (received at {time_ns / NS_PER_S:.3f} s); '
                    'stored observations were dropped, as the node does')
        self._last_stamp_ns = stamp_ns

    def _summarise(self) -> None:
        notes = (
            (self._gaps > _LISTED, f'{self._gaps} gaps of more than a second in all'),
            (self._set_back > _LISTED, f'the clock was set back {self._set_back} times in all'),
            (self._invalid > 1, f'{self._invalid} messages could not be decoded'),
            (self._lost_inputs, f'{self._lost_inputs} recorded steps left out: their inputs or '
             'instruction are not in the bag'),
            (self._lost_steps, f'{self._lost_steps} recorded steps have no statistics: the '
             "policy's memory differs from there to the next instruction"),
            (self.trigger == 'timer' and self.refused, 'ticks without a usable observation: '
             + ', '.join(f'{n} x {reason}' for reason, n in sorted(self.refused.items()))))
        self.problems += [text for is_so, text in notes if is_so]
