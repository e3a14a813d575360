# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A bench that counts the wrong layers, or weights that do not run, flatters whoever it times."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from dysl_vla_ros.cli.__main__ import main
from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.evaluation.bench import Measurement, draw_stages, measure, report
from dysl_vla_ros.evaluation.random_policies import CASES, random_policies, static_layers
from dysl_vla_ros.model.config import VLAConfig

PEAKS = """
import torch
from dysl_vla_ros.evaluation.bench import memory_report
from dysl_vla_ros.evaluation.memory import PeakMemory
torch.ones(10)
kept = 64 << 20
class Policy:
    class rule:
        modules = None
with PeakMemory() as loading:
    Policy.model = torch.nn.Linear(kept // 4096, 1024, bias=False)
with PeakMemory() as running:
    torch.ones(2 * kept // 4)
torch.ones(kept)  # after the blocks: nobody's
report = memory_report(loading, running, [Policy, Policy])
assert report['weights_bytes'] == kept
print(kept, report['load_peak_bytes'], report['use_peak_bytes'], report['process_peak_bytes'])
"""


@pytest.fixture(scope='module')
def policies():
    """All cases on a shallow, narrow decoder without vision."""
    config = VLAConfig.from_name('dysl-mini')
    config = dataclasses.replace(config, decoder=dataclasses.replace(
        config.decoder, d_model=16, n_heads=2, n_layers=11, feature_layer=10, cross_heads=2,
        cross_head_dim=8))
    return random_policies(config, list(CASES))


def noise(policies, steps):
    rng = np.random.default_rng(0)
    width = next(iter(policies.values())).model.config.vision.width
    for _ in range(steps):
        media = torch.from_numpy(rng.standard_normal((1, 16, width), dtype=np.float32))
        yield lambda policy, seen=media: policy.act_on_media(seen, None)


def test_cases_run_the_layers_they_are_named_for(policies):
    results = measure(policies, noise(policies, 4))
    layers = {name: set(r.layers) for name, r in results.items()}
    assert layers == {'dense': {11}, 'dysl_closed': {11}, 'dysl_open': {5},
                      'dysl_joint_closed': {11}, 'dysl_joint_open': {5}, 'truncated': {5}}
    assert all(len(r.layers) == 3 for r in results.values())  # the first step is not counted


def test_closed_cases_act_like_the_dense_one_and_open_ones_do_not(policies):
    media = torch.randn(1, 16, 128)
    for policy in policies.values():
        policy.reset('go push the red block to the left')
    actions = {name: policy.act_on_media(media, None).action for name, policy in policies.items()}
    assert np.array_equal(actions['dense'], actions['dysl_closed'])
    assert np.array_equal(actions['dense'], actions['dysl_joint_closed'])
    assert not np.array_equal(actions['dense'], actions['truncated'])


def test_the_prompt_has_eleven_tokens_and_five_layers_are_static(policies):
    assert policies['dense']._prompt.shape[1] == 11
    assert static_layers(23) == (0, 6, 11, 16, 22)
    assert policies['dysl_closed'].rule.config.static_layers == static_layers(11)


def test_only_what_runs_takes_memory(policies):
    model = policies['dense'].model
    assert all(p.device.type == 'cpu' for p in model.parameters())
    content = report(policies, measure(policies, noise(policies, 3)))
    assert content['weight_bytes']['vision_encoder'] == 0
    assert content['weight_bytes']['layers'] == sum(
        p.numel() * 4 for p in model.layers.parameters())
    assert content['strategies']['dysl_open']['layer_bytes_per_step'] \
        == pytest.approx(5 / 11 * content['weight_bytes']['layers'])
    assert content['strategies']['dense']['added_weight_bytes'] == 0
    assert content['strategies']['dysl_closed']['added_weight_bytes'] > 0


