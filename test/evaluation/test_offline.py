# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Offline evaluation of real bags. Without these a misaligned observation, a lost reset or a bag
that is only half there could pass as a policy's error.
"""

import csv
import json
import tracemalloc
from typing import get_args

import fake_bag
from fake_bag import FIRST_NS, STEP_NS, write_steps
from fake_policy import FakePolicy
import numpy as np
import pytest

from dysl_vla_ros.bags.reader import BagReader
from dysl_vla_ros.bags.topics import remapped
from dysl_vla_ros.bags.writer import BagWriter
from dysl_vla_ros.cli.offline_eval import TRIGGERS
from dysl_vla_ros.evaluation.manifest import build_manifest
from dysl_vla_ros.evaluation.offline import OfflineEvaluation
from dysl_vla_ros.evaluation.offline_report import write_offline_report
from dysl_vla_ros.evaluation.offline_result import pooled
from dysl_vla_ros.evaluation.replay_events import ReplaySettings, Trigger
from dysl_vla_ros.observation.messages import action_from_message, ns_from_time, stats_to_dict

STAMPS = {name: 0 for name in ('image_static', 'image_gripper')}


class OffsetPolicy(FakePolicy):
    """FakePolicy with x half a unit too large and the gripper always closed."""

    def act(self, observation):
        step = super().act(observation)
        step.action[0] = min(step.action[0] + 0.5, 1.0)
        step.action[6] = -1.0
        return step


@pytest.fixture
def evaluate(tmp_path):
    """evaluate(folder, policies=None, settings=None, ...) -> BagResult."""
    def run(folder, policies=None, settings=None, predictions=None, names=None):
        with OfflineEvaluation(policies or {'fake': FakePolicy()}, tmp_path / 'out', settings,
                               names, predictions) as evaluation:
            return evaluation.evaluate(folder, 'bag')
    return run


def predicted(result, name='fake'):
    return np.asarray(result.policies[name].curves.predicted).reshape(-1, 7)


@pytest.mark.parametrize('trigger', ['auto', 'observation'])
def test_equal_actions_have_no_error(tmp_path, evaluate, trigger):
    folder = fake_bag.make_bag(tmp_path / 'bag', 35)
    result = evaluate(folder, settings=ReplaySettings(trigger))
    assert (result.failure, result.problems, result.trigger) == ('', [], 'observation')
    errors = result.policies['fake'].errors.summary()
    assert errors['count'] == result.policies['fake'].steps == 35
    assert max(errors['mae'].values()) < 1e-7
    assert errors['cosine']['translation'] == pytest.approx(1)
    # Steps 0, 7, 14, 21, 28 were recorded closed, the policy always opens.
    assert errors['gripper']['equal'] == pytest.approx(30 / 35)
    assert errors['gripper']['f1_close'] == 0
    assert errors['gripper']['f1_open'] == pytest.approx(2 * 30 / (30 + 35))


def test_errors_and_drift_have_the_documented_units(tmp_path, evaluate):
    folder = fake_bag.make_bag(tmp_path / 'bag', 60)
    result = evaluate(folder, {'fake': FakePolicy(), 'off': OffsetPolicy()})
    summary = result.policies['off'].summary()
    # Half a unit in x is 10 mm, a third of that as the mean of three axes.
    assert summary['errors']['mae']['x'] == pytest.approx(0.5, abs=1e-6)
    assert summary['errors']['rmse']['x'] == pytest.approx(0.5, abs=1e-6)
    assert summary['errors']['mae_mm'] == pytest.approx(10 / 3, abs=1e-5)
    assert summary['drift']['after_1s']['mm']['p50'] == pytest.approx(300, abs=1e-3)
    assert summary['drift']['at_end']['mm']['max'] == pytest.approx(600, abs=1e-3)
    assert result.policies['fake'].summary()['drift']['at_end']['mm']['max'] < 1e-3


def test_every_instruction_resets_the_policy(tmp_path, evaluate):
    with BagWriter(tmp_path / 'bag') as bag:
        bag.instruction('one', FIRST_NS - 1)
        write_steps(bag, 3)
        bag.instruction('three', FIRST_NS + 3 * STEP_NS - 1)
        write_steps(bag, 3, 3)
        bag.instruction('', FIRST_NS + 6 * STEP_NS - 1)
        write_steps(bag, 2, 6)
    result = evaluate(tmp_path / 'bag')
    assert result.instructions == ['one', 'three']
    assert np.allclose(predicted(result)[:, 1], [0, 1e-3, 2e-3, 0, 1e-3, 2e-3], atol=1e-7)
    assert np.allclose(predicted(result)[:, 2], [0.03] * 3 + [0.05] * 3, atol=1e-7)
    assert result.unpaired == 2  # nothing was to be done after the empty instruction


def test_a_repeated_observation_is_no_step(tmp_path, evaluate):
    with BagWriter(tmp_path / 'bag') as bag:
        bag.instruction('open the drawer', FIRST_NS - 1)
        for step in (0, 1, 1, 2):
            write_steps(bag, 1, step)
    result = evaluate(tmp_path / 'bag')
    assert result.policies['fake'].steps == 3
    assert result.unpaired == 0


def test_recorded_inputs_are_used_again(tmp_path, evaluate):
    """A live node that took every second image and a late gripper image."""
    with BagWriter(tmp_path / 'bag') as bag:
        bag.instruction('open the drawer', FIRST_NS - 1)
        for step in range(10):
            stamp = FIRST_NS + step * STEP_NS
            bag.observation(fake_bag.pixels(step, 16), fake_bag.pixels(step, 8),
                            fake_bag.robot_obs(step), stamp)
            if step % 2:
                bag.stats({'step': step // 2, 'executed': [True], 'executed_total': 1,
                           'groups': (), 'is_verified': False, 'input_stamps_ns': {
                               'image_static': stamp, 'image_gripper': stamp - STEP_NS}},
                          stamp, stamp + 9_000_000)
                bag.action(np.array([step / 255, 1e-3 * (step // 2), 0.15, 0, 0, 0, 1.0]), stamp,
                           step // 2, stamp + 10_000_000)
    result = evaluate(tmp_path / 'bag', settings=ReplaySettings('recorded'))
    assert result.problems == []
    assert result.policies['fake'].errors.summary()['largest'] < 1e-7
    assert result.policies['fake'].steps == 5


def test_a_recorded_step_that_was_not_sent_moves_the_policy_and_nothing_else(tmp_path, evaluate):
    """The node's policy counts its steps; without the unsent one all later ones would differ."""
    with BagWriter(tmp_path / 'bag') as bag:
        bag.instruction('open the drawer', FIRST_NS - 1)
        for step in range(6):
            stamp, is_sent = FIRST_NS + step * STEP_NS, step != 2
            bag.observation(fake_bag.pixels(step, 16), fake_bag.pixels(step, 8),
                            fake_bag.robot_obs(step), stamp)
            bag.stats({'step': step, 'executed': [True], 'executed_total': 1, 'groups': (),
                       'is_verified': False,
                       'limit_reasons': () if is_sent else ('not sent: too old',),
                       'input_stamps_ns': {'image_static': stamp, 'image_gripper': stamp}},
                      stamp, stamp + 9_000_000)
            if is_sent:
                bag.action(np.array([step / 255, 1e-3 * step, 0.15, 0, 0, 0, 1.0]), stamp, step,
                           stamp + 10_000_000)
    result = evaluate(tmp_path / 'bag', settings=ReplaySettings('recorded'))
    assert result.problems == []
    assert result.unpaired == 0
    assert result.policies['fake'].steps == 5
    assert result.policies['fake'].errors.summary()['largest'] < 1e-7


