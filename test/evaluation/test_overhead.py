# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node's own time: from lists of moments to milliseconds, nothing counted that is not its."""

import pytest

from dysl_vla_ros.evaluation.overhead import overhead_summary, step_times

MS = 1_000_000
STREAMS = ('arrivals', 'ticks', 'acts', 'stats', 'actions')


def moments(first=0, ticks=()):
    """Images at 0.5 and 1 ms (callbacks 2 and 3 ms), model 5 to 15 ms, action at 16 ms."""
    return {
        'arrivals': [('static', 100 + first, MS // 2, 2 * MS),
                     ('gripper', 100 + first, 1 * MS, 3 * MS)],
        'ticks': list(ticks), 'acts': [(100 + first, 5 * MS, 15 * MS, 9 * MS, 0.5)],
        'stats': [(100 + first, {'image_static': 100 + first, 'image_gripper': 100 + first})],
        'actions': [(100 + first, 16 * MS, 40 * MS)]}


def test_the_last_needed_image_starts_the_clock_and_the_model_is_left_out():
    step, = step_times(moments())
    assert step.overhead_ms == pytest.approx(16 - 1 - 10)
    assert (step.take_ms, step.hand_over_ms, step.publish_ms) == pytest.approx((2, 2, 1))
    assert step.overhead_ms == pytest.approx(step.take_ms + step.hand_over_ms + step.publish_ms)
    assert step.tick_wait_ms == 0


def test_waiting_for_the_tick_is_not_overhead_but_a_late_tick_is():
    step, = step_times(moments(ticks=[(int(3.5 * MS), 4 * MS)]))
    assert step.tick_wait_ms == pytest.approx(2.5)
    assert step.take_ms == pytest.approx(0.5)  # due at 3.5, called at 4
    assert step.overhead_ms == pytest.approx(16 - 3.5 - 10)


def test_an_image_that_comes_after_the_model_began_is_not_needed():
    times = moments()
    times['arrivals'].append(('static', 100, 6 * MS, 7 * MS))
    assert step_times(times) == step_times(moments())


def test_images_of_different_stamps_are_found_by_the_statistics():
    times = moments()
    times['arrivals'] = [('static', 90, 4 * MS, 4 * MS), ('gripper', 100, 1 * MS, 3 * MS)]
    assert step_times(times)[0].overhead_ms == pytest.approx(5)  # the static one is not named
    times['stats'] = [(100, {'image_static': 90, 'image_gripper': 100})]
    assert step_times(times)[0].overhead_ms == pytest.approx(2)


def test_an_action_sent_again_or_without_a_model_call_is_left_out():
    times = moments()
    times['actions'] += [(100, 99 * MS, 0), (777, 99 * MS, 0)]
    assert len(step_times(times)) == 1


def test_the_summary_leaves_the_warm_up_out_and_takes_the_model_off_the_processor_time():
    times = {key: [] for key in STREAMS}
    for index in range(4):
        for key, values in moments(index).items():
            times[key] += values
    times['actions'] = [(100 + i, (16 + 100 * i) * MS, (40 + 19 * i) * MS) for i in range(4)]
    found = overhead_summary(step_times(times), warm_up=1)
    assert found['steps'] == 3
    assert found['rate_hz'] == pytest.approx(10)
    assert found['model_cpu_share'] == pytest.approx(0.09)
    assert found['ros_cpu_share'] == pytest.approx(0.10)
    assert overhead_summary([], 0)['overhead_ms']['count'] == 0
