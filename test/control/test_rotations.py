# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A wrong axis order would still give unit quaternions: checked against known values."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from scipy.spatial.transform import Rotation

from dysl_vla_ros.control.rotations import euler_from_quaternion, quaternion_from_euler

ANGLES = st.tuples(st.floats(-3.1, 3.1), st.floats(-1.5, 1.5), st.floats(-3.1, 3.1))


@given(ANGLES)
def test_the_quaternion_equals_scipys_fixed_axis_xyz(euler):
    expected = Rotation.from_euler('xyz', euler).as_quat()
    found = quaternion_from_euler(np.array(euler))
    assert min(np.abs(found - expected).max(), np.abs(found + expected).max()) < 1e-12


@given(ANGLES)
def test_euler_angles_survive_the_round_trip(euler):
    found = euler_from_quaternion(quaternion_from_euler(np.array(euler)))
    assert np.abs(found - euler).max() < 1e-6


def test_calvins_start_pose():
    # design/interfaces.md section 7.1, printed with four decimals.
    found = quaternion_from_euler(np.array([3.0905, -0.0291, 1.5001]))
    assert np.abs(found - [0.7316, 0.6811, 0.0281, 0.0088]).max() < 1e-4
