"""Kernels that compile when they should not, or load what was compiled; zygotes import this."""

import time

import numpy as np
from numba import njit

from convgrad.kernels import kernel

TRIALS = 10
ALWAYS = tuple(f"compiles_always_{number}" for number in range(TRIALS))
"""Kernels that compile in each call."""
ONCE = tuple(f"compiles_once_{number}" for number in range(TRIALS))
"""Kernels that compile a second time, in their call number `LATE`, in which they also sleep."""
CACHED = tuple(f"compiles_first_{number}" for number in range(2 * TRIALS))
"""Kernels that compile in their first call, and load what was compiled in other processes."""

LATE = 100
"""Of a kernel whose calls last microseconds, this one is in the first sample's loop."""
SLEEP_S = 0.2


def _loop(signal, taps, result):
    a, b, c = taps
    for s in range(len(result)):
        result[s] = a * signal[s + 2] + b * signal[s + 1] + c * signal[s]


def _called(loop, signal, taps):
    result = np.empty(len(signal) - 2, signal.dtype)
    loop(signal, taps, result)
    return result


def _always():
    return lambda signal, taps, *, mode: _called(njit(_loop), signal, taps)


def _once():
    loop, calls = njit(_loop), 0

    def once(signal, taps, *, mode):
        nonlocal calls
        calls += 1
        if calls == LATE:
            loop.recompile()
            time.sleep(SLEEP_S)
        return _called(loop, signal, taps)

    return once


def _cached(name):
    def loop(signal, taps, result):
        a, b, c = taps
        for s in range(len(result)):
            result[s] = a * signal[s + 2] + b * signal[s + 1] + c * signal[s]

    loop.__qualname__ = f"{name}_loop"  # names its file in the cache
    loop = njit(cache=True)(loop)
    return lambda signal, taps, *, mode: _called(loop, signal, taps)


def _declare(name, function):
    function.__name__ = function.__qualname__ = name  # by which the registry tells functions apart
    kernel("convolve", family="numba")(function)


for _name in ALWAYS:
    _declare(_name, _always())
for _name in ONCE:
    _declare(_name, _once())
for _name in CACHED:
    _declare(_name, _cached(_name))
