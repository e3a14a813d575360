# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The play table at run time: doors, button with LED, switch with bulb.

Source: design/calvin.md sections 2.4 and 3.4.
"""

from typing import Any

import pybullet

from dysl_vla_ros.sim.physics import MOTOR_SHARE, Physics
from dysl_vla_ros.sim.scene import BUTTON_RANGE_M, SWITCH_RANGE_M, SceneSpec

BUTTON, SWITCH, SLIDE, DRAWER, LED, BULB = range(6)
MOTOR_FORCE = 4.0
BUTTON_THRESHOLD_M = BUTTON_RANGE_M / 2
SWITCH_THRESHOLD_M = SWITCH_RANGE_M / 2
_WHITE = (1, 1, 1, 1)
_GREEN = (0, 1, 0, 1)
_YELLOW = (1, 1, 0, 1)


class Table:
    """Furniture state machine of one scene in one PyBullet client."""

    def __init__(self, client: int, urdf_path: str, scaling: float, scene: SceneSpec,
                 led_survives_reset: bool, physics: Physics) -> None:
        """Load the table. ``led_survives_reset`` False gives calvin_env 1431a46's button."""
        self.client = client
        self.scene = scene
        self.led_survives_reset = led_survives_reset
        self.uid: int = pybullet.loadURDF(urdf_path, (0, 0, 0), (0, 0, 0, 1),
                                          globalScaling=scaling, physicsClientId=client)
        self.links = {'base_link': -1}
        for joint in range(pybullet.getNumJoints(self.uid, physicsClientId=client)):
            info = pybullet.getJointInfo(self.uid, joint, physicsClientId=client)
            self.links[info[12].decode()] = info[0]
        self._led = False
        self._bulb = False
        self._button_is_on = False
        self._switch_is_on = False
        self._was_pressed = False
        pybullet.setJointMotorControl2(
            self.uid, BUTTON, pybullet.POSITION_CONTROL, targetPosition=0, force=MOTOR_FORCE,
            positionGain=physics.share(MOTOR_SHARE), physicsClientId=client)
        for joint in (SWITCH, SLIDE, DRAWER):
            pybullet.setJointMotorControl2(
                self.uid, joint, pybullet.VELOCITY_CONTROL, force=MOTOR_FORCE,
                physicsClientId=client)

    def joint(self, index: int) -> float:
        """Position of a joint in metres."""
        return float(pybullet.getJointState(self.uid, index, physicsClientId=self.client)[0])

    def measure(self) -> list[float]:
        """Positions of button, switch, slide and drawer in metres."""
        states = pybullet.getJointStates(self.uid, (BUTTON, SWITCH, SLIDE, DRAWER),
                                         physicsClientId=self.client)
        return [state[0] for state in states]

    def reset(self, slide: float = 0.0, drawer: float = 0.0, button: float = 0.0,
              switch: float = 0.0, bulb: float = 0.0, led: float = 0.0) -> None:
        """Set joints (metres) and lights (0 or 1)."""
        self._set(SLIDE, slide)
        self._set(DRAWER, drawer)
        self._set_lights(bulb=bool(bulb), led=bool(led))
        self._set(BUTTON, button)
        self._button_is_on = self._led and self.led_survives_reset
        self._set(SWITCH, switch)
        # CALVIN forgets the switch's logic state here: the bulb follows at the next change.
        self._switch_is_on = False

    def _set(self, joint: int, value: float) -> None:
        pybullet.resetJointState(self.uid, joint, value, 0, physicsClientId=self.client)

    def _set_lights(self, bulb: bool, led: bool) -> None:
        self._bulb, self._led = bulb, led
        for link, colour in ((BULB, _YELLOW if bulb else _WHITE),
                             (LED, _GREEN if led else _WHITE)):
            pybullet.changeVisualShape(self.uid, link, rgbaColor=colour,
                                       physicsClientId=self.client)

    def update(self) -> None:
        """Advance button and switch logic once per control step, after the physics."""
        button, switch, _, _ = self.measure()
        is_pressed = button > BUTTON_THRESHOLD_M
        led, bulb = self._led, self._bulb
        if is_pressed and not self._was_pressed:
            self._button_is_on = not self._button_is_on
            led = self._button_is_on
        self._was_pressed = is_pressed
        switch_is_on = switch > SWITCH_THRESHOLD_M
        if switch_is_on != self._switch_is_on:
            self._switch_is_on = switch_is_on
            bulb = switch_is_on
        if (led, bulb) != (self._led, self._bulb):
            self._set_lights(bulb=bulb, led=led)

    def observe(self, joints: list[float]) -> list[float]:
        """First six entries of ``scene_obs``: slide, drawer, button, switch, bulb, LED."""
        button, switch, slide, drawer = joints
        return [slide, drawer, button, switch, float(self._bulb), float(self._led)]

    def info(self, joints: list[float]) -> dict[str, Any]:
        """CALVIN's ``scene_info`` entries of the table."""
        contacts = pybullet.getContactPoints(bodyA=self.uid, physicsClientId=self.client)
        button, switch, slide, drawer = joints
        return {
            'fixed_objects': {'table': {'uid': self.uid, 'links': dict(self.links),
                                        'contacts': contacts}},
            'doors': {'base__slide': {'current_state': slide},
                      'base__drawer': {'current_state': drawer}},
            'buttons': {'base__button': {'joint_state': button,
                                         'logical_state': int(self._button_is_on)}},
            'switches': {'base__switch': {'joint_state': switch,
                                          'logical_state': int(self._switch_is_on)}},
            'lights': {'lightbulb': {'logical_state': int(self._bulb)},
                       'led': {'logical_state': int(self._led)}},
        }

    def memory(self) -> dict[str, bool]:
        """What a physics snapshot does not hold: lights and logic states."""
        return {'bulb': self._bulb, 'led': self._led, 'button_is_on': self._button_is_on,
                'switch_is_on': self._switch_is_on, 'was_pressed': self._was_pressed}

    def recall(self, memory: dict[str, bool]) -> None:
        """Return to what ``memory`` gave."""
        self._set_lights(bulb=memory['bulb'], led=memory['led'])
        self._button_is_on = memory['button_is_on']
        self._switch_is_on = memory['switch_is_on']
        self._was_pressed = memory['was_pressed']
