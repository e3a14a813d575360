# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Padding in the average would make the choice of static layers depend on the batch."""

import pytest
import torch

from dysl_vla_ros.skipping.scoring import cosine_similarity


def test_a_layer_that_does_nothing_scores_one(model):
    layer = model.layers[2]
    for weight in (layer.gated_cross_attn_layer.attn_gate, layer.gated_cross_attn_layer.ff_gate,
                   layer.decoder_layer.attn.out_proj.weight,
                   layer.decoder_layer.mlp.mlp_down.weight):
        weight.zero_()
    x, media = torch.randn(3, 4, 16), torch.randn(3, 8, 16)
    scores = cosine_similarity(model, [(x, media, torch.ones(3, 4, dtype=torch.bool))])
    assert scores[2] == pytest.approx(1.0, abs=1e-6)
    assert all(-1 <= score < 0.9999 for j, score in enumerate(scores) if j != 2)


def test_padding_does_not_count(model):
    x, media = torch.randn(2, 3, 16), torch.randn(2, 8, 16)
    padded = torch.cat((x, torch.randn(2, 2, 16)), dim=1)
    mask = torch.tensor([[True] * 3 + [False] * 2] * 2)
    plain = cosine_similarity(model, [(x, media, torch.ones(2, 3, dtype=torch.bool))])
    assert cosine_similarity(model, [(padded, media, mask)]) == pytest.approx(plain, abs=1e-5)


def test_no_frames_is_an_error(model):
    with pytest.raises(ValueError, match='no frames'):
        cosine_similarity(model, [])
