# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The one interface behind which every skip strategy lives.

A strategy proposes; only the policy commits. ``propose`` is a pure function of the frame and the
committed state: it returns the action and the state that would be committed with it, so an
aborted step leaves no trace (design/method.md section 8).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
import math
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from dysl_vla_ros.model.action_head import HeadOutput, HeadState
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.executor import Pass
from dysl_vla_ros.skipping.step import GroupTrace, SkipTrace


@dataclass(frozen=True)
class PolicyState:
    """Everything that changes from step to step; replaced as a whole by a commit.

    Attributes:
        head: Recurrent state of the action head.
        recent: The last committed actions (7,), oldest first; kept by the policy.
        actions: The last k + 1 actions as far as continuity sees them.
        continuities: C_{t-2}, C_{t-1}, newest last, as far as defined.
        allow_points: l_i per group.
        steps_since_verification: Large before the first one.
        reused: Consecutive actions that did not come from the model.
        memory: What one strategy alone remembers.
        stamp_ns: Exposure of the last observation; 0 if unknown. Kept by the policy.
        index: Next step's index.
    """

    head: HeadState
    recent: tuple[np.ndarray, ...] = ()
    actions: tuple[np.ndarray, ...] = ()
    continuities: tuple[float, ...] = ()
    allow_points: tuple[int, ...] = ()
    steps_since_verification: int = 1 << 30
    reused: int = 0
    memory: Any = None
    stamp_ns: int = 0
    index: int = 0


class Frame:
    """What one control step offers: prompt, images, proprioception.

    Vision runs when ``media`` is first asked for and once at most, so a strategy that reuses an
    action does not pay for it and a verified step does not pay twice.
    """

    def __init__(self, prompt: torch.Tensor, media: torch.Tensor | Callable[[], torch.Tensor],
                 robot_obs: torch.Tensor | None, instruction: str = '', stamp_ns: int = 0,
                 is_after_abort: bool = False) -> None:
        """Wrap what the step sees.

        Args:
            prompt: (1, S, d) embedded.
            media: (1, M, width) latents, or a call that makes them.
            robot_obs: (1, 15), if the network uses it.
            instruction: The sentence.
            stamp_ns: Exposure of the images; 0 if unknown.
            is_after_abort: Whether the step before raised and committed nothing.
        """
        self.prompt, self.robot_obs, self.instruction = prompt, robot_obs, instruction
        self.stamp_ns, self.is_after_abort = stamp_ns, is_after_abort
        self._media = media
        self.vision_s = 0.0

    @property
    def media(self) -> torch.Tensor:
        """(1, M, width) latents."""
        if not isinstance(self._media, torch.Tensor):
            begin = perf_counter()
            self._media = self._media()
            self.vision_s = perf_counter() - begin
        return self._media


@dataclass(frozen=True)
class Proposal:
    """An action and what would be committed with it.

    Attributes:
        output: The head's prediction.
        state: The next state; ``recent``, ``stamp_ns`` and ``index`` are set by the policy.
        trace: Which layers ran and why.
        decoder_s, head_s: Wall time of the stages.
    """

    output: HeadOutput
    state: PolicyState
    trace: SkipTrace
    decoder_s: float
    head_s: float


class Strategy(Protocol):
    """Decides which layers of the frozen network run."""

    name: str

    @property
    def modules(self) -> nn.Module | None:
        """Everything it adds to the network."""

    def initial_state(self) -> PolicyState:
        """State at the start of an instruction."""

    def propose(self, frame: Frame, state: PolicyState) -> Proposal:
        """Predict an action without changing any state."""

    def describe(self) -> dict[str, Any]:
        """Options in force, JSON-ready."""


@dataclass
class PassStrategy(ABC):
    """One pass of the decoder and one call of the head per step; subclasses choose the layers.

    Attributes:
        model: The frozen network.
        name: As in ``names.STRATEGIES``.
        modules: Added modules; a head named ``lm_head`` among them replaces the network's.
        options: What ``describe`` reports.
    """

    model: DySLVLA
    name: str
    modules: nn.Module | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @abstractmethod
    def run(self, frame: Frame, state: PolicyState) -> Pass:
        """One pass of the decoder."""

    def groups(self, result: Pass, state: PolicyState) -> tuple[GroupTrace, ...]:
        """Groups of dynamic layers for the trace; none by default."""
        return ()

    def initial_state(self) -> PolicyState:
        """Zero head state."""
        return PolicyState(self.model.lm_head.initial_state())

    def describe(self) -> dict[str, Any]:
        """Options in force."""
        return self.options

    def propose(self, frame: Frame, state: PolicyState) -> Proposal:
        """Run the chosen layers and the head."""
        _ = frame.media  # vision is not the decoder's time
        begin = perf_counter()
        result = self.run(frame, state)
        decoder_end = perf_counter()
        output = self.peek(result.x, frame, state)
        head_s = perf_counter() - decoder_end
        trace = SkipTrace(executed_flags(result, self.model.n_layers), len(result.executed),
                          self.groups(result, state), math.nan, math.nan, False)
        return Proposal(output, replace(state, head=output.state), trace,
                        decoder_end - begin, head_s)

    def peek(self, x: torch.Tensor, frame: Frame, state: PolicyState) -> HeadOutput:
        """Action from the read-out (1, S, d); commits nothing."""
        head = getattr(self.modules, 'lm_head', None) or self.model.lm_head
        return head.peek(self.model.pool(x, None, frame.robot_obs), state.head)


class Dense(PassStrategy):
    """Every layer."""

    def run(self, frame: Frame, state: PolicyState) -> Pass:
        """Run all layers in order."""
        x = self.model.decode(frame.prompt, frame.media)
        return Pass(x, list(range(self.model.n_layers)))


class Verified:
    """Predicts every step again with all layers and lets only that be committed.

    Whatever the inner strategy does, the actions must equal the dense policy's bit for bit; a
    test runs every strategy like this.
    """

    def __init__(self, inner: Strategy, dense: Dense) -> None:
        """Wrap a strategy."""
        self.inner, self.dense = inner, dense
        self.name, self.modules = inner.name, inner.modules

    def initial_state(self) -> PolicyState:
        """The inner strategy's."""
        return self.inner.initial_state()

    def describe(self) -> dict[str, Any]:
        """The inner options and the switch."""
        return {**self.inner.describe(), 'verify_always': True}

    def propose(self, frame: Frame, state: PolicyState) -> Proposal:
        """Both passes; the dense one's action and head state."""
        skipped = self.inner.propose(frame, state)
        dense = self.dense.propose(frame, state)
        trace = replace(
            skipped.trace, executed=dense.trace.executed, is_verified=True,
            n_executed_total=skipped.trace.n_executed_total + dense.trace.n_executed_total)
        following = replace(skipped.state, head=dense.output.state, reused=0)
        return Proposal(dense.output, following, trace, skipped.decoder_s + dense.decoder_s,
                        skipped.head_s + dense.head_s)


def executed_flags(result: Pass, n_layers: int) -> np.ndarray:
    """(n_layers,) bool, True where a layer of the pass ran."""
    flags = np.zeros(n_layers, dtype=bool)
    flags[result.executed] = True
    return flags
