# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How finely time is cut: as CALVIN does (240 Hz), or half as finely, for speed.

Three quarters of a step without cameras pass in PyBullet's physics steps, and every one costs the
same whatever it simulates. ``fast`` makes four of them per action instead of eight, with 30
solver iterations instead of 50 (20 would let the arm lag by milliradians). PyBullet's
position motors, gears and contacts close a fixed share of their error per physics step, so the
shares are matched: after every 1/30 s the arm is where CALVIN's is. What remains different is
measured in docs/explanation/simulation.md.
"""

from dataclasses import dataclass

import pybullet

from dysl_vla_ros.control.action_spec import CONTROL_RATE_HZ
from dysl_vla_ros.errors import SimulationError

CALVIN_RATE_HZ, CALVIN_ITERATIONS = 240, 50
# PyBullet's defaults: share of the error that one physics step closes.
MOTOR_SHARE = 0.1
GEAR_SHARE = 0.1
_CONTACT_SHARE, _FRICTION_SHARE, _JOINT_SHARE = 0.08, 0.2, 0.2


@dataclass(frozen=True)
class Physics:
    """One way to cut time.

    Attributes:
        name: How results record it: it moves scores.
        rate_hz: Physics steps per second; divides CALVIN's 240 and is a multiple of 30.
        iterations: Solver iterations per physics step.
    """

    name: str
    rate_hz: int
    iterations: int = CALVIN_ITERATIONS

    @property
    def is_exact(self) -> bool:
        """Whether it is CALVIN's own."""
        return (self.rate_hz, self.iterations) == (CALVIN_RATE_HZ, CALVIN_ITERATIONS)

    @property
    def substeps(self) -> int:
        """Physics steps per action."""
        return self.rate_hz // CONTROL_RATE_HZ

    def share(self, of_calvin: float) -> float:
        """Share of an error to close per step so that it shrinks as fast as CALVIN's.

        Args:
            of_calvin: Share closed in 1/240 s; comes back bit for bit at CALVIN's rate.
        """
        if self.rate_hz == CALVIN_RATE_HZ:
            return of_calvin
        return float(1.0 - (1.0 - of_calvin)**(CALVIN_RATE_HZ / self.rate_hz))

    @property
    def last_step_share(self) -> float:
        """Share of the motion of the last physics step that CALVIN makes in its last 1/240 s.

        An arm whose error e shrinks to (1 - s) e moves s e; seen from its end, s / (1 - s) of
        what remains.
        """
        own = self.share(MOTOR_SHARE)
        return MOTOR_SHARE / (1.0 - MOTOR_SHARE) * (1.0 - own) / own

    def prepare(self, client: int) -> None:
        """Set an empty client up; motors created afterwards depend on it."""
        if self.is_exact:
            return  # PyBullet's defaults are CALVIN's
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=1 / self.rate_hz, numSolverIterations=self.iterations,
            contactERP=self.share(_CONTACT_SHARE),
            frictionERP=self.share(_FRICTION_SHARE), erp=self.share(_JOINT_SHARE),
            physicsClientId=client)

    def advance(self, client: int) -> None:
        """Simulate one action's 1/30 s."""
        # The physics steps as one call: bit-equal to single calls, without their overhead. Motor
        # commands must see the physics step's length, hence back again afterwards.
        pybullet.setPhysicsEngineParameter(fixedTimeStep=1 / CONTROL_RATE_HZ,
                                           numSubSteps=self.substeps, physicsClientId=client)
        pybullet.stepSimulation(physicsClientId=client)
        pybullet.setPhysicsEngineParameter(fixedTimeStep=1 / self.rate_hz, numSubSteps=0,
                                           physicsClientId=client)

    def settle(self, client: int) -> None:
        """Simulate the single 1/240 s after a reset, at every rate: contacts depend on it."""
        if self.is_exact:
            pybullet.stepSimulation(physicsClientId=client)
            return
        pybullet.setPhysicsEngineParameter(fixedTimeStep=1 / CALVIN_RATE_HZ,
                                           physicsClientId=client)
        pybullet.stepSimulation(physicsClientId=client)
        pybullet.setPhysicsEngineParameter(fixedTimeStep=1 / self.rate_hz,
                                           physicsClientId=client)


CALVIN, FAST = 'calvin', 'fast'
PHYSICS = {CALVIN: Physics(CALVIN, CALVIN_RATE_HZ), FAST: Physics(FAST, 120, 30)}


def get_physics(name: str) -> Physics:
    """Return the physics called ``name``.

    Raises:
        SimulationError: If there is none; lists the known ones.
    """
    if not isinstance(name, str) or name not in PHYSICS:
        raise SimulationError(f'unknown physics {name!r}; expected one of {sorted(PHYSICS)}')
    return PHYSICS[name]