def test_a_recorded_step_waits_for_an_instruction_that_is_shown_a_little_later(
        tmp_path, evaluate):
    """Live, the goal is taken before the topic shows its sentence."""
    with BagWriter(tmp_path / 'bag') as bag:
        for step in range(6):
            stamp = FIRST_NS + step * STEP_NS
            write_steps(bag, 1, step)
            bag.stats({'step': step % 3, 'executed': [True], 'executed_total': 1, 'groups': (),
                       'is_verified': False, 'input_stamps_ns': dict.fromkeys(STAMPS, stamp)},
                      stamp, stamp + 1_000_000)
            if step % 3 == 1:
                bag.instruction('one' if step < 3 else 'three', stamp + 2_000_000)
    result = evaluate(tmp_path / 'bag', settings=ReplaySettings('recorded'))
    assert result.problems == []
    assert result.instructions == ['one', 'three']
    assert np.allclose(predicted(result)[:, 2], [0.03] * 3 + [0.05] * 3, atol=1e-7)


def test_the_timer_takes_the_newest_image_at_each_tick(tmp_path, evaluate):
    folder = fake_bag.make_bag(tmp_path / 'bag', 60)
    result = evaluate(folder, settings=ReplaySettings('timer', rate_hz=10.0))
    images = np.round(predicted(result)[:, 0] * 255)
    assert 17 <= len(images) <= 20  # two seconds
    assert set(np.diff(images)) <= {2, 3, 4}
    assert result.paired_by_age == 0
    assert result.policies['fake'].errors.summary()['mae']['x'] < 1e-7


