# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Run policies over recorded bags without ROS and compare with the recorded commands.

Streams: one observation at a time, every step written to ``steps.csv`` at once; memory does not
grow with the length of a bag beyond some 60 bytes per step for the curves of the report.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
import csv
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Protocol

import cv2
import numpy as np

from dysl_vla_ros.bags import messages
from dysl_vla_ros.bags.reader import BagReader
from dysl_vla_ros.bags.topics import remapped
from dysl_vla_ros.bags.writer import BagWriter, Storage
from dysl_vla_ros.control.limits import limit_action
from dysl_vla_ros.errors import ContractError, DatasetError
from dysl_vla_ros.evaluation.offline_metrics import (
    AXES,
    Moment,
    WorstMoments,
)
from dysl_vla_ros.evaluation.offline_replay import BagReplay
from dysl_vla_ros.evaluation.offline_result import BagResult, PolicyOnBag
from dysl_vla_ros.evaluation.recording import step_stats
from dysl_vla_ros.evaluation.replay_events import Act, Command, ReplaySettings, Reset
from dysl_vla_ros.observation.messages import IMAGES, NS_PER_S, observation_from_messages
from dysl_vla_ros.observation.observation import Observation
from dysl_vla_ros.skipping.step import Step

CSV_COLUMNS = ('bag', 'policy', 'time_s', 'stamp_ns', 'instruction', 'step',
               *(f'predicted_{axis}' for axis in (*AXES, 'gripper')),
               *(f'recorded_{axis}' for axis in (*AXES, 'gripper')),
               'error', 'drift_mm', 'layers', 'is_verified', 'decoder_ms', 'total_ms')
# A command belongs to the observation with its stamp, else to an earlier one, at most this much.
_PAIRING_NS = NS_PER_S // 10
_WAITING = 32
_REPORTED_FAILURES = 3
_PICTURE_WIDTH = 320


class Policy(Protocol):
    """What is evaluated; ``DySLPolicy`` has it."""

    def reset(self, instruction: str) -> None:
        """Start an instruction."""

    def act(self, observation: Observation) -> Step:
        """Predict one action and commit it."""

    def describe(self) -> dict[str, Any]:
        """What runs here, JSON-ready."""


@dataclass
class _Waiting:
    """A step of all policies that waits for its recorded command."""

    time_s: float
    stamp_ns: int
    step: int
    actions: dict[str, np.ndarray]
    steps: dict[str, Step]
    samples: dict[str, Any]


class OfflineEvaluation:
    """Evaluates bags one after the other; a context manager that owns ``steps.csv``."""

    def __init__(self, policies: Mapping[str, Policy], folder: Path,
                 settings: ReplaySettings | None = None, names: Mapping[str, str] | None = None,
                 predictions: Storage | None = 'mcap') -> None:
        """Prepare.

        Args:
            policies: By the name that reports show.
            folder: Gets steps.csv and predictions/; created.
            settings: How observations are found.
            names: Topic name in the bags by key.
            predictions: Storage of the output bags, or None for none.
        """
        self._policies = dict(policies)
        self._settings = settings or ReplaySettings()
        self._names = dict(names or remapped())
        self._folder, self._predictions = folder, predictions
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / 'steps.csv').open('w', newline='', encoding='utf-8')
        self._csv = csv.writer(self._file)
        self._csv.writerow(CSV_COLUMNS)
        self.worst = {name: WorstMoments() for name in self._policies}

    def __enter__(self) -> 'OfflineEvaluation':
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._file.close()

    def evaluate(self, path: Path, name: str,
                 progress: Callable[[int], None] | None = None) -> BagResult:
        """Run all policies over one bag.

        Args:
            path: The bag.
            name: Its unique name in results.
            progress: Called with the number of steps made so far.

        Returns:
            The result; a bag that cannot be evaluated has a ``failure`` instead of numbers.
        """
        result = BagResult(name, str(path), policies={n: PolicyOnBag() for n in self._policies})
        begin = perf_counter()
        try:
            with BagReader(path) as bag:
                result.topics = {t.name: (t.type, t.count) for t in bag.topics.values()}
                result.problems = bag.problems
                replay = BagReplay(bag, self._names, self._settings)
                result.trigger = replay.trigger
                _Run(self, result, replay).run(progress)
                result.problems = [*bag.problems, *replay.problems]
        except (DatasetError, ContractError) as error:
            result.failure = str(error)
        result.wall_s = perf_counter() - begin
        return result

    def outputs(self, bag_name: str) -> dict[str, BagWriter]:
        """Open the output bag of every policy."""
        if self._predictions is None:
            return {}
        writers = {}
        for name, policy in self._policies.items():
            folder = self._folder / 'predictions' / f'{bag_name}_{name.replace("/", "_")}'
            writers[name] = BagWriter(folder, self._predictions, names=self._names)
            described = policy.describe()
            writers[name].write('policy_description', messages.policy_description(
                described, {'strategy': described.get('strategy', name), 'action_frame': 'world',
                            'device': str(described.get('device', '')), 'offline_bag': bag_name},
                self._settings.streams), 0)
        return writers


