# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Open or close: a decision that does not chatter."""

from dataclasses import dataclass

from dysl_vla_ros.errors import ContractError


@dataclass
class GripperDecision:
    """Hysteresis and dwell around the probability that the gripper opens.

    Attributes:
        hysteresis: Half width of the dead band around 0.5, in [0, 0.5).
        min_dwell_s: Shortest time between two changes.
        command: The decision in force: +1 open, -1 close, 0 before the first one.
    """

    hysteresis: float = 0.0
    min_dwell_s: float = 0.0
    command: float = 0.0
    _changed_s: float = float('-inf')

    def update(self, probability: float, now_s: float) -> tuple[float, str]:
        """Take one probability.

        Returns:
            The command (+1 or -1) and why it differs from the plain threshold, or ''.

        Raises:
            ContractError: If the probability is not one (NaN would look like "close").
        """
        if not 0.0 <= probability <= 1.0:
            raise ContractError(f'gripper probability {probability}: expected 0 to 1')
        wanted = 1.0 if probability > 0.5 else -1.0
        if self.command == 0.0:
            self.command, self._changed_s = wanted, now_s
            return wanted, ''
        if wanted == self.command:
            return wanted, ''
        if abs(probability - 0.5) < self.hysteresis:
            return self.command, f'gripper: {probability:.3f} is inside the hysteresis'
        if now_s - self._changed_s < self.min_dwell_s:
            return self.command, f'gripper: changed {now_s - self._changed_s:.2f} s ago, dwell ' \
                                 f'{self.min_dwell_s:g} s'
        self.command, self._changed_s = wanted, now_s
        return wanted, ''

    def reset(self) -> None:
        """Forget; the next decision is the first."""
        self.command, self._changed_s = 0.0, float('-inf')
