# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fault table: what is broken, what the node must do, and the words it must find for it.

A case breaks one thing on a ``FaultRig`` whose arm is moving. Either the arm must stop and move
again when the fault ends (``recovery`` says what it takes), or the fault is harmless and the
motion must go on. In every case no command may be NaN, beyond the bounds or too old.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dysl_vla_ros.nodes.fault_injections import (
    ACTIVATE,
    CLEANUP,
    CONFIGURE,
    DEACTIVATE,
    Every,
    Swapped,
    alter,
    cancel,
    clock_step,
    depth_nan,
    duplicate,
    ended,
    framed,
    frozen,
    image_of,
    impossible,
    jump,
    killed,
    lost,
    negative_clock,
    out_of_time,
    posed,
    press,
    refused,
    restarted_elsewhere,
    rival,
    shifted,
    told_to,
    topic,
    unknown_words,
    with_fields,
)
from dysl_vla_ros.nodes.fault_rig import PERIOD_S, FaultRig

NO_REPORTS = 'no /diagnostics'  # the words for a process that is gone: nothing speaks for it


@dataclass(frozen=True)
class FaultCase:
    """One line of the table.

    Attributes:
        name: Unique.
        group: camera, pose, clock, model, permission, lifecycle, instruction, process.
        inject: Breaks the rig, and sets ``rig.fault_ns`` if the fault begins later than this. A
            text that it returns is what was said about the fault.
        words: Text that diagnostics must show meanwhile; '' if there is nothing to say.
        stops: Whether the arm must stop.
        recovery: ``input`` (by itself when the fault ends), ``goal`` (a new goal is needed),
            ``reset`` (~/reset), ``enable`` (~/enable), ``activate`` (the node became inactive and
            must be activated) or ``restart``.
        is_intermittent: The fault leaves good observations in between, and each of them may move
            the arm for one step.
    """

    name: str
    group: str
    inject: Callable[[FaultRig], Any]
    words: str
    stops: bool = True
    recovery: str = 'input'
    is_intermittent: bool = False


