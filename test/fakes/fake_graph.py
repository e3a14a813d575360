# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA graphs without a GPU: a captured function is replayed as its tensor operations alone."""

import torch
from torch.fx.experimental.proxy_tensor import make_fx


def capture(function, inputs):
    """Like ``graphs.capture_cuda_graph``: Python runs once, host reads fail, inputs are copied."""
    static = tuple(t.clone() for t in inputs)
    with torch.inference_mode(False), torch.no_grad():
        # Values that Python reads would be frozen into the graph; on CUDA that fails, here too.
        recorded = make_fx(lambda *values: function(*values))(*(t.clone() for t in inputs))

    def replay(*values):
        for target, source in zip(static, values, strict=True):
            target.copy_(source)
        output = recorded(*static)
        return tuple(t.clone() for t in output) if isinstance(output, tuple) else output.clone()

    return replay
