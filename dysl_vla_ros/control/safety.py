# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The safety filter between policy and arm: the commanded motion never leaves its bounds.

It keeps a way out open. From every state it knows a braking motion that respects all bounds to
the end; a step is the policy's motion as far as the braking motion *after* it still does, and
the braking motion itself in the worst case. Braking is a linear law, so its whole course follows
from two precomputed matrices, and all bounds are checked on it at once.
"""

from dataclasses import dataclass

import numpy as np

from dysl_vla_ros.control.bounds import SafetyBounds
from dysl_vla_ros.control.rotations import quaternion_from_rotation_vector, rotate
from dysl_vla_ros.control.target import Pose
from dysl_vla_ros.errors import ContractError

_AXES = ('x', 'y', 'z', 'roll axis', 'pitch axis', 'yaw axis')
_SETTLED = 1e-8     # braking is followed until its rest is smaller than this
_CONE_TRIES = 16
# Kept from every bound (m, rad, share of a rate), so that rounding cannot cross it.
_MARGIN = 1e-6


@dataclass(frozen=True)
class FilteredMotion:
    """One control step that may be sent.

    Attributes:
        shift_m: (3,) translation of the commanded pose.
        turn_rad: (3,) rotation vector about the frame's axes.
        pose: The commanded pose after the step.
        reasons: One line per bound that acted; empty when the motion is exactly the wish.
    """

    shift_m: np.ndarray
    turn_rad: np.ndarray
    pose: Pose
    reasons: tuple[str, ...]


class _Braking:
    """A critically damped return to rest of (velocity, acceleration), per axis the same."""

    def __init__(self, speed: np.ndarray, acceleration: np.ndarray, jerk: np.ndarray,
                 dt_s: float) -> None:
        """Tune it so that stopping from full speed keeps acceleration and jerk; all (4,)."""
        quickest = np.minimum(np.sqrt(jerk * dt_s**2 / speed), np.e * acceleration * dt_s / speed)
        pole = 1.0 - 0.9 * min(1.0, float(quickest.min()))
        k_v, k_a = (1 - pole) ** 2 / dt_s**2, (1 - pole**2) / dt_s
        step = np.array([[1 - k_v * dt_s**2, dt_s - k_a * dt_s**2], [-k_v * dt_s, 1 - k_a * dt_s]])
        state, states, rest = np.eye(2), [np.eye(2)], 1.0
        while rest > _SETTLED and len(states) < 4000:
            state = step @ state
            states.append(state)
            rest = float(np.abs(state).max()) * max(1.0, dt_s)
        self._states = np.array(states)                                  # (K + 1, 2, 2)
        self._jerks = np.array([-k_v, -k_a]) @ self._states              # (K + 1, 2)
        self._shifts = dt_s * np.cumsum(self._states[1:, 0], axis=0)     # (K, 2)
        # How far the order of turning may matter: the sum of |w_i x w_j| per |w x a|.
        w = dt_s * self._states[1:, 0]
        self.commutator = float(np.abs(np.triu(np.outer(w[:, 0], w[:, 1])
                                               - np.outer(w[:, 1], w[:, 0]), 1)).sum())

    def first(self, v: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Velocity after one step of braking from velocity and acceleration (3,)."""
        return self._states[1, 0, 0] * v + self._states[1, 0, 1] * a

    def course(self, v: np.ndarray, a: np.ndarray,
               ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Velocity (K + 1, 3), acceleration, jerk, and displacement (K, 3) until rest."""
        state = np.stack([v, a])                                         # (2, 3)
        return (self._states[:, 0] @ state, self._states[:, 1] @ state, self._jerks @ state,
                self._shifts @ state)


class SafetyFilter:
    """Filters one motion per control step. Not thread-safe; no clock: a step lasts ``dt_s``."""

    def __init__(self, bounds: SafetyBounds, dt_s: float) -> None:
        """Prepare for control steps of ``dt_s`` seconds."""
        if not dt_s > 0:
            raise ValueError(f'expected dt_s > 0, got {dt_s}')
        self._dt = dt_s
        limits = np.array([bounds.linear_speed_m_s, bounds.angular_speed_rad_s,
                           bounds.linear_acceleration_m_s2, bounds.angular_acceleration_rad_s2,
                           bounds.linear_jerk_m_s3, bounds.angular_jerk_rad_s3])
        # (speed, acceleration, jerk; linear, angular; x, y, z, norm)
        self._limits = (1 - _MARGIN) * limits.reshape(3, 2, 4)
        speed, acceleration, jerk = self._limits
        self._braking = tuple(_Braking(speed[k], acceleration[k], jerk[k], dt_s) for k in (0, 1))
        self._inner = (bounds.lower_m + _MARGIN, bounds.upper_m - _MARGIN,
                       bounds.cone_angle_rad - _MARGIN)
        self._tool_axis = _unit(bounds.tool_axis)
        self._cone_direction = _unit(bounds.cone_direction)
        self._v, self._a = np.zeros((2, 3)), np.zeros((2, 3))
        self._pose: Pose | None = None

    @property
    def pose(self) -> Pose | None:
        """The commanded pose, or None before the first anchor."""
        return self._pose

    def anchor(self, pose: Pose) -> None:
        """Start from a measured pose at rest.

        A pose outside the box or the cone is accepted, so that an arm can be driven back in:
        until it is inside, its own place is the bound.
        """
        self._v, self._a, self._pose = np.zeros((2, 3)), np.zeros((2, 3)), pose
        self._lower = np.minimum(self._inner[0], pose.position_m)
        self._upper = np.maximum(self._inner[1], pose.position_m)
        self._cone = max(self._inner[2], self._tilt(pose.quaternion))

    def step(self, wish: Pose) -> FilteredMotion:
        """Go towards the pose that the policy wants after this step, as far as allowed.

        Args:
            wish: Wanted pose; reached exactly (bit for bit) when no bound acts.

        Raises:
            ContractError: If the wish is not finite, or before ``anchor``.
        """
        if self._pose is None:
            raise ContractError('step() before anchor(measured pose)')
        shift, turn = self._pose.step_to(wish)
        wanted = np.stack([shift, turn]) / self._dt                      # (2, 3)
        if not np.isfinite(wanted).all():
            raise ContractError(f'motion: not finite: {wanted.tolist()}')
        reasons: list[str] = []
        velocity = self._speed(wanted, reasons)
        brake = np.stack([b.first(self._v[k], self._a[k]) for k, b in enumerate(self._braking)])
        velocity = self._per_axis(velocity, brake, reasons)
        velocity = self._norms(velocity, brake, reasons)
        velocity = self._in_cone(velocity, brake, reasons)
        pose = self._pose.moved(*(velocity * self._dt)) if reasons else wish
        self._a, self._v, self._pose = (velocity - self._v) / self._dt, velocity, pose
        self._tighten(pose)
        return FilteredMotion(shift if not reasons else velocity[0] * self._dt,
                              turn if not reasons else velocity[1] * self._dt,
                              pose, tuple(reasons))

    # ------------------------------------------------------------------ the bounds, in order
    def _speed(self, wanted: np.ndarray, reasons: list[str]) -> np.ndarray:
        """Scale linear and angular speed by one common factor: the path keeps its shape."""
        amounts = np.concatenate([np.abs(wanted), np.linalg.norm(wanted, axis=1)[:, None]], axis=1)
        ratio = float((amounts / self._limits[0]).max())
        if ratio <= 1.0:
            return wanted
        reasons.append(f'speed: {ratio:.2f} times the limit, scaled down')
        return wanted / ratio

    def _courses(self, velocity: np.ndarray) -> list[list[np.ndarray]]:
        """Braking courses after a step with this velocity, the step itself first.

        Per kind of motion: speed, acceleration, jerk (K + 2, 3) and displacement (K + 1, 3).
        """
        courses = []
        for k, braking in enumerate(self._braking):
            a = (velocity[k] - self._v[k]) / self._dt
            jerk = (a - self._a[k]) / self._dt
            v_k, a_k, j_k, d_k = braking.course(velocity[k], a)
            first = self._dt * velocity[k]
            courses.append([v_k, a_k, np.vstack([jerk, j_k]), np.vstack([first, first + d_k])])
        return courses

    def _per_axis(self, wish: np.ndarray, brake: np.ndarray, reasons: list[str]) -> np.ndarray:
        """Per axis, the largest share of the wish that every bound of that axis allows."""
        result = wish.copy()
        assert self._pose is not None
        room = (self._lower - self._pose.position_m, self._upper - self._pose.position_m)
        for k, (base, full) in enumerate(zip(self._courses(brake), self._courses(wish),
                                             strict=True)):
            shares, names = [], []
            for name, b, f, limit in zip(('speed', 'acceleration', 'jerk'), base[:3], full[:3],
                                         self._limits[:, k, :3], strict=True):
                shares.append(_share(b, f - b, -limit, limit))
                names.append(name)
            if k == 0:
                shares.append(_share(base[3], full[3] - base[3], *room))
                names.append('workspace')
            table = np.array(shares)                                     # (bounds, 3)
            share = table.min(axis=0)
            for axis in np.flatnonzero(share < 1.0):
                name = names[int(table[:, axis].argmin())]
                reasons.append(f'{name}: {_AXES[3 * k + axis]} held back')
                result[k, axis] = brake[k, axis] + share[axis] * (wish[k, axis] - brake[k, axis])
        return result

    def _norms(self, wish: np.ndarray, brake: np.ndarray, reasons: list[str]) -> np.ndarray:
        """One common share of the wish, so that the norms keep their limits as well."""
        share, reason = 1.0, ''
        for k, (base, full) in enumerate(zip(self._courses(brake), self._courses(wish),
                                             strict=True)):
            for name, b, f, limit in zip(('speed', 'acceleration', 'jerk'), base[:3], full[:3],
                                         self._limits[:, k, 3], strict=True):
                allowed = _norm_share(b, f - b, limit)
                if allowed < share:
                    share, reason = allowed, f'{name}: {("linear", "angular")[k]} norm held back'
        if not reason:
            return wish
        reasons.append(reason)
        return brake + share * (wish - brake)

    def _in_cone(self, wish: np.ndarray, brake: np.ndarray, reasons: list[str]) -> np.ndarray:
        """Turn only as far as the tool's axis stays in its cone."""
        if self._stays_in_cone(wish[1]):
            return wish
        reasons.append('cone: rotation held back')
        low, high = 0.0, 1.0
        for _ in range(_CONE_TRIES):
            middle = (low + high) / 2
            if self._stays_in_cone(brake[1] + middle * (wish[1] - brake[1])):
                low = middle
            else:
                high = middle
        return np.stack([wish[0], brake[1] + low * (wish[1] - brake[1])])

    def _stays_in_cone(self, angular: np.ndarray) -> bool:
        assert self._pose is not None
        braking = self._braking[1]
        a = (angular - self._v[1]) / self._dt
        turns = np.vstack([np.zeros(3), braking.course(angular, a)[3]])  # (K + 1, 3)
        # The step first, then the course after it as one rotation each; turning about changing
        # axes differs from that by at most the commutators.
        margin = braking.commutator * float(np.linalg.norm(np.cross(angular, a)))
        angle = np.linalg.norm(turns, axis=1, keepdims=True)
        half = np.where(angle < 1e-12, 0.5, np.sin(angle / 2) / np.maximum(angle, 1e-12))
        after = np.hstack([half * turns, np.cos(angle / 2)])             # (K + 1, 4)
        axis = rotate(self._pose.quaternion, self._tool_axis)
        axis = rotate(quaternion_from_rotation_vector(angular * self._dt), axis)
        cosine = np.clip(rotate(after, axis) @ self._cone_direction, -1.0, 1.0)
        return float(np.arccos(cosine).max()) + margin <= self._cone

    def _tilt(self, quaternion: np.ndarray) -> float:
        cosine = float(rotate(quaternion, self._tool_axis) @ self._cone_direction)
        return float(np.arccos(np.clip(cosine, -1.0, 1.0)))

    def _tighten(self, pose: Pose) -> None:
        """An arm that was outside and comes back may not leave again."""
        lower, upper, cone = self._inner
        self._lower = np.minimum(lower, np.maximum(self._lower, pose.position_m))
        self._upper = np.maximum(upper, np.minimum(self._upper, pose.position_m))
        self._cone = max(cone, min(self._cone, self._tilt(pose.quaternion) + 1e-9))


def _unit(vector: tuple[float, ...]) -> np.ndarray:
    return np.array(vector) / np.linalg.norm(vector)


def _share(base: np.ndarray, change: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Per column the largest s in [0, 1] with low <= base + s * change <= high in every row."""
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        up = np.where(change > 0, (high - base) / change, np.inf)
        down = np.where(change < 0, (low - base) / change, np.inf)
    return np.clip(np.minimum(up, down).min(axis=0), 0.0, 1.0)


def _norm_share(base: np.ndarray, change: np.ndarray, limit: float) -> float:
    """The largest s in [0, 1] with |base + s * change| <= limit in every row."""
    if (np.linalg.norm(base + change, axis=1) <= limit).all():
        return 1.0
    a, b = (change**2).sum(axis=1), (base * change).sum(axis=1)
    c = (base**2).sum(axis=1) - limit**2
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        root = (-b + np.sqrt(np.maximum(b**2 - a * c, 0.0))) / a
    return float(np.clip(np.where(a > 0, root, np.inf).min(), 0.0, 1.0))