S, G, P = 'image_static', 'image_gripper', 'ee_pose'
CASES: tuple[FaultCase, ...] = (
    FaultCase('static camera lost', 'camera', alter(S, by=lost), 'image_static: '),
    FaultCase('gripper camera lost', 'camera', alter(G, by=lost), 'image_gripper: '),
    FaultCase('both cameras lost', 'camera', alter(S, G, by=lost), 'image_static: '),
    FaultCase('everything lost', 'camera', alter(S, G, P, by=lost), 'image_static: '),
    FaultCase('static camera frozen, new stamps', 'camera',
              frozen(S), 'frozen'),
    FaultCase('gripper camera frozen, new stamps', 'camera',
              frozen(G), 'frozen'),
    FaultCase('static driver repeats one message', 'camera',
              frozen(S, keeps_stamp=True), 'image_static: '),
    FaultCase('gripper driver repeats one message', 'camera',
              frozen(G, keeps_stamp=True), 'image_gripper: '),
    FaultCase('unknown encoding', 'camera', alter(S, by=with_fields(encoding='nv21')), "'nv21'"),
    FaultCase('empty encoding', 'camera', alter(G, by=with_fields(encoding='')), "encoding ''"),
    FaultCase('depth image full of NaN', 'camera', alter(S, by=depth_nan), '32FC1'),
    FaultCase('image of no pixels', 'camera', alter(S, by=with_fields(height=0)), 'is empty'),
    FaultCase('data cut short', 'camera',
              alter(S, by=lambda m: with_fields(data=bytes(m.data)[:100])(m)),
              '100 bytes'),
    FaultCase('no data at all', 'camera', alter(G, by=with_fields(data=b'')), '0 bytes'),
    FaultCase('row step too short', 'camera', alter(S, by=with_fields(step=5)), 'step 5'),
    FaultCase('row step beyond the data', 'camera', alter(S, by=with_fields(step=4096)),
              'bytes need'),
    FaultCase('YUV of odd width', 'camera', alter(S, by=image_of('yuv422', 2, width=63)),
              'expected even sizes'),
    FaultCase('static camera at 1 Hz', 'camera',
              lambda rig: rig.alter.update({S: Every(30)}), 'image_static: ',
              is_intermittent=True),
    FaultCase('gripper camera 150 ms behind', 'camera', alter(G, by=shifted(-150)), 'differ by'),
    FaultCase('both cameras 500 ms behind', 'camera', alter(S, G, by=shifted(-500)), 'ms old'),
    FaultCase('static camera stamps 10 s ahead', 'camera', alter(S, by=shifted(10_000)),
              'ahead of the clock'),
    FaultCase('gripper camera stamps 700 ms ahead', 'camera', alter(G, by=shifted(700)),
              'ahead of the clock'),
    FaultCase('stamps of zero', 'camera', alter(S, by=shifted(-1e9)), 'image_static: '),
    FaultCase('another camera on the topic', 'camera', alter(S, by=framed('camera_b')),
              "frame_id 'camera_b'"),
    FaultCase('two publishers of the static camera', 'camera', duplicate(S), '2 publishers',
              stops=False),
    FaultCase('two publishers of the gripper camera', 'camera', duplicate(G), '2 publishers',
              stops=False),
    FaultCase('static camera out of order', 'camera',
              lambda rig: rig.alter.update({S: Swapped()}), 'image_static late', stops=False),
    FaultCase('every other frame lost', 'camera',
              lambda rig: rig.alter.update({S: Every(2), G: Every(2), P: Every(2)}),
              'image_static Hz: 1', stops=False),
    FaultCase('another size', 'camera', alter(S, by=image_of('rgb8', 3, width=320, height=240)),
              '', stops=False),
    FaultCase('another lawful encoding', 'camera', alter(S, by=image_of('bgra8', 4)), '',
              stops=False),
    FaultCase('16 bit', 'camera', alter(G, by=image_of('mono16', 1, 2)), '', stops=False),
    FaultCase('Bayer mosaic', 'camera', alter(G, by=image_of('bayer_rggb8', 1)), '', stops=False),
    FaultCase('pose lost', 'pose', alter(P, by=lost), 'ee_pose: '),
    FaultCase('pose of NaN', 'pose', alter(P, by=posed(position_x=float('nan'))), 'not a pose'),
    FaultCase('pose at infinity', 'pose', alter(P, by=posed(position_z=float('inf'))),
              'not a pose'),
    FaultCase('quaternion of zeros', 'pose',
              alter(P, by=posed(orientation_x=0.0, orientation_y=0.0, orientation_z=0.0,
                                  orientation_w=0.0)), 'not a pose'),
    FaultCase('pose in another frame', 'pose', alter(P, by=framed('tool0')), "'tool0'"),
    FaultCase('pose 300 ms behind', 'pose', alter(P, by=shifted(-300)), 'ee_pose: '),
    FaultCase('pose 5 s ahead', 'pose', alter(P, by=shifted(5000)), 'ahead of the clock'),
    FaultCase('pose at 2 Hz', 'pose', lambda rig: rig.alter.update({P: Every(15)}), 'ee_pose: ',
              is_intermittent=True),
    FaultCase('pose frozen with its stamp', 'pose',
              frozen(P, keeps_stamp=True), 'ee_pose: '),
    FaultCase('pose out of order', 'pose', lambda rig: rig.alter.update({P: Swapped()}),
              'ee_pose late', stops=False),
    FaultCase('clock stands still', 'clock', clock_step(0.0), 'clock stands still'),
    FaultCase('clock vanishes', 'clock', clock_step(None), 'clock stands still'),
    FaultCase('clock at a tenth of real time', 'clock', clock_step(PERIOD_S / 10),
              'clock rate: 0.1', stops=False),
    FaultCase('clock jumps back 10 s', 'clock', jump(-10.0), 'jumps', stops=False),
    FaultCase('clock jumps back an hour', 'clock', jump(-3600.0), 'jumps', stops=False),
    FaultCase('clock jumps ahead 10 s', 'clock', jump(10.0), 'jumped ahead by 10', stops=False),
    FaultCase('clock jumps ahead a day', 'clock', jump(86_400.0), 'jumped ahead by 86400',
              stops=False),
    FaultCase('model raises', 'model', told_to('exception'), 'scripted exception',
              recovery='activate'),
    FaultCase('model out of memory', 'model', told_to('memory'), 'out of memory',
              recovery='activate'),
    FaultCase('model returns NaN', 'model', told_to('nan'), 'not finite', recovery='activate'),
    FaultCase('model returns infinity', 'model', told_to('inf'), 'not finite',
              recovery='activate'),
    FaultCase('model returns six values', 'model', told_to('shape'), 'expected shape',
              recovery='activate'),
    FaultCase('model takes 600 ms', 'model', told_to('slow'), 'the policy is slow',
              recovery='goal'),
    FaultCase('model returns a million', 'model', told_to('huge'), 'limited by', stops=False,
              recovery='goal'),
    FaultCase('model runs into the corner', 'model', told_to('wall'), 'limited by', stops=False,
              recovery='goal'),
    FaultCase('gripper chatters', 'model', told_to('chatter'), 'limited by gripper', stops=False,
              recovery='goal'),
    FaultCase('policy does not know the words', 'instruction', unknown_words,
              'not in the vocabulary', recovery='goal'),
    FaultCase('deadman released', 'permission', press(False), 'deadman released'),
    FaultCase('deadman silent', 'permission', press(None), 'deadman silent'),
    FaultCase('outputs disabled', 'permission', lambda rig: rig.enable(False), 'dry run',
              recovery='enable'),
    FaultCase('goal cancelled', 'permission', cancel, 'CANCELED', recovery='goal'),
    FaultCase('node deactivated', 'lifecycle', lambda rig: rig.transition(DEACTIVATE), 'inactive',
              recovery='activate'),
    FaultCase('activated twice', 'lifecycle', impossible(ACTIVATE), 'skipped callback',
              stops=False),
    FaultCase('configured while active', 'lifecycle', impossible(CONFIGURE), 'skipped callback',
              stops=False),
    FaultCase('cleaned up while active', 'lifecycle', impossible(CLEANUP), 'skipped callback',
              stops=False),
    FaultCase('negative clock', 'clock', negative_clock, 'skipped callback', stops=False),
    FaultCase('empty goal', 'instruction', refused(''), 'empty', stops=False),
    FaultCase('goal of blanks', 'instruction', refused('  \t '), 'empty', stops=False),
    FaultCase('goal of 100 kB', 'instruction', refused('open ' * 20_000), 'characters',
              stops=False),
    FaultCase('goal with control characters', 'instruction', refused('open\x1b[2J drawer'),
              'control', stops=False),
    FaultCase('goal with a negative time limit', 'instruction',
              refused('open', max_seconds=-1.0), 'max_seconds', stops=False),
    FaultCase('goal with a time limit of NaN', 'instruction',
              refused('open', max_seconds=float('nan')), 'max_seconds', stops=False),
    FaultCase('goal that is not ASCII', 'instruction', lambda rig: rig.goal('öffne 抽屉 🙂'),
              'öffne', stops=False),
    FaultCase('goal preempts goal', 'instruction', lambda rig: rig.goal('another'), 'PREEMPTED',
              stops=False),
    FaultCase('time limit reached', 'instruction', out_of_time, 'TIME_LIMIT', recovery='goal'),
    FaultCase('topic while a goal runs', 'instruction', topic('intruder'), 'a goal owns',
              stops=False),
    FaultCase('empty topic while a goal runs', 'instruction', topic(''), 'a goal owns',
              stops=False),
    FaultCase('100 kB topic while a goal runs', 'instruction', topic('x' * 100_000), 'a goal owns',
              stops=False),
    FaultCase('policy node killed', 'process', killed, NO_REPORTS, recovery='restart'),
    FaultCase('policy node ended by SIGTERM', 'process', ended, NO_REPORTS, recovery='restart'),
    FaultCase('policy node restarted in another DDS domain', 'process', restarted_elsewhere,
              NO_REPORTS, recovery='restart'),
    FaultCase('all inputs move to another DDS domain', 'process', FaultRig.leave_domain,
              'clock stands still'),
    FaultCase('another publisher commands the arm', 'permission', rival, 'another publisher',
              recovery='reset'),
)
