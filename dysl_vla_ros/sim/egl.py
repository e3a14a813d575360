# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PyBullet's EGL renderer, where the machine has one.

Loading the plugin without a usable driver ends the whole process, so it is tried in another one
first.
"""

from functools import cache
import importlib.util
import subprocess
import sys

import pybullet

from dysl_vla_ros.errors import SimulationError

_PLUGIN = 'eglRenderer'
_ENTRY = '_eglRendererPlugin'
_TIMEOUT_S = 60
_PROBE = """
import sys, pybullet
client = pybullet.connect(pybullet.DIRECT)
plugin = pybullet.loadPlugin(sys.argv[1], sys.argv[2])
pybullet.getCameraImage(4, 4, renderer=pybullet.ER_BULLET_HARDWARE_OPENGL)
print('EGL works' if plugin >= 0 else 'no plugin')
"""


@cache
def why_unavailable() -> str:
    """Empty where EGL rendering works, else the reason it does not."""
    spec = importlib.util.find_spec(_PLUGIN)
    if spec is None or spec.origin is None:
        return f'this PyBullet has no {_PLUGIN} plugin'
    try:
        probe = subprocess.run([sys.executable, '-c', _PROBE, spec.origin, _ENTRY],
                               capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f'the trial did not end within {_TIMEOUT_S} s'
    if 'EGL works' in probe.stdout:
        return ''
    lines = (probe.stderr + probe.stdout).strip().splitlines()
    return f'exit code {probe.returncode}: {lines[-1] if lines else "no message"}'


def load(client: int) -> int:
    """Load the plugin into a client and return its id.

    Raises:
        SimulationError: Where EGL does not work; says why.
    """
    reason = why_unavailable()
    if reason:
        raise SimulationError(f"renderer 'egl' is not available here ({reason}); use 'tiny'")
    spec = importlib.util.find_spec(_PLUGIN)
    assert spec is not None
    plugin: int = pybullet.loadPlugin(spec.origin, _ENTRY, physicsClientId=client)
    if plugin < 0:
        raise SimulationError(f"renderer 'egl': PyBullet did not load {spec.origin}")
    return plugin
