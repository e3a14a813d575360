# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a replayed bag consists of, and how it is asked for."""

from dataclasses import dataclass
from typing import Any, Literal

from dysl_vla_ros.observation.assembler import Assembly
from dysl_vla_ros.observation.messages import IMAGES, PROPRIOCEPTION

Trigger = Literal['auto', 'observation', 'timer', 'recorded']


@dataclass(frozen=True)
class ReplaySettings:
    """How a bag is turned into control steps; None means: as recorded, else the node's default.

    Attributes:
        trigger: 'observation' and 'timer' are the node's parameter; 'recorded' takes, for every
            recorded step, the very inputs that its inference_stats name; 'auto' takes the
            recorded node's trigger (with its recorded inputs if it was 'timer'), and else
            'observation' if the streams share their stamps, 'timer' if not.
        rate_hz: Ticks per second with 'timer'.
        max_age_s: Oldest usable sample with 'timer'.
        max_spread_s: Largest difference of stamps with 'timer'.
        instruction: Replaces the instructions in the bag; the policy is reset once.
        uses_robot_obs: Whether a policy needs joint states and tool pose.
    """

    trigger: Trigger = 'auto'
    rate_hz: float | None = None
    max_age_s: float | None = None
    max_spread_s: float | None = None
    instruction: str = ''
    uses_robot_obs: bool = False

    @property
    def streams(self) -> tuple[str, ...]:
        """What an observation is made of."""
        return IMAGES + (PROPRIOCEPTION if self.uses_robot_obs else ())


@dataclass(frozen=True)
class Reset:
    """A new instruction."""

    time_ns: int
    instruction: str


@dataclass(frozen=True)
class Act:
    """One control step: messages by stream, and when in the bag it happens.

    ``is_sent`` is False where the recorded node's policy acted and nothing was sent for it.
    """

    time_ns: int
    assembly: Assembly[Any]
    is_sent: bool = True


@dataclass(frozen=True)
class Command:
    """A recorded command (7,), with the stamp of the observation that caused it."""

    time_ns: int
    stamp_ns: int
    action: Any  # numpy array (7,)
