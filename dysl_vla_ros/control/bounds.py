# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The bounds of motion on a robot. None has a default: whoever runs an arm writes them down."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from dysl_vla_ros.errors import ConfigError

RATES = ('linear_speed_m_s', 'angular_speed_rad_s', 'linear_acceleration_m_s2',
         'angular_acceleration_rad_s2', 'linear_jerk_m_s3', 'angular_jerk_rad_s3')
# Larger than any arm does: a bound beyond these never engages, so it protects nothing.
_NEVER_ENGAGES = dict(zip(RATES, (3.0, 6.0, 30.0, 100.0, 10_000.0, 50_000.0), strict=True))
_LARGEST_BOX_M = 3.0


@dataclass(frozen=True)
class SafetyBounds:
    """Bounds on the commanded motion of the tool centre point, in the command frame.

    Attributes:
        linear_speed_m_s: Four values: x, y, z and the norm of the vector.
        angular_speed_rad_s: The same about x, y, z.
        linear_acceleration_m_s2: As above.
        angular_acceleration_rad_s2: As above.
        linear_jerk_m_s3: As above.
        angular_jerk_rad_s3: As above.
        workspace_min_m: (3,) lower corner of the box for the commanded position.
        workspace_max_m: (3,) upper corner.
        min_height_m: Lowest z; raises the floor of the box, apart because a table is no corner.
        tool_axis: (3,) axis of the tool that must point along ``cone_direction``, tool frame.
        cone_direction: (3,) direction in the command frame.
        cone_angle_rad: Largest angle between both.
    """

    linear_speed_m_s: tuple[float, ...]
    angular_speed_rad_s: tuple[float, ...]
    linear_acceleration_m_s2: tuple[float, ...]
    angular_acceleration_rad_s2: tuple[float, ...]
    linear_jerk_m_s3: tuple[float, ...]
    angular_jerk_rad_s3: tuple[float, ...]
    workspace_min_m: tuple[float, ...]
    workspace_max_m: tuple[float, ...]
    min_height_m: float
    tool_axis: tuple[float, ...]
    cone_direction: tuple[float, ...]
    cone_angle_rad: float

    def __post_init__(self) -> None:
        """Raise ConfigError naming every bound that is missing, wrong or never engages."""
        problems = []
        for field in dataclasses.fields(self):
            if not np.isfinite(getattr(self, field.name)).all():
                problems.append(f'{field.name}: not finite')
        for name in RATES:
            values = getattr(self, name)
            if len(values) != 4 or min(values, default=0.0) <= 0:
                problems.append(f'{name}: expected four values > 0 (x, y, z, norm), got '
                                f'{list(values)}')
            elif values[3] > _NEVER_ENGAGES[name]:
                problems.append(f'{name}: a norm of {values[3]} never engages; expected at most '
                                f'{_NEVER_ENGAGES[name]:g}')
        if len(self.workspace_min_m) != 3 or len(self.workspace_max_m) != 3:
            problems.append('workspace_min_m, workspace_max_m: expected three values each')
        else:
            size = np.subtract(self.workspace_max_m, self.workspace_min_m)
            if (size <= 0).any() or (size > _LARGEST_BOX_M).any():
                problems.append(f'workspace_min_m, workspace_max_m: a box of {size.tolist()} m; '
                                f'expected sides in (0, {_LARGEST_BOX_M:g}]')
            elif not self.workspace_min_m[2] <= self.min_height_m < self.workspace_max_m[2]:
                problems.append(f'min_height_m: {self.min_height_m} is not inside the box; '
                                'repeat workspace_min_m[2] if there is nothing to add')
        for name in ('tool_axis', 'cone_direction'):
            axis = getattr(self, name)
            if len(axis) != 3 or np.linalg.norm(axis) < 1e-6:
                problems.append(f'{name}: expected an axis of three values, got {list(axis)}')
        if not 0 < self.cone_angle_rad < np.pi:
            problems.append(f'cone_angle_rad: {self.cone_angle_rad} never engages; expected more '
                            'than 0 and less than pi')
        if problems:
            raise ConfigError('safety bounds: ' + '; '.join(problems))

    @property
    def lower_m(self) -> np.ndarray:
        """(3,) lower corner with the minimum height taken in."""
        x, y, z = self.workspace_min_m
        return np.array([x, y, max(z, self.min_height_m)])

    @property
    def upper_m(self) -> np.ndarray:
        """(3,) upper corner."""
        return np.array(self.workspace_max_m)
