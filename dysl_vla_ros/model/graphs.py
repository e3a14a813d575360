# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA graphs of decoder paths: a path that comes back is replayed instead of launched anew.

A path is a function of tensors whose control flow is fixed: the dense pass, one plan, one stretch
between two decisions. Shapes are part of the key, so a prompt of another length is another graph.
"""

from collections import Counter
from collections.abc import Callable, Hashable
import logging
from typing import Any, TypeVar

import torch

_LOG = logging.getLogger(__name__)
_WARM_UP_RUNS = 3
_SEEN_FIRST = 2  # runs before a path counts as frequent
_MAX_GRAPHS = 32

Tensors = TypeVar('Tensors', torch.Tensor, tuple[torch.Tensor, torch.Tensor])
Function = Callable[..., Any]


def capture_cuda_graph(function: Function, inputs: tuple[torch.Tensor, ...],
                       pool: Any = None) -> Function:
    """Record a function of CUDA tensors; the result replays it on inputs of the same shapes.

    Args:
        function: Returns a tensor or two; must not read values on the host.
        inputs: Example inputs; their shapes are fixed from now on.
        pool: Memory pool shared with other graphs. Outputs are copied out at once, so graphs that
            run one after the other can share one.

    Raises:
        RuntimeError: If something in the function cannot be captured.
    """
    static = tuple(t.clone() for t in inputs)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP_RUNS):  # libraries allocate and choose algorithms in first calls
            function(*static)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Other threads (ROS callbacks) may use the device meanwhile.
    with torch.cuda.graph(graph, pool=pool, capture_error_mode='thread_local'):
        output = function(*static)

    def replay(*values: torch.Tensor) -> Any:
        for target, source in zip(static, values, strict=True):
            target.copy_(source)
        graph.replay()
        return tuple(t.clone() for t in output) if isinstance(output, tuple) else output.clone()

    return replay


class GraphCache:
    """Runs paths; those seen often enough are captured once and replayed from then on.

    Attributes:
        failure: Why nothing is captured any more, or None.
    """

    def __init__(self, capture: Callable[[Function, tuple[torch.Tensor, ...]], Function],
                 seen_first: int = _SEEN_FIRST, limit: int = _MAX_GRAPHS) -> None:
        """Set how paths are captured.

        Args:
            capture: Makes the replay of a function for example inputs; may raise RuntimeError.
            seen_first: Ordinary runs of a path before it is captured.
            limit: Graphs at most; later paths run without.
        """
        self._capture, self._seen_first, self._limit = capture, seen_first, limit
        self._seen: Counter[Hashable] = Counter()
        self._graphs: dict[Hashable, Function] = {}
        self.failure: str | None = None

    @classmethod
    def for_device(cls, device: torch.device) -> 'GraphCache':
        """A cache on one CUDA device with one memory pool."""
        with torch.cuda.device(device):
            pool = torch.cuda.graph_pool_handle()
        return cls(lambda function, inputs: capture_cuda_graph(function, inputs, pool))

    def __len__(self) -> int:
        """Number of captured paths."""
        return len(self._graphs)

    def run(self, path: Hashable, function: Callable[..., Tensors],
            *inputs: torch.Tensor) -> Tensors:
        """``function(*inputs)``, replayed if this path is frequent.

        Args:
            path: What the function computes; equal paths must be equal functions.
            function: Called where there is no graph yet.
            inputs: Its tensors; nothing else may vary between two calls.
        """
        key = (path, *((t.shape, t.dtype) for t in inputs))
        graph = self._graphs.get(key)
        if graph is None and self._is_due(key):
            try:
                graph = self._graphs[key] = self._capture(function, inputs)
            except RuntimeError as error:
                self.failure = str(error).strip().splitlines()[0]
                _LOG.warning('a CUDA graph could not be captured, the decoder runs without: %s',
                             self.failure)
        return (graph or function)(*inputs)

    def _is_due(self, key: Hashable) -> bool:
        if self.failure is not None or len(self._graphs) >= self._limit:
            return False
        self._seen[key] += 1
        return self._seen[key] > self._seen_first
