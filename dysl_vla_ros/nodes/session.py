# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the policy node remembers between callbacks: plain data, guarded by the node's lock."""

from dataclasses import dataclass, field

from dysl_vla_ros.nodes.diagnostics import Level, Report, Window
from dysl_vla_ros.observation.assembler import Assembly


@dataclass
class Session:
    """One instruction being carried out; replaced, never reused. Guarded by the node's lock."""

    instruction: str
    max_steps: int = 0
    steps: int = 0
    first_stamp_ns: int | None = None


@dataclass(frozen=True)
class Job:
    """One observation on its way to the policy."""

    assembly: Assembly
    session: Session
    arrival_s: float
    gripper_command: float


@dataclass
class Counters:
    """Numbers for /diagnostics."""

    samples: int = 0
    steps: int = 0
    resent: int = 0
    limited: int = 0
    dropped: int = 0
    missed: int = 0
    latency_ms: Window = field(default_factory=Window)
    decoder_ms: Window = field(default_factory=Window)
    layers: Window = field(default_factory=Window)

    def input_report(self, session: Session | None, streams: tuple[str, ...], silence_s: float,
                     is_lost: bool, hold_reason: str) -> Report:
        """Say how the observations arrive."""
        values = {'samples': self.samples, 'silence s': round(silence_s, 2),
                  'streams': ', '.join(streams), 'held back': hold_reason or 'no',
                  'instruction': session.instruction if session else ''}
        if is_lost:
            return Report(Level.ERROR, 'observations stopped', values)
        if session is None:
            return Report(Level.OK, 'no instruction', values)
        return Report(Level.WARN if hold_reason else Level.OK, hold_reason or 'receiving', values)

    def inference_report(self, failure: str, is_active: bool) -> Report:
        """Say how the policy does."""
        values = {'steps': self.steps, 'actions sent again': self.resent,
                  'limited': self.limited, 'dropped': self.dropped,
                  'deadlines missed': self.missed, **self.latency_ms.summary('latency ms'),
                  **self.decoder_ms.summary('decoder ms'), **self.layers.summary('layers')}
        if failure:
            return Report(Level.ERROR, failure, values)
        return Report(Level.OK, 'active' if is_active else 'inactive', values)