def test_late_and_spread_inputs_are_refused_with_a_reason(tmp_path, evaluate):
    with BagWriter(tmp_path / 'bag') as bag:
        bag.instruction('open the drawer', FIRST_NS - 1)
        write_steps(bag, 30)
        for step in range(30, 60):  # the gripper camera has stopped
            stamp = FIRST_NS + step * STEP_NS
            from dysl_vla_ros.bags import messages
            bag.write('image_static', messages.image(fake_bag.pixels(step, 16), stamp, 'c'), stamp)
    result = evaluate(tmp_path / 'bag', settings=ReplaySettings('timer'))
    assert any('image_gripper: older' in p or 'image_gripper: stale' in p
               for p in result.problems), result.problems
    assert 25 <= result.policies['fake'].steps <= 36


def test_proprioception_is_read_where_it_is_used(tmp_path, evaluate):
    seen = []

    class Watching(FakePolicy):
        def act(self, observation):
            seen.append(observation.robot_obs)
            return super().act(observation)

    folder = fake_bag.make_bag(tmp_path / 'bag', 4)
    evaluate(folder, {'fake': Watching()}, ReplaySettings(uses_robot_obs=True))
    assert np.allclose(seen, [fake_bag.robot_obs(i) for i in range(4)], atol=1e-9)


# ---------------------------------------------------------------------- damage
@pytest.mark.parametrize(('remap', 'instruction', 'complaint'), [
    ('image_static:=/nowhere', 'x', 'no message on /nowhere'),
    ('image_static:=/image_static', '', 'give one with --instruction'),
])
def test_a_missing_topic_is_named_with_the_remedy(tmp_path, evaluate, remap, instruction,
                                                  complaint):
    folder = fake_bag.make_bag(tmp_path / 'bag', 3, instruction='')
    result = evaluate(folder, names=remapped([remap]),
                      settings=ReplaySettings(instruction=instruction))
    assert complaint in result.failure
    assert evaluate(tmp_path / 'none').failure


def test_an_instruction_can_be_given_and_commands_may_be_missing(tmp_path, evaluate):
    folder = fake_bag.make_bag(tmp_path / 'bag', 5, instruction='')
    result = evaluate(folder, settings=ReplaySettings(instruction='open the drawer'),
                      names=remapped(['action:=/nothing']))
    assert 'no recorded command on /nothing' in result.problems[0]
    assert result.policies['fake'].steps == 5
    assert result.policies['fake'].errors.summary()['mae'] is None


@pytest.mark.parametrize('offset_s', [-20, 20])
def test_clock_jumps_are_reported_and_the_rest_is_evaluated(tmp_path, evaluate, offset_s):
    with BagWriter(tmp_path / 'bag') as bag:
        bag.instruction('open the drawer', FIRST_NS + 30 * 10**9 - 1)
        write_steps(bag, 10, offset_ns=30 * 10**9)
    # The receiver's clock goes on while the stamps jump.
        for step in range(10, 20):
            stamp = FIRST_NS + (30 + offset_s) * 10**9 + step * STEP_NS
            time_ns = FIRST_NS + 31 * 10**9 + step * STEP_NS
            bag.observation(fake_bag.pixels(step, 16), fake_bag.pixels(step, 8),
                            fake_bag.robot_obs(step), stamp, time_ns)
            bag.action(fake_bag.action(step), stamp, step, time_ns + 1_000_000)
    result = evaluate(tmp_path / 'bag')
    words = 'clock set back by 19' if offset_s < 0 else 's without an image'
    assert any(words in p for p in result.problems), result.problems
    assert result.policies['fake'].errors.summary()['count'] == 20
    assert result.policies['fake'].errors.summary()['largest'] < 1e-6


def test_a_truncated_bag_is_evaluated_up_to_its_end(tmp_path, evaluate):
    folder = fake_bag.make_bag(tmp_path / 'bag', 60, size=200)
    path = folder / 'bag.mcap'
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    result = evaluate(folder)
    assert any('recovered' in p for p in result.problems)
    assert 10 < result.policies['fake'].errors.summary()['count'] < 40
    assert result.policies['fake'].errors.summary()['largest'] < 1e-6


