# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The eight furniture tasks: doors, switch and button, pushed with closed fingers.

A state-feedback law, not a script of way-points: every call looks at the current pose and
joint values only, so it recovers from disturbances and labels any state a learner visits.
Each task is one ``Contact``: where the tool must be, from which side it comes, where it pushes.
"""

from dataclasses import dataclass

import numpy as np

from dysl_vla_ros.control.action_spec import MAX_POSITION_STEP_M, MAX_ROTATION_STEP_RAD
from dysl_vla_ros.sim.expert.view import View

NOMINAL_EULER = np.array([np.pi, 0.0, np.pi / 2])
# Fingers point forward and down: the switch is out of reach with the tool pointing down.
_SWITCH_PITCH_RAD = -0.9
_SWITCH_EULER = np.array([np.pi, _SWITCH_PITCH_RAD, np.pi / 2])
_FINGER_AXIS = np.array([0.0, -np.sin(_SWITCH_PITCH_RAD), -np.cos(_SWITCH_PITCH_RAD)])
_SLANT = np.array([0.0, 0.5, 0.866])
_POSITION_GAIN = 0.35
_ROTATION_GAIN = 0.35
_FULL_SPEED = 0.85
_PUSH_SPEED = 0.8
# The contact point moves with the joint: further along the push than this is beyond the handle.
_MAX_LEAD_M = 0.06
_DOWN, _FORWARD = np.array([0.0, 0.0, -1.0]), np.array([0.0, 1.0, 0.0])
_HANDLE_Y_M, _HANDLE_TCP_Z_M = 0.010, 0.575


@dataclass(frozen=True)
class Contact:
    """How a task touches the world; metres, world frame, all for the tool centre point.

    Attributes:
        point: Where pushing starts.
        approach: Unit vector along which the tool comes to ``point``.
        push: Unit vector of the push.
        standoff_m: How far before ``point`` the tool travels.
        reach_m: Pushing continues while the tool is within this distance of the push line.
    """

    point: np.ndarray
    approach: np.ndarray
    push: np.ndarray
    standoff_m: float
    reach_m: float


class FurnitureLaw:
    """State feedback for one furniture task; no memory but "lift off the button first"."""

    def __init__(self, task: str, view: View) -> None:
        """Start a task at the current state."""
        self._task, self._scene = task, view.scene
        height_above_button = view.tcp[2] - self._scene.button_xyz[2]
        near = np.linalg.norm(view.tcp[:2] - self._scene.button_xyz[:2]) < 0.05
        # A pressed button toggles on its next rising edge: lift off first.
        self._must_release = task.endswith('_led') and bool(near) and height_above_button < 0.06

    def action(self, view: View) -> np.ndarray:
        """Return the (7,) relative action for the current state."""
        wanted = _SWITCH_EULER if self._task.endswith('_lightbulb') else NOMINAL_EULER
        turn = (wanted - view.euler + np.pi) % (2 * np.pi) - np.pi
        velocity = self._velocity(view, is_turned=bool(np.abs(turn).max() < 0.25))
        action = np.empty(7)
        action[:3] = np.clip(velocity, -1.0, 1.0)
        action[3:6] = np.clip(_ROTATION_GAIN * turn / MAX_ROTATION_STEP_RAD, -1.0, 1.0)
        action[6] = -1.0
        return action

    def contact(self, view: View) -> Contact:
        """Contact geometry of the task for the current joint values."""
        scene = self._scene
        slide, drawer, switch = view.slide, view.drawer, view.switch
        if self._task == 'open_drawer':  # hook the finger tips behind the handle bar
            return Contact(np.array([scene.drawer_x - 0.03, -0.212 - drawer, 0.375]), _DOWN,
                           -_FORWARD, 0.11, 0.03)
        if self._task == 'close_drawer':  # push the bar from the front
            return Contact(np.array([scene.drawer_x - 0.03, -0.285 - drawer, 0.372]), _DOWN,
                           _FORWARD, 0.11, 0.03)
        if self._task == 'move_slider_left':
            return Contact(np.array([scene.slide_x + 0.1608 - slide + 0.034, _HANDLE_Y_M,
                                     _HANDLE_TCP_Z_M]), _FORWARD, np.array([-1.0, 0, 0]),
                           0.07, 0.035)
        if self._task == 'move_slider_right':
            return Contact(np.array([scene.slide_x + 0.1192 - slide - 0.034, _HANDLE_Y_M,
                                     _HANDLE_TCP_Z_M]), _FORWARD, np.array([1.0, 0, 0]),
                           0.07, 0.035)
        if self._task == 'turn_on_lightbulb':  # fingers under the lever, push up the slant
            touch = np.array([scene.switch_x, 0.005, 0.502]) + switch * _SLANT
            return Contact(touch - 0.015 * _SLANT, _FINGER_AXIS, _SLANT, 0.07, 0.03)
        if self._task == 'turn_off_lightbulb':  # fingers on the lever, push down the slant
            touch = np.array([scene.switch_x, 0.033, 0.553]) + switch * _SLANT
            return Contact(touch + 0.015 * _SLANT, _FINGER_AXIS, -_SLANT, 0.07, 0.03)
        x, y, z = scene.button_xyz
        return Contact(np.array([x, y, z + 0.055]), _DOWN, _DOWN, 0.04, 0.025)

    def _velocity(self, view: View, is_turned: bool) -> np.ndarray:
        """Commanded step in units of 0.02 m."""
        contact = self.contact(view)
        tcp = view.tcp
        offset = tcp - contact.point
        if self._must_release:
            if offset[2] < 0.02:
                return np.array([0.0, 0.0, _PUSH_SPEED])
            self._must_release = False
        # Distance to the half line that starts at the contact point along the push.
        along = max(0.0, float(offset @ contact.push))
        lateral_to_push = offset - along * contact.push
        if along < _MAX_LEAD_M and is_turned \
                and np.linalg.norm(lateral_to_push) < contact.reach_m \
                and abs(float(lateral_to_push @ contact.approach)) < 0.02:
            correction = -_POSITION_GAIN * lateral_to_push / MAX_POSITION_STEP_M
            return np.clip(correction, -0.6, 0.6) + _PUSH_SPEED * contact.push
        before = -float(offset @ contact.approach)
        lateral = offset + before * contact.approach
        distance = float(np.linalg.norm(lateral))
        is_lined_up = distance < 0.035 and before > -0.015
        escape = self._escape(tcp, contact)
        if escape is not None and not is_lined_up:
            return escape
        wanted = min(max(0.0, (distance - 0.015) * 2.0), contact.standoff_m)
        if not is_turned:
            wanted = contact.standoff_m
        error = (before - wanted) * contact.approach - lateral
        step = _POSITION_GAIN * error / MAX_POSITION_STEP_M
        lag = wanted - before
        if lag > 0.02:  # too close for this lateral error: back off before crossing
            sideways = step - (step @ contact.approach) * contact.approach
            step = step - sideways * min(1.0, (lag - 0.02) / 0.03)
        size = float(np.abs(step).max())
        return step * min(1.0, _FULL_SPEED / size) if size > 0 else step

    def _escape(self, tcp: np.ndarray, contact: Contact) -> np.ndarray | None:
        """Leave the drawer or cabinet zone the way the tool came in."""
        _, y, z = tcp
        if y < -0.17 and z < 0.46 and (abs(contact.point[1] - y) > 0.03
                                       or contact.point[2] > 0.44):
            return np.array([0.0, 0.0, _FULL_SPEED])
        if y > -0.05 and z < 0.635:
            return np.array([0.0, -_FULL_SPEED, 0.3])
        return None
