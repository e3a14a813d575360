# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the policy node remembers between callbacks: plain data, guarded by the node's lock."""

from collections.abc import Callable
from dataclasses import dataclass, field
import time
import unicodedata

from dysl_vla_ros.control.governor import ComputeGovernor
from dysl_vla_ros.errors import InstructionError
from dysl_vla_ros.msg import InferenceStats
from dysl_vla_ros.nodes.diagnostics import Level, Report, Window
from dysl_vla_ros.nodes.memory import resident_memory_mb
from dysl_vla_ros.nodes.tally import Tally
from dysl_vla_ros.observation.assembler import Assembly

_NEWS_S = 5.0  # how long /diagnostics speaks of a jump of the clock


@dataclass
class Session:
    """One instruction being carried out; replaced, never reused. Guarded by the node's lock."""

    instruction: str
    max_steps: int = 0
    deadline_s: float = float('inf')  # steady clock
    steps: int = 0
    first_stamp_ns: int | None = None


@dataclass(frozen=True)
class Job:
    """One observation on its way to the policy."""

    assembly: Assembly
    session: Session
    arrival_s: float
    gripper_command: float


@dataclass(frozen=True)
class Hooks:
    """What the cycle asks of its owner.

    Attributes:
        over: The session has reached its number of steps or its time: (outcome name, reason).
        published: A step was sent.
        failed: The policy raised (called on the inference thread).
        reset: Resets the policy to an instruction (called on the inference thread).
        gave_up: The policy knows that it cannot do this instruction (on the inference thread).
    """

    over: Callable[[str, str], None]
    published: Callable[[Session, InferenceStats], None]
    failed: Callable[[Exception], None]
    reset: Callable[[str], None]
    gave_up: Callable[[str, InstructionError], None]


@dataclass
class Counters:
    """Numbers for /diagnostics."""

    samples: int = 0
    steps: int = 0
    resent: int = 0
    limited: int = 0
    dropped: int = 0
    missed: int = 0
    submitted: int = 0
    refused: int = 0
    replaced: int = 0
    tallies: dict[str, Tally] = field(default_factory=dict)
    unsent: int = 0
    refusal: str = ''
    ended: str = ''
    _clock: tuple[str, float] = ('', 0.0)  # a jump, and when it was noticed
    _clock_seen: tuple[int, float] | None = None
    _clock_rate: float = 1.0
    skipped_callback: str = ''
    latency_ms: Window = field(default_factory=Window)
    age_ms: Window = field(default_factory=Window)
    skipped: Window = field(default_factory=Window)
    decoder_ms: Window = field(default_factory=Window)
    layers: Window = field(default_factory=Window)
    _reported: tuple[int, float] | None = None

    @property
    def clock(self) -> str:
        """The last jump of the clock, for as long as it is news; else ''."""
        text, noticed_s = self._clock
        return text if time.monotonic() - noticed_s < _NEWS_S else ''

    def note_jump(self, step_ns: int) -> None:
        """The node's clock has gone a long way between two ticks."""
        self._clock = (f'jumped {"ahead" if step_ns > 0 else "back"} by '
                       f'{abs(step_ns) / 1e9:.1f} s', time.monotonic())

    def note_clock(self, now_ns: int) -> None:
        """Compare the node's clock with the steady one, over half a second or more."""
        now_s = time.monotonic()
        if self._clock_seen is None:
            self._clock_seen = now_ns, now_s
        elif now_s - self._clock_seen[1] > 0.5:
            self._clock_rate = (now_ns - self._clock_seen[0]) / 1e9 / (now_s - self._clock_seen[1])
            self._clock_seen = now_ns, now_s

    def input_report(self, session: Session | None, streams: tuple[str, ...], silence_s: float,
                     is_lost: bool, hold_reason: str, health: dict[str, object]) -> Report:
        """Say how the observations arrive."""
        values = {'samples': self.samples, 'silence s': round(silence_s, 2),
                  'streams': ', '.join(streams), 'held back': hold_reason or 'no',
                  'instruction': shortened(session.instruction) if session else '',
                  'refused instruction': self.refusal or 'none',
                  'last instruction ended': self.ended or 'none',
                  'clock': self.clock or 'steady', 'clock rate': round(self._clock_rate, 2),
                  **health}
        if is_lost:
            return Report(Level.ERROR, 'observations stopped', values)
        if session is None:
            return Report(Level.OK, 'no instruction', values)
        return Report(Level.WARN if hold_reason else Level.OK, hold_reason or 'receiving', values)

    def add_replaced(self) -> None:
        """Count an observation that waited for the policy in vain."""
        self.replaced += 1

    def add(self, stats: InferenceStats) -> None:
        """Count a published step."""
        self.steps += 1
        self.limited += bool(stats.limit_reasons)
        self.latency_ms.add(stats.latency_ms)
        self.age_ms.add(stats.observation_age_ms)
        self.decoder_ms.add(stats.decoder_ms)
        self.layers.add(float(stats.executed_total))
        if stats.executed:
            self.skipped.add(1.0 - sum(stats.executed) / len(stats.executed))

    def inference_report(self, failure: str, is_active: bool,
                         governor: ComputeGovernor | None) -> Report:
        """Say how the policy does."""
        rate = 0.0
        if self._reported is not None:
            seconds = time.monotonic() - self._reported[1]
            rate = (self.steps - self._reported[0]) / seconds if seconds > 0 else 0.0
        self._reported = self.steps, time.monotonic()
        values = {'actions Hz': round(rate, 1),
                  'clip rate': round(self.limited / self.steps, 4) if self.steps else 0.0,
                  'memory MB': resident_memory_mb(), 'steps': self.steps,
                  'actions sent again': self.resent,
                  'limited': self.limited, 'dropped': self.dropped,
                  'deadlines missed': self.missed, 'submitted': self.submitted,
                  'observations refused': self.refused, 'submitted and replaced': self.replaced,
                  'actions not sent': self.unsent, **self.latency_ms.summary('latency ms'),
                  **self.age_ms.summary('observation age ms'),
                  **self.skipped.summary('skip ratio'),
                  **self.decoder_ms.summary('decoder ms'), **self.layers.summary('layers')}
        if governor is not None:
            values.update({'skip threshold': round(governor.threshold, 3),
                           'governed latency p95 ms': round(governor.p95_ms, 2)})
        if self.skipped_callback:
            values['skipped callback'] = self.skipped_callback
        if failure:
            return Report(Level.ERROR, failure, values)
        if governor is not None and governor.is_over_budget:
            return Report(Level.WARN, 'the latency budget cannot be held: skip threshold at its '
                                      'floor', values)
        return Report(Level.OK, 'active' if is_active else 'inactive', values)


def shortened(text: str, limit: int = 200) -> str:
    """A sentence for a log or report; a very long one is cut and its length given."""
    return text if len(text) <= limit else f'{text[:limit]}... ({len(text)} characters)'


_MAX_CHARACTERS = 1000


def instruction_problem(text: str) -> str:
    """Why a sentence cannot be an instruction, or ''."""
    if not text.strip():
        return 'the instruction is empty'
    if len(text) > _MAX_CHARACTERS:
        return f'the instruction has {len(text)} characters, at most {_MAX_CHARACTERS} are taken'
    if any(unicodedata.category(c) == 'Cc' for c in text.strip()):
        return 'the instruction has control characters'
    return ''