def test_ratios_are_paired_and_the_bound_is_amdahls():
    class Same:
        def __init__(self, model):
            self.model, self.rule = model, type('Rule', (), {'modules': None})

    class Layers(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList([torch.nn.Linear(2, 2)])
            self.n_layers = 1
    model = Layers()
    results = {'dense': Measurement(), 'half': Measurement()}
    for factor in (1.0, 10.0, 1.0):  # the machine was ten times slower for a while
        for name, share in (('dense', 1.0), ('half', 0.5)):
            results[name].layers.append(1)
            for stage, ms in (('preprocess_ms', 0), ('vision_ms', 3), ('head_ms', 1)):
                results[name].times[stage].append(ms * factor)
            results[name].times['decoder_ms'].append(4 * share * factor)
            results[name].times['total_ms'].append((4 + 4 * share) * factor)
    content = report({'dense': Same(model), 'half': Same(model)}, results)
    assert content['strategies']['half']['against_dense'] == {'decoder_ms': 0.5, 'total_ms': 0.75}
    assert content['amdahl'] == {'decoder_share_of_step': 0.5, 'largest_speed_up_of_step': 2.0}


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_peaks_are_those_of_their_block():
    """A fresh process: here an earlier peak may still count where it cannot be reset."""
    output = subprocess.run([sys.executable, '-c', PEAKS], check=True, capture_output=True,
                            text=True).stdout
    kept, loading, running, total = map(int, output.split())
    assert kept <= loading < 2 * kept
    assert 3 * kept <= running < 4 * kept  # what is still there and twice as much again
    assert total >= running


def test_plot_is_written(policies, tmp_path):
    results = measure(policies, noise(policies, 3))
    draw_stages(results, tmp_path / 'bench.png', 'test')
    assert (tmp_path / 'bench.png').read_bytes()[:4] == b'\x89PNG'


def test_unknown_case_is_refused(policies):
    with pytest.raises(ConfigError, match="unknown \\['fast'\\]"):
        random_policies(VLAConfig.from_name('dysl-mini'), ['fast'])


def test_the_command_writes_numbers_and_a_plot(tmp_path, capsys):
    out = tmp_path / 'bench.json'
    assert main(['bench', '--size', 'dysl-mini', '--random-weights', '--steps', '3',
                 '--strategies', 'dense', 'dysl_open', '--dtype', 'bf16', '--cuda-graphs',
                 '--out', str(out)]) == 0
    content = json.loads(out.read_text())
    assert content['strategies']['dysl_open']['timing_ms']['vision_ms']['count'] == 2
    assert content['strategies']['dense']['layers']['mean'] == 12
    whole = content['strategies']['dysl_open']['timing_ms']['total_ms']
    assert 0 < whole['p50'] <= whole['p99']
    memory = content['memory']
    assert memory['process_peak_bytes'] > memory['use_peak_bytes'] > 0
    assert memory['weights_bytes'] > sum(content['weight_bytes'].values())  # and what DySL adds
    assert content['acceleration'] == {
        'dtype': 'bf16', 'int8': False, 'compile': False, 'cuda_graphs': True,
        'left_out': {'cuda_graphs': 'needs a CUDA device, this policy runs on cpu'}}
    assert content['manifest']['config']['size'] == 'dysl-mini'
    assert out.with_suffix('.png').is_file()
    text = capsys.readouterr().out
    for said in ('no skipping can make', 'whole step, median / p99', 'peak at load', 'in use',
                 'cuda_graphs left out: needs a CUDA device'):
        assert said in text
    assert main(['bench', '--decoder-only']) == 1


def test_random_weights_can_come_from_a_file_as_a_checkpoint_does(tmp_path, capsys, monkeypatch):
    from dysl_vla_ros.evaluation import random_policies as module
    loaded, original = [], module.DySLVLA.from_pretrained
    monkeypatch.setattr(module.DySLVLA, 'from_pretrained', lambda folder, **given: loaded.append(
        given['dtype']) or original(folder, **given))
    command = ['bench', '--random-weights', '--steps', '2', '--strategies', 'dense', '--dtype',
               'bf16', '--through-file', str(tmp_path), '--size']
    assert main([*command, 'dysl-mini']) == 0
    written = (tmp_path / 'model.safetensors').stat().st_mtime_ns
    assert main([*command, 'dysl-mini']) == 0
    assert (tmp_path / 'model.safetensors').stat().st_mtime_ns == written
    assert loaded == [torch.bfloat16] * 2
    assert main([*command, 'roboflamingo-mid']) == 1
    assert 'holds another network than roboflamingo-mid' in capsys.readouterr().err
    assert main(['bench', '--through-file', str(tmp_path)]) == 1
