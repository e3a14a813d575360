# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Losses against values worked out by hand; a padded frame must weigh nothing."""

import math

import pytest
import torch

from dysl_vla_ros.training.losses import LocalisationHead, action_loss, masked_mean

VALID = torch.tensor([[True, True, False]])


def test_masked_mean_counts_valid_frames_only():
    assert masked_mean(torch.tensor([[1.0, 3.0, 100.0]]), VALID) == 2
    assert masked_mean(torch.ones(1, 3), torch.zeros(1, 3, dtype=torch.bool)) == 0


@pytest.mark.parametrize(('delta', 'expected'), [(1.0, 0.125), (0.1, 0.45)])
def test_pose_loss_is_huber_over_delta(delta, expected):
    # Error 0.5 everywhere: 0.5^2 / 2 at delta 1 (RoboFlamingo's), 0.5 - delta / 2 beyond it.
    pose, actions = torch.full((1, 3, 6), 0.5), torch.zeros(1, 3, 7)
    _, pose_loss = action_loss(pose, torch.zeros(1, 3), actions, VALID, delta, 0.01)
    assert pose_loss.item() == pytest.approx(expected)


def test_gripper_loss_maps_minus_one_to_close():
    actions = torch.zeros(1, 3, 7)
    actions[..., 6] = torch.tensor([-1.0, 1.0, 1.0])
    logit = torch.tensor([[-2.0, 2.0, -50.0]])  # right, right, padded
    total, pose_loss = action_loss(torch.zeros(1, 3, 6), logit, actions, VALID, 1.0, 0.01)
    assert pose_loss == 0
    assert total.item() == pytest.approx(0.01 * math.log1p(math.exp(-2)), rel=1e-5)


def test_localisation_ignores_padded_frames_and_can_reach_zero():
    torch.manual_seed(0)
    head = LocalisationHead(2, 4)
    media = torch.zeros(3, 2, 4)
    robot, scene = torch.randn(1, 1, 15).repeat(1, 3, 1), torch.zeros(1, 3, 24)
    before = head(media, robot, scene, VALID)
    robot[:, 2] += 10
    assert torch.equal(head(media, robot, scene, VALID), before)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.1)
    for _ in range(400):
        optimiser.zero_grad()
        head(media, robot, scene, VALID).backward()
        optimiser.step()
    assert head(media, robot, scene, VALID) < 0.05 * before