class _Run:
    """One bag in progress."""

    def __init__(self, owner: OfflineEvaluation, result: BagResult, replay: BagReplay) -> None:
        self._owner, self._result, self._replay = owner, result, replay
        self._policies, self._settings = owner._policies, owner._settings
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._commands: OrderedDict[int, Command] = OrderedDict()
        self._paired: deque[int] = deque(maxlen=2 * _WAITING)
        self._gripper = dict.fromkeys(self._policies, 1.0)
        self._first_ns: int | None = None
        self._instruction = ''
        self._steps = self._failed = 0
        self._is_refused = False
        self._writers: dict[str, BagWriter] = {}

    def run(self, progress: Callable[[int], None] | None) -> None:
        """Follow the events to the end."""
        made = 0
        self._writers = self._owner.outputs(self._result.name)
        try:
            for event in self._replay:
                if self._first_ns is None:
                    self._first_ns = event.time_ns
                self._result.duration_s = (event.time_ns - self._first_ns) / NS_PER_S
                if isinstance(event, Reset):
                    self._reset(event)
                elif isinstance(event, Act):
                    self._act(event)
                    made += 1
                    if progress is not None and made % 10 == 0:
                        progress(made)
                else:
                    self._compare(event)
        finally:
            for writer in self._writers.values():
                writer.close()
        while self._waiting:
            self._give_up(self._waiting.popitem(last=False)[1])
        self._result.unpaired += len(self._commands)
        for on_bag in self._result.policies.values():
            on_bag.drift.restart()
        if self._failed > _REPORTED_FAILURES:
            self._replay.problems.append(f'{self._failed} steps left out in all')
        if progress is not None:
            progress(made)

    def _reset(self, event: Reset) -> None:
        while self._waiting:
            self._give_up(self._waiting.popitem(last=False)[1])
        self._instruction, self._steps = event.instruction, 0
        self._result.instructions.append(event.instruction)
        self._is_refused = False
        for name, policy in self._policies.items():
            try:
                policy.reset(event.instruction)
            except ContractError as error:
                self._replay.problems.append(f'{name} refuses {event.instruction!r}: {error}; '
                                             'its steps are left out')
                self._is_refused = True
            self._gripper[name] = 1.0
            self._result.policies[name].drift.restart()
        for writer in self._writers.values():
            writer.instruction(event.instruction, event.time_ns)

    def _act(self, event: Act) -> None:
        try:
            self._predict(event)
        except ContractError as error:
            self._failed += 1
            if self._failed <= _REPORTED_FAILURES:
                self._replay.problems.append(
                    f'step left out at stamp {event.assembly.stamp_ns / NS_PER_S:.3f} s: {error}')

    def _predict(self, event: Act) -> None:
        if self._is_refused:
            return
        assembly = event.assembly
        samples = {name: sample.value for name, sample in assembly.samples.items()}
        assert self._first_ns is not None
        waiting = _Waiting((event.time_ns - self._first_ns) / NS_PER_S, assembly.stamp_ns,
                           self._steps, {}, {}, samples)
        observation: Observation | None = None
        for name, policy in self._policies.items():
            # Only proprioception differs between policies: it holds their own last command.
            if observation is None or self._settings.uses_robot_obs:
                observation = observation_from_messages(samples, self._gripper[name],
                                                        assembly.stamp_ns)
            step = policy.act(observation)
            if not event.is_sent:
                continue  # the node's policy took this step too, too late for an action
            limited = limit_action(step.action)
            self._gripper[name] = float(limited.action[6])
            waiting.actions[name], waiting.steps[name] = limited.action, step
            self._result.policies[name].add_step(step, bool(limited.reasons))
            self._write(name, step, limited, event)
        self._steps += 1
        if event.is_sent:
            self._wait(waiting)

    def _write(self, name: str, step: Step, limited: Any, event: Act) -> None:
        writer = self._writers.get(name)
        if writer is None:
            return
        stamp_ns = event.assembly.stamp_ns
        inputs = {n: sample.stamp_ns for n, sample in event.assembly.samples.items()}
        writer.stats({**step_stats(step), 'step': step.index, 'raw_action': step.action,
                      'limit_reasons': limited.reasons, 'input_stamps_ns': inputs},
                     stamp_ns, event.time_ns)
        writer.action(limited.action, stamp_ns, step.index, event.time_ns)

    # A command is written after the observation that caused it, but a tick (trigger timer) may act
    # on that observation later still: both wait for each other.
    def _compare(self, command: Command) -> None:
        if command.stamp_ns in self._paired:
            return  # the node gave the same answer again
        waiting = self._waiting.pop(command.stamp_ns, None)
        if waiting is not None:
            self._pair(waiting, command)
            return
        self._commands[command.stamp_ns] = command
        while len(self._commands) > 2 * _WAITING:
            self._commands.popitem(last=False)
            self._result.unpaired += 1

    def _wait(self, waiting: _Waiting) -> None:
        command = self._commands.pop(waiting.stamp_ns, None)
        if command is not None:
            self._pair(waiting, command)
            return
        self._waiting[waiting.stamp_ns] = waiting
        while len(self._waiting) > _WAITING:
            self._give_up(self._waiting.popitem(last=False)[1])

    def _give_up(self, waiting: _Waiting) -> None:
        """No command has this stamp: take the next one, if it is near, else none."""
        near = [ns for ns in self._commands if 0 <= ns - waiting.stamp_ns <= _PAIRING_NS]
        if near:
            self._result.paired_by_age += 1
            self._pair(waiting, self._commands.pop(min(near)))
            return
        for name in self._policies:
            self._row(name, waiting, None, None, None)

    def _pair(self, waiting: _Waiting, command: Command) -> None:
        self._paired.append(command.stamp_ns)
        recorded = np.asarray(command.action, dtype=np.float64)
        for name, on_bag in self._result.policies.items():
            predicted = np.asarray(waiting.actions[name], dtype=np.float64)
            error = on_bag.errors.add(predicted, recorded)
            drift_mm = on_bag.drift.add(predicted, recorded)
            curves = on_bag.curves
            curves.time_s.append(waiting.time_s)
            curves.error.append(error)
            curves.predicted.extend(predicted)
            curves.recorded.extend(recorded)
            curves.layers.append(waiting.steps[name].trace.n_executed_total)
            self._row(name, waiting, recorded, error, drift_mm)
            worst = self._owner.worst[name]
            if worst.is_among_them(error):
                worst.offer(Moment(error, self._result.name, waiting.time_s, self._instruction,
                                   waiting.step, predicted, recorded,
                                   _pictures(waiting.samples)))

    def _row(self, name: str, waiting: _Waiting, recorded: np.ndarray | None,
             error: float | None, drift_mm: float | None) -> None:
        step = waiting.steps[name]
        self._owner._csv.writerow([
            self._result.name, name, f'{waiting.time_s:.6f}', waiting.stamp_ns,
            self._instruction, waiting.step, *(f'{v:.6g}' for v in waiting.actions[name]),
            *([''] * 7 if recorded is None else (f'{v:.6g}' for v in recorded)),
            '' if error is None else f'{error:.6g}', '' if drift_mm is None else f'{drift_mm:.4g}',
            step.trace.n_executed_total, int(step.trace.is_verified),
            f'{step.timing.decoder_ms:.3f}', f'{step.timing.total_ms:.3f}'])


def _pictures(samples: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Small copies of what was seen."""
    observation = observation_from_messages({n: samples[n] for n in IMAGES}, 1.0, 0)
    pictures = {}
    for name, image in zip(IMAGES, (observation.rgb_static, observation.rgb_gripper),
                           strict=True):
        height, width = image.shape[:2]
        scale = _PICTURE_WIDTH / width
        size = (_PICTURE_WIDTH, max(1, round(height * scale)))
        pictures[name] = cv2.resize(image, size, interpolation=cv2.INTER_AREA
                                    if scale < 1 else cv2.INTER_NEAREST)
    return pictures
