# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Losses of behaviour cloning.

Source: design/architecture.md section 8; the auxiliary localisation loss is ours.
"""

import torch
from torch import nn
from torch.nn import functional

# Rough centre and spread of the tool centre point on the table, metres.
_TCP_CENTRE = (0.03, -0.15, 0.55)
_TCP_SCALE = (0.2, 0.15, 0.12)
_SCENE_SCALE = (0.28, 0.22, 0.02, 0.088, 1.0, 1.0)
AUXILIARY_SIZE = 3 + 4 + 6


def masked_mean(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Mean of (B, T) values over valid frames."""
    return (values * valid).sum() / valid.sum().clamp(min=1)


def action_loss(pose: torch.Tensor, gripper_logit: torch.Tensor, actions: torch.Tensor,
                valid: torch.Tensor, huber_delta: float,
                gripper_weight: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Huber loss of the pose (scaled by 1 / delta) and BCE of the gripper.

    Args:
        pose: (B, T, 6) in [-1, 1].
        gripper_logit: (B, T).
        actions: (B, T, 7) labels.
        valid: (B, T) bool.
        huber_delta: 1.0 is RoboFlamingo's; smaller is closer to an L1 loss.
        gripper_weight: RoboFlamingo uses 0.01.

    Returns:
        The weighted sum and the pose part, both scalars.
    """
    error = functional.huber_loss(pose, actions[..., :6], reduction='none',
                                  delta=huber_delta).mean(-1) / huber_delta
    target = (actions[..., 6] + 1) / 2
    gripper = functional.binary_cross_entropy_with_logits(gripper_logit, target,
                                                          reduction='none')
    pose_loss = masked_mean(error, valid)
    return pose_loss + gripper_weight * masked_mean(gripper, valid), pose_loss


class LocalisationHead(nn.Module):
    """Training-only linear read-out of tool pose and furniture state from the media latents.

    It teaches the vision tower where things are long before the action loss would.
    """

    def __init__(self, latents: int, width: int) -> None:
        """Read the flattened latents of both cameras."""
        super().__init__()
        self.linear = nn.Linear(latents * width, AUXILIARY_SIZE)

    def forward(self, media: torch.Tensor, robot_obs: torch.Tensor,
                scene_obs: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Media (B * T, L, width), states (B, T, ...) -> scalar loss."""
        predicted = self.linear(media.flatten(1)).view(*valid.shape, -1)
        position = (robot_obs[..., :3] - robot_obs.new_tensor(_TCP_CENTRE)) \
            / robot_obs.new_tensor(_TCP_SCALE)
        angles = robot_obs[..., 4:6]
        scene = scene_obs[..., :6] / scene_obs.new_tensor(_SCENE_SCALE)
        target = torch.cat((position, angles.sin(), angles.cos(), scene), dim=-1)
        error = functional.smooth_l1_loss(predicted, target, reduction='none', beta=0.1).mean(-1)
        return masked_mean(error, valid)