def test_a_damaged_image_costs_one_step(tmp_path, evaluate):
    from dysl_vla_ros.bags import messages
    with BagWriter(tmp_path / 'bag') as bag:
        bag.instruction('open the drawer', FIRST_NS - 1)
        write_steps(bag, 3)
        stamp = FIRST_NS + 3 * STEP_NS
        broken = messages.image(fake_bag.pixels(3, 16), stamp, 'c')
        broken.step = 7
        for key, message in (('image_static', broken), ('image_gripper', broken)):
            bag.write(key, message, stamp)
        bag.write_raw('/image_static', 'sensor_msgs/msg/Image', b'\x00\x01\x00\x00rubbish', stamp)
        write_steps(bag, 2, 4)
    result = evaluate(tmp_path / 'bag')
    assert any('step left out' in p and 'step 7' in p for p in result.problems), result.problems
    assert any('not a valid sensor_msgs/msg/Image' in p for p in result.problems)
    assert result.policies['fake'].steps == 5


def test_an_instruction_that_a_policy_refuses_is_left_out(tmp_path, evaluate):
    with BagWriter(tmp_path / 'bag') as bag:
        bag.instruction('unknown words', FIRST_NS - 1)
        write_steps(bag, 3)
        bag.instruction('open the drawer', FIRST_NS + 3 * STEP_NS - 1)
        write_steps(bag, 3, 3)
    result = evaluate(tmp_path / 'bag')
    assert 'refuses' in result.problems[0]
    assert result.policies['fake'].steps == 3


# ---------------------------------------------------------------------- results
def test_the_output_bag_has_the_nodes_topics_and_the_predictions(tmp_path, evaluate):
    folder = fake_bag.make_bag(tmp_path / 'bag', 5)
    evaluate(folder, predictions='sqlite3')
    with BagReader(tmp_path / 'out' / 'predictions' / 'bag_fake') as bag:
        assert {n: t.count for n, t in bag.topics.items()} == {
            '/policy_node/action': 5, '/policy_node/inference_stats': 5, '/instruction': 1,
            '/policy_node/policy_description': 1}
        actions = [bag.decode(m) for m in bag.messages(['/policy_node/action'])]
        assert [ns_from_time(a.header.stamp) for a in actions] == [
            FIRST_NS + i * STEP_NS for i in range(5)]
        assert np.allclose([action_from_message(a)[0] for a in actions],
                           [i / 255 for i in range(5)], atol=1e-6)
        stats = [stats_to_dict(bag.decode(m))
                 for m in bag.messages(['/policy_node/inference_stats'])]
        assert stats[4]['executed'] == [True, True, False, True]
        assert stats[4]['input_stamps_ns'] == dict.fromkeys(STAMPS, FIRST_NS + 4 * STEP_NS)


def test_the_report_shows_every_bag_and_policy(tmp_path):
    good = fake_bag.make_bag(tmp_path / 'good', 40)
    out = tmp_path / 'out'
    with OfflineEvaluation({'fake': FakePolicy(), 'off': OffsetPolicy()}, out) as evaluation:
        results = [evaluation.evaluate(good, 'good'),
                   evaluation.evaluate(tmp_path / 'absent', 'absent')]
        index = write_offline_report(out, evaluation, results, build_manifest({}))
    page = index.read_text()
    assert 'no such bag' in page
    for name in ('good', 'absent', 'fake', 'off'):
        assert f'>{name}<' in page
    for file in ('axes.png', 'error_00.png', 'axes_00.png', 'worst_1_0.png', 'layers.png'):
        assert f'assets/{file}' in page
        assert (out / 'assets' / file).stat().st_size > 1000
    found = json.loads((out / 'offline.json').read_text())
    assert found['policies']['off']['errors']['mae']['x'] == pytest.approx(0.5, abs=1e-6)
    assert found['bags'][1]['failure']
    worst = found['worst']['off']
    assert [m['error'] for m in worst] == sorted((m['error'] for m in worst), reverse=True)
    with (out / 'steps.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 80
    assert float(rows[-1]['predicted_x']) - float(rows[-1]['recorded_x']) == pytest.approx(0.5)
    assert pooled(results, 'off').steps == 40


def test_memory_does_not_grow_with_the_bag(tmp_path, evaluate):
    peaks = []
    for count in (40, 160):
        folder = fake_bag.make_bag(tmp_path / f'bag{count}', count, size=200,
                                   storage='sqlite3')
        tracemalloc.start()
        evaluate(folder)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 120 more steps with 150 kB of images each are 18 MB, none of which may stay.
    assert peaks[1] - peaks[0] < 2_000_000


def test_the_command_offers_every_trigger():
    assert get_args(Trigger) == TRIGGERS
