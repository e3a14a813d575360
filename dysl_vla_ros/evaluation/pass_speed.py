# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Our dense control step against the original's way of doing it: interleaved, equal outputs."""

import dataclasses
from time import perf_counter
from typing import Any

import numpy as np
import torch

from dysl_vla_ros.errors import ContractError
from dysl_vla_ros.evaluation.timing import summarise
from dysl_vla_ros.model.config import VLAConfig
from dysl_vla_ros.model.original_pass import OriginalPass
from dysl_vla_ros.model.random_model import random_model

TOLERANCE = 1e-5


@torch.inference_mode()
def compare_passes(config: VLAConfig, steps: int, tokens: int = 11,
                   on_step: Any = lambda: None) -> dict[str, Any]:
    """Run both on random weights and equal inputs, in alternation.

    Args:
        config: Sizes; a RoboFlamingo head with layers after the read-out.
        steps: Control steps timed; the head's window is filled before.
        tokens: Prompt length.
        on_step: Called after each step (progress).

    Returns:
        ``timing_ms`` of ``ours`` and ``original`` per stage of ours, the ``ratio`` of medians and
        ``worst_error`` of pose and gripper probability.

    Raises:
        ContractError: If the actions differ by more than 1e-5.
    """
    decoder = config.decoder
    complete = dataclasses.replace(config, decoder=dataclasses.replace(
        decoder, feature_layer=decoder.n_layers - 1))
    model = random_model(complete)
    layers = list(model.layers)[:decoder.feature_layer + 1]
    original = OriginalPass(model, decoder.feature_layer)
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1, decoder.vocab_size, (1, tokens), generator=generator)
    prompt = model.embed(ids)  # kept across steps
    side = config.vision.image_size
    ours_state = theirs_state = model.lm_head.initial_state()
    times: dict[str, list[float]] = {k: [] for k in ('vision', 'decoder', 'head', 'ours',
                                                     'original')}
    worst = 0.0
    # The window is filled first: from then on the head re-runs its last features.
    ours_state = theirs_state = dataclasses.replace(
        ours_state, steps=config.head.window, features=tuple(
            torch.randn(1, decoder.d_model, generator=generator)
            for _ in range(config.head.window)))
    for i in range(steps + 1):
        images = torch.randint(0, 256, (1, 2, 3, side, side), generator=generator,
                               dtype=torch.uint8)
        pixels = model.normalise(images)
        for name in (('ours', 'original') if i % 2 else ('original', 'ours')):
            begin = perf_counter()
            if name == 'original':
                theirs = original.step(pixels, ids, theirs_state)
                stamps = [begin, perf_counter()]
            else:
                media = model.encode_vision(pixels)
                stamps = [begin, perf_counter()]
                x = prompt
                for layer in layers:
                    x = layer(x, media)
                stamps.append(perf_counter())
                ours = model.lm_head.peek(model.pool(x), ours_state)
                stamps.append(perf_counter())
            if i:  # the first step pays for caches
                times[name].append(1e3 * (stamps[-1] - begin))
                if name == 'ours':
                    for stage, length in zip(('vision', 'decoder', 'head'), np.diff(stamps),
                                             strict=True):
                        times[stage].append(1e3 * float(length))
        ours_state, theirs_state = ours.state, theirs.state
        worst = max(worst, float((ours.pose - theirs.pose).abs().max()), float(
            (ours.gripper_logit.sigmoid() - theirs.gripper_logit.sigmoid()).abs().max()))
        on_step()
    if not worst <= TOLERANCE:
        raise ContractError(f'the two implementations differ by {worst:.2g}, allowed '
                            f'{TOLERANCE:g}; their times must not be compared')
    return {'timing_ms': {k: summarise(v) for k, v in times.items()}, 'worst_error': worst,
            'ratio': float(np.median(times['original']) / np.median(times['ours'])),
            'threads': torch.get_num_threads(), 'tokens': tokens}
