# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes: the parameter counts that OpenFlamingo users report pin every published shape."""

import dataclasses

import pytest

from dysl_vla_ros.configuration import from_mapping, to_mapping
from dysl_vla_ros.errors import ConfigError
from dysl_vla_ros.model.checkpoint import shapes_only
from dysl_vla_ros.model.config import DecoderConfig, VLAConfig
from dysl_vla_ros.model.vla import DySLVLA


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


def build(config: VLAConfig) -> DySLVLA:
    with shapes_only():
        return DySLVLA(config)


def test_roboflamingo_3b_has_the_published_parameter_counts():
    # design/architecture.md sections 7, 9.6 and 11; all 24 layers, as OpenFlamingo-3B has them.
    config = VLAConfig.from_name('roboflamingo-3b')
    model = build(dataclasses.replace(
        config, decoder=dataclasses.replace(config.decoder, feature_layer=23)))
    cross = [layer.gated_cross_attn_layer for layer in model.layers]
    assert count(model.perceiver) == 63_019_008
    assert {count(c) for c in cross} == {36_708_354}
    assert {count(layer.decoder_layer) for layer in model.layers} == {50_339_840}
    assert sum(map(count, cross)) + count(model.perceiver) + count(model.wte) == 1_046_992_944
    assert count(model.lm_head) == 41_194_759
    # Section 11 counts the last norm and the projection (1024 x 768), which are not built.
    assert count(model.vision_encoder) + 2 * 1024 + 1024 * 768 == 303_966_208


def test_layers_after_the_read_out_are_not_built():
    assert build(VLAConfig.from_name('roboflamingo-3b')).n_layers == 23


def test_dysl_mini_has_twelve_layers_and_stays_below_eight_million_parameters():
    model = build(VLAConfig.from_name('dysl-mini'))
    assert model.n_layers == 12
    assert count(model) <= 8_000_000


@pytest.mark.parametrize('name', ['roboflamingo-3b', 'dysl-mini'])
def test_configuration_survives_a_round_trip(name):
    config = VLAConfig.from_name(name)
    assert from_mapping(VLAConfig, to_mapping(config)) == config


def test_an_unknown_size_names_the_known_ones():
    with pytest.raises(ConfigError, match='dysl-mini'):
        VLAConfig.from_name('mini')


@pytest.mark.parametrize('sizes', [{'n_heads': 12, 'd_model': 96}, {'n_heads': 4, 'd_model': 98},
                                   {'n_layers': 12, 'feature_layer': 12}])
def test_sizes_that_do_not_fit_are_refused(sizes):
    with pytest.raises(ValueError, match='must'):
        DecoderConfig(**sizes)


@pytest.mark.parametrize(('size', 'every', 'd_model'), [
    ('roboflamingo-4b', 2, 2560), ('roboflamingo-9b', 4, 4096)])
def test_larger_variants_have_cross_attention_before_every_other_or_fourth_layer(size, every,
                                                                               d_model):
    # design/architecture.md section 3: insert where (layer + 1) mod every = 0.
    model = build(VLAConfig.from_name(size))
    assert model.config.decoder.d_model == d_model
    crossed = [j for j, layer in enumerate(model.layers)
               if layer.gated_cross_attn_layer is not None]
    assert crossed == list(range(every - 1, model.n_layers, every))
    if size == 'roboflamingo-9b':
        # MPT-7B: 32 blocks, 50,432 rows and a last norm make 6,649,286,656.
        blocks = {count(layer.decoder_layer) for layer in model.layers}
        assert blocks == {(6_649_286_656 - 50_432 * 4096 - 4096) // 32}


def test_deer_has_the_published_parameter_counts():
    # design/architecture.md sections 7 and 9.2: seven heads, vision tower apart.
    config = VLAConfig.from_name('deer-3b')
    model = build(dataclasses.replace(config, exits=dataclasses.replace(
        config.exits, has_auxiliary_heads=True)))
    assert count(model.lm_head) == 40_948_231
    assert len(model.exit_heads) == 6
    assert count(model) - count(model.vision_encoder) == 1_497_208_393
