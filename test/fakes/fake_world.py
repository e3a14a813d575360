# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A world without physics: numbered images, and a log of every action executed."""

import json
import os

import numpy as np


class FakeWorld:
    """The red channel counts steps; a task needs ``DYSL_FAKE_TASK_STEPS`` steps (default 5)."""

    def __init__(self, log_path=None):
        self._log_path = log_path
        self._count = 0

    def reset(self, robot_obs=None, scene_obs=None):
        self._count = 0
        self._log('reset')
        return self.get_obs()

    def step(self, action):
        assert np.isfinite(action).all()
        assert action[6] in (-1.0, 1.0)
        self._count += 1
        self._log([float(a) for a in action])
        return self.get_obs(), 0.0, False, self.get_info()

    def get_obs(self):
        image = np.full((200, 200, 3), self._count % 256, np.uint8)
        robot_obs = np.zeros(15)
        robot_obs[14] = 1.0
        return {'rgb_obs': {'rgb_static': image, 'rgb_gripper': image[:84, :84]},
                'depth_obs': {}, 'robot_obs': robot_obs, 'scene_obs': np.zeros(24)}

    def get_info(self):
        return {'count': self._count}

    def close(self):
        self._log('close')

    def _log(self, entry):
        if self._log_path:
            with open(self._log_path, 'a', encoding='utf-8') as file:
                file.write(json.dumps(entry) + '\n')


class FakeOracle:
    """A task is done after a number of steps; 'impossible' never is."""

    def __init__(self, steps):
        self._steps = steps

    def get_task_info_for_set(self, start_info, end_info, tasks):
        is_done = end_info['count'] - start_info['count'] >= self._steps
        return {t for t in tasks if is_done and t != 'impossible'}


def create(parameters):
    steps = int(os.environ.get('DYSL_FAKE_TASK_STEPS', '5'))
    return FakeWorld(os.environ.get('DYSL_FAKE_LOG')), FakeOracle(steps)
