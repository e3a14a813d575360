# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stage 2: controllers learn where a jump does not hurt (design/method.md section 10).

    x_nxt(i) = c_i T_i(x_i) + (1 - c_i) L_{nxt(i)-1}( ... L_i(x_i) )
    L2 = L_task + lambda sum_i (1 - c_i) (nxt(i) - i)

Stage 'controllers' draws one dynamic position per batch, with harmonically falling probability
inside its group. Stage 'plans' (ours) draws one position per group, as a pass at run time has.
Stage 'jumps' (ours) comes before both: every drawn position jumps (c = 1) and the adapters learn
to act like the dense network, which the hidden states' distance alone does not tell them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.modules import SkipModules
from dysl_vla_ros.skipping.partition import LayerPartition
from dysl_vla_ros.training.adapters_stage import hidden_states
from dysl_vla_ros.training.distill_config import DistillConfig
from dysl_vla_ros.training.losses import action_loss, masked_mean
from dysl_vla_ros.training.skip_data import MediaBatch


@dataclass(frozen=True)
class ControllersLoss:
    """Loss of one batch and its parts; ``skip_probability`` is the mean of the drawn c."""

    total: torch.Tensor
    task: float
    teacher: float
    feature: float
    skip_probability: float


def harmonic_position(first: int, last: int, rng: np.random.Generator) -> int:
    """Draw a layer of the group; position p = 1, 2, ... has probability (1/p) / sum_q (1/q)."""
    weight = 1.0 / np.arange(1, last - first + 2)
    return first + int(rng.choice(len(weight), p=weight / weight.sum()))


def draw_single(partition: LayerPartition, rng: np.random.Generator) -> tuple[int, ...]:
    """One position in one group, the group drawn uniformly."""
    group = partition.groups[rng.integers(len(partition.groups))]
    return (harmonic_position(group.first, group.last, rng),)


def draw_plan(partition: LayerPartition, rng: np.random.Generator) -> tuple[int, ...]:
    """One position in every group."""
    return tuple(harmonic_position(g.first, g.last, rng) for g in partition.groups)


def controllers_loss(model: DySLVLA, modules: SkipModules, batch: MediaBatch,
                     positions: Sequence[int], config: DistillConfig,
                     harden: bool = False, must_jump: bool = False) -> ControllersLoss:
    """Loss with soft jumps at ``positions``.

    Args:
        model: Frozen network; gradients flow through it, not into it.
        modules: Trained.
        batch: Windows; every frame of a window has the same positions, as history also skips.
        positions: Dynamic layers, increasing, at most one per group.
        config: Weights of the loss.
        harden: Use c rounded to 0 or 1 in the forward pass (straight-through gradient).
        must_jump: Use c = 1; only the adapters get a gradient then.
    """
    states = hidden_states(model, batch)
    n, valid = model.n_layers, batch.valid
    # Up to the first jump nothing depends on trained parameters.
    j, x = positions[0], states[positions[0]]
    pending = list(positions)
    reward = x.new_zeros(len(x))
    probabilities = []
    is_dense = True
    while j < n:
        if pending and j == pending[0]:
            pending.pop(0)
            landing = modules.partition.next_static(j)
            c = x.new_ones(len(x)) if must_jump \
                else modules.controllers[str(j)](x, batch.mask).sigmoid()  # (B * T,)
            probabilities.append(masked_mean(c.detach().view(valid.shape), valid))
            reward = reward + (1 - c) * (landing - j)
            used = (c > 0.5).to(c.dtype) + c - c.detach() if harden else c
            jumped = modules.adapters[str(j)](x)
            if must_jump:
                x = jumped
            else:
                kept = states[landing] if is_dense else _run(model, x, batch, j, landing)
                weight = used[:, None, None]
                x = weight * jumped + (1 - weight) * kept
            j, is_dense = landing, False
        else:
            x = model.layers[j](x, batch.media)
            j += 1
    feature = model.pool(x, batch.mask, batch.robot_obs)
    pose, gripper = model.lm_head(feature.view(*valid.shape, -1))
    task, _ = action_loss(pose, gripper, batch.actions, valid, config.huber_delta,
                          config.gripper_weight)
    with torch.no_grad():
        dense = model.pool(states[-1], batch.mask, batch.robot_obs)
        teacher_pose, teacher_gripper = model.lm_head(dense.view(*valid.shape, -1))
        label = torch.where(teacher_gripper > 0, 1.0, -1.0)[..., None]
        teacher_action = torch.cat((teacher_pose, label), dim=-1)
    teacher, _ = action_loss(pose, gripper, teacher_action, valid, config.huber_delta,
                             config.gripper_weight)
    feature_error = masked_mean((feature - dense).square().mean(-1).view(valid.shape), valid) \
        / dense.var().clamp_min(1e-6)
    penalty = masked_mean(reward.view(valid.shape), valid)
    total = task + config.teacher_weight * teacher + config.feature_weight * feature_error \
        + config.skip_reward * penalty
    return ControllersLoss(total, task.item(), teacher.item(), feature_error.item(),
                           float(torch.stack(probabilities).mean()))


def _run(model: DySLVLA, x: torch.Tensor, batch: MediaBatch, start: int,
         end: int) -> torch.Tensor:
    for layer in model.layers[start:end]:
        x = layer(x, batch.media)
    return x
