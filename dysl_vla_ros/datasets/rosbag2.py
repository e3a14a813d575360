# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A demonstration as a rosbag2 recording: the topics and stamps of the simulation bridge.

What the nodes would have recorded had the expert driven: per control step the clock, one
observation and the action with its stamp; the latched instruction and task status around them.
"""

from pathlib import Path
import tempfile

import numpy as np

from dysl_vla_ros.bags import messages
from dysl_vla_ros.bags.writer import BagWriter, Storage
from dysl_vla_ros.control.action_spec import CONTROL_STEP_NS, SIMULATED_START_NS
from dysl_vla_ros.datasets.demonstrations import Demonstration
from dysl_vla_ros.errors import DatasetError

# Values of TaskStatus.state.
_RUNNING, _SUCCEEDED, _FAILED = 1, 2, 3


def write_bag(demonstration: Demonstration, folder: Path, storage: Storage = 'mcap') -> int:
    """Write one bag; it appears when it is complete.

    Args:
        demonstration: What to write.
        folder: New folder of the bag.
        storage: File format.

    Returns:
        Messages written.

    Raises:
        DatasetError: If ``folder`` exists.
        FrameError: If a frame cannot be read; no bag is left behind.
    """
    if folder.exists():
        raise DatasetError(f'{folder}: exists; choose another output folder or delete it')
    # Of the same name, since a bag's files carry their folder's.
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.partial_', dir=folder.parent) as partial:
        count = _write(demonstration, Path(partial) / folder.name, storage)
        (Path(partial) / folder.name).rename(folder)
    return count


def _write(demonstration: Demonstration, folder: Path, storage: Storage) -> int:
    stamp, count = SIMULATED_START_NS, 0
    custom = {'task': demonstration.task, 'source': demonstration.name}
    with BagWriter(folder, storage, custom=custom) as bag:
        for step, frame in enumerate(demonstration.frames()):
            stamp = SIMULATED_START_NS + step * CONTROL_STEP_NS
            bag.clock(stamp)
            if step == 0:
                bag.instruction(demonstration.sentence, stamp)
                _status(bag, demonstration, _RUNNING, stamp, 0)
            bag.observation(frame['rgb_static'], frame['rgb_gripper'], frame['robot_obs'], stamp)
            bag.action(np.clip(frame['rel_actions'], -1, 1), stamp, step)
            count += 7 if step else 9
        stamp += CONTROL_STEP_NS
        bag.clock(stamp)
        _status(bag, demonstration, _SUCCEEDED if demonstration.success else _FAILED, stamp,
                demonstration.length)
    return count + 2


def _status(bag: BagWriter, demonstration: Demonstration, state: int, stamp: int,
            step: int) -> None:
    bag.write('task_status', messages.task_status(
        stamp, state=state, episode_id=demonstration.name, task=demonstration.task,
        instruction=demonstration.sentence, subtask_index=0, subtask_count=1, step=step,
        max_steps=demonstration.length, succeeded=int(state == _SUCCEEDED)), stamp)
