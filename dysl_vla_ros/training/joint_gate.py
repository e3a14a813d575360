# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measured error gain of every plan, and the gate of DySL-joint that learns it.

For frame n and plan m: g_m(n) = eps(a_m, a*) - eps(a_0, a*), with a* the demonstrated action and
a_0 the dense one; negative where skipping helps. The frames before n come from randomly drawn
plans, as history also skips at run time (design/method.md 15.2).
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.skipping.partition import LayerPartition
from dysl_vla_ros.skipping.strategies.joint import MOTION_SIZE, JointModules
from dysl_vla_ros.skipping.strategies.random_skip import Plan
from dysl_vla_ros.training.skip_data import MediaBatch
from dysl_vla_ros.training.strategy_config import StrategyConfig


@dataclass(frozen=True)
class GateData:
    """N frames.

    Attributes:
        pooled: (N, width) input of the gate.
        motion: (N, MOTION_SIZE) of the actions before.
        gain: (N, plans - 1) measured error gain.
        distance: (N, plans - 1) RMS of the pose against the dense action.
    """

    pooled: torch.Tensor
    motion: torch.Tensor
    gain: torch.Tensor
    distance: torch.Tensor


def run_plan(model: DySLVLA, modules: JointModules, x: torch.Tensor, media: torch.Tensor,
             plan: Plan, first_layer: int = 0) -> torch.Tensor:
    """A batch through one plan, with gradients for the adapters: (B, S, d) -> (B, S, d)."""
    partition: LayerPartition = modules.partition
    landing = {p: g.landing for p, g in zip(plan, partition.groups, strict=True) if p < g.landing}
    j = first_layer
    while j < model.n_layers:
        if j in landing:
            x = modules.adapters[str(j)](x)
            j = landing[j]
        else:
            x = model.layers[j](x, media)
            j += 1
    return x


def action_error(pose: torch.Tensor, logit: torch.Tensor, actions: torch.Tensor,
                 config: StrategyConfig) -> torch.Tensor:
    """eps: Huber of the pose plus a fixed price for a wrong gripper: (..., 6) -> (...)."""
    error = functional.huber_loss(pose, actions[..., :6], reduction='none',
                                  delta=config.huber_delta).mean(-1) / config.huber_delta
    wrong = (logit > 0) != (actions[..., 6] > 0)
    return error + config.gripper_error * wrong


@torch.no_grad()
def measure_gain(model: DySLVLA, modules: JointModules, plans: tuple[Plan, ...],
                 batch: MediaBatch, config: StrategyConfig,
                 generator: torch.Generator) -> GateData:
    """Run every plan on every frame of a batch of windows."""
    windows, steps = batch.valid.shape
    first = model.layers[0](batch.x, batch.media)
    features = torch.stack([
        model.pool(run_plan(model, modules, first, batch.media, plan, 1), batch.mask,
                   batch.robot_obs).view(windows, steps, -1) for plan in plans])  # (P, B, T, d)
    count = len(plans)
    drawn = torch.randint(count, (windows, steps), generator=generator)
    row = torch.arange(windows)
    state = model.lm_head.initial_state()
    recent = torch.zeros(2, windows, 7)
    motion = torch.zeros(windows, steps, MOTION_SIZE)
    gain, distance = (torch.zeros(windows, steps, count - 1) for _ in range(2))
    for t in range(steps):
        motion[:, t, :7], motion[:, t, 13] = recent[1], float(t > 0)
        if t > 1:
            motion[:, t, 7:13] = recent[1, :, :6] - recent[0, :, :6]
        # All plans as one batch, each from the state of its window's own history.
        every = features[:, :, t].flatten(0, 1)  # (P * B, d)
        lstm = state.lstm
        tiled = type(state)(None if lstm is None else (lstm[0].repeat(1, count, 1),
                                                       lstm[1].repeat(1, count, 1)),
                            tuple(f.repeat(count, 1) for f in state.features), state.steps)
        output = model.lm_head.peek(every, tiled)
        pose = output.pose.view(count, windows, 6)
        logit = output.gripper_logit.view(count, windows)
        error = action_error(pose, logit, batch.actions[None, :, t], config)
        gain[:, t] = (error[:-1] - error[-1:]).T
        distance[:, t] = (pose[:-1] - pose[-1:]).square().mean(-1).sqrt().T
        chosen = drawn[:, t]
        state = model.lm_head.peek(features[chosen, row, t], state).state
        action = torch.cat((pose[chosen, row],
                            torch.where(logit[chosen, row] > 0, 1.0, -1.0)[:, None]), dim=1)
        recent = torch.stack((recent[1], action))
    keep = batch.valid.flatten()
    pooled = modules.pool(first, batch.media, batch.mask)
    return GateData(pooled[keep], motion.flatten(0, 1)[keep], gain.flatten(0, 1)[keep],
                    distance.flatten(0, 1)[keep])


def gate_loss(modules: JointModules, data: GateData, index: torch.Tensor,
              quantile: float) -> torch.Tensor:
    """Pinball loss of the gain's upper quantile and, as auxiliary target, of the distance."""
    gain, distance = modules.predict(data.pooled[index], data.motion[index])

    def pinball(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        error = target - predicted
        return torch.maximum(quantile * error, (quantile - 1) * error).mean()

    return pinball(gain, data.gain[index]) + pinball(distance, data.distance[index])
