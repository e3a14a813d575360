# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the node adds to the model's own time, from the times that the probe has noted.

Pure functions: lists of times in, milliseconds out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dysl_vla_ros.evaluation.timing import summarise

PARTS = ('overhead_ms', 'take_ms', 'hand_over_ms', 'publish_ms', 'model_ms', 'resize_ms',
         'tick_wait_ms')


@dataclass(frozen=True)
class StepTimes:
    """One published action.

    Attributes:
        overhead_ms: From when the node could begin (last needed image in the process, and with
            trigger timer the tick due) to the publishing of the action, less the model's time.
        take_ms: Until that image's callback (or the tick's) began: executor, deserialisation.
        hand_over_ms: From there to the model: alignment, thread change, decoding.
        publish_ms: From the model's end to the action: limits, filter, messages.
        model_ms: The policy's ``act``, its resize included.
        resize_ms: The resize and normalisation alone (they are in the model's time).
        tick_wait_ms: With trigger timer, from the last needed image to the tick; by design, so
            not overhead.
        cpu_ms: Processor time of the model's thread inside ``act``.
        published_ns: When, system clock.
        process_cpu_ns: Processor time of the whole process so far.
    """

    overhead_ms: float
    take_ms: float
    hand_over_ms: float
    publish_ms: float
    model_ms: float
    resize_ms: float
    tick_wait_ms: float
    cpu_ms: float
    published_ns: int
    process_cpu_ns: int


def step_times(times: Mapping[str, Sequence[Any]]) -> list[StepTimes]:
    """Join the probe's lists by stamp; an action sent again counts once.

    Args:
        times: ``arrivals`` (topic, stamp, received, callback), ``ticks`` (due, callback),
            ``acts`` (stamp, begin, end, cpu, preprocess ms), ``actions`` (stamp, published,
            process cpu) and ``stats`` (stamp, {input: stamp}); nanoseconds of the system clock.
    """
    arrived: dict[int, list[tuple[int, int]]] = {}
    for _, stamp, received, callback in times['arrivals']:
        # A clock that was set meanwhile gives nonsense; then the callback is all that is known.
        arrived.setdefault(stamp, []).append((min(received, callback) or callback, callback))
    acts = {stamp: rest for stamp, *rest in times['acts']}
    inputs = dict(times['stats'])
    ticks = [tuple(tick) for tick in times['ticks']]
    steps, seen, tick_index = [], set(), 0
    for stamp, published, process_cpu in times['actions']:
        if stamp in seen or stamp not in acts:
            continue
        seen.add(stamp)
        begin, end, cpu, preprocess_ms = acts[stamp]
        needed = [pair for s in set(inputs.get(stamp, {}).values()) | {stamp}
                  for pair in arrived.get(s, ()) if pair[1] <= begin]
        if not needed:
            continue
        ready, callback = max(needed)
        wait = 0
        while tick_index + 1 < len(ticks) and ticks[tick_index + 1][1] <= begin:
            tick_index += 1
        if ticks and ticks[tick_index][1] <= begin:
            due, tick_callback = ticks[tick_index]
            wait = max(0, due - ready)
            ready, callback = max(ready, due), max(callback, tick_callback)
        steps.append(StepTimes(
            overhead_ms=(begin - ready + published - end) / 1e6,
            take_ms=(callback - ready) / 1e6, hand_over_ms=(begin - callback) / 1e6,
            publish_ms=(published - end) / 1e6, model_ms=(end - begin) / 1e6,
            resize_ms=preprocess_ms, tick_wait_ms=wait / 1e6, cpu_ms=cpu / 1e6,
            published_ns=published, process_cpu_ns=process_cpu))
    return steps


def overhead_summary(steps: Sequence[StepTimes], warm_up: int = 30) -> dict[str, Any]:
    """Percentiles of every part, and the processor share of everything but the model.

    Args:
        steps: Of one run.
        warm_up: So many are left out at the beginning.

    Returns:
        JSON-ready; ``ros_cpu_share`` is (process - model) processor time over wall time.
    """
    kept = steps[warm_up:]
    found: dict[str, Any] = {
        'steps': len(kept), **{part: summarise(getattr(s, part) for s in kept) for part in PARTS},
        'overhead_with_resize_ms': summarise(s.overhead_ms + s.resize_ms for s in kept),
        'rate_hz': None, 'ros_cpu_share': None, 'model_cpu_share': None}
    if len(kept) > 1:
        wall_ns = kept[-1].published_ns - kept[0].published_ns
        model_ns = 1e6 * sum(s.cpu_ms for s in kept[1:])
        found['rate_hz'] = 1e9 * (len(kept) - 1) / wall_ns
        found['ros_cpu_share'] = (kept[-1].process_cpu_ns - kept[0].process_cpu_ns
                                  - model_ns) / wall_ns
        found['model_cpu_share'] = model_ns / wall_ns
    return found
