# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node with the real network (random weights): loading, describing, repeating exactly."""

import hashlib
import json

import pytest

TASKS = ['open_drawer', 'close_drawer']


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """A dysl-mini with random weights."""
    import torch

    from dysl_vla_ros.model.config import VLAConfig
    from dysl_vla_ros.model.tokenizer import InstructionTokenizer
    from dysl_vla_ros.model.vla import DySLVLA
    from dysl_vla_ros.sim.instructions import VALIDATION
    folder = tmp_path_factory.mktemp('dysl-mini')
    torch.manual_seed(0)
    DySLVLA(VLAConfig.from_name('dysl-mini')).save_pretrained(folder)
    InstructionTokenizer.from_sentences(VALIDATION.values()).save(folder)
    return folder


def test_two_processes_with_the_real_network_repeat_exactly(graph, launch, weights, tmp_path):
    from dysl_vla_ros.msg import InferenceStats, PolicyDescription, TaskStatus
    from dysl_vla_ros.srv import ResetEpisode

    from dysl_vla_ros.nodes import qos
    log = tmp_path / 'world.jsonl'
    status = graph.listen(TaskStatus, 'task_status', qos.LATCHED)
    stats = graph.listen(InferenceStats, 'policy_node/inference_stats', qos.STATISTICS)
    described = graph.listen(PolicyDescription, 'policy_node/policy_description', qos.LATCHED)
    bridge = launch('sim_bridge_node', {'DYSL_FAKE_LOG': str(log), 'DYSL_FAKE_TASK_STEPS': '8'})
    policy = launch('policy_node', policy_factory='""', checkpoint=str(weights),
                    strategy='dense', use_sim_time='true')
    client = graph.node.create_client(ResetEpisode, 'sim_bridge_node/reset_episode')
    assert client.wait_for_service(30)
    for run in range(2):
        assert graph.result(client.call_async(ResetEpisode.Request(subtasks=TASKS))).success
        graph.wait(lambda n=run + 1: sum(s.state == TaskStatus.SUCCEEDED and s.subtask_index == 1
                                         for s in status) == n, 'a chain')
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    entries = [e for e in entries if e != 'close']
    assert entries[:17] == entries[17:34]
    assert any(any(a[:6]) for a in entries[1:17])
    assert all(list(s.executed) == [True] * 12 for s in stats)
    expected = hashlib.sha256((weights / 'model.safetensors').read_bytes()).hexdigest()
    assert described[0].weights_sha256 == expected
    assert described[0].position_step_m == 0.02
    assert json.loads(described[0].policy_json)['strategy'] == 'dense'
    assert (policy.stop(), bridge.stop()) == (0, 0)


def test_a_missing_skipping_file_is_said_at_configure(launch, weights):
    node = launch('policy_node', policy_factory='""', checkpoint=str(weights), strategy='dysl')
    node.wait_for('cannot configure')
    assert 'skipping.json' in node.output
    assert node.process.wait(30) == 1
