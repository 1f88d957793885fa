"""Kernels whose times are known to be equal, or known; zygotes import this module."""

import time

import numpy as np
from numba import njit, prange

from convgrad.kernels import kernel

EQUALS = tuple(f"equal_{number}" for number in range(21))
"""Names of kernels that are one and the same."""

BUSY = {"busy_100_us": 100e-6, "busy_1_ms": 1e-3, "busy_10_ms": 10e-3}
"""Names of kernels that take a known time, and their seconds."""


_WORTH_SHARING = 100_000
"""Samples, about 20 us of work: for less no kernel wakes its threads, as that costs as much."""


@njit(cache=True)
def _three_taps(signal, taps, result):
    a, b, c = taps
    for s in range(len(result)):
        result[s] = a * signal[s + 2] + b * signal[s + 1] + c * signal[s]


@njit(cache=True, parallel=True)
def _three_taps_by_all(signal, taps, result):
    a, b, c = taps
    for s in prange(len(result)):
        result[s] = a * signal[s + 2] + b * signal[s + 1] + c * signal[s]


@kernel("convolve", family="numba")
def three_taps(signal, taps, *, mode):
    """Convolve with 3 taps on one thread; mode "valid" only, as all kernels here."""
    result = np.empty(len(signal) - 2, signal.dtype)
    _three_taps(signal, taps, result)
    return result


@kernel("convolve", family="numba")
def three_taps_by_all(signal, taps, *, mode):
    """Convolve with 3 taps on all threads, where there is work for more than one."""
    result = np.empty(len(signal) - 2, signal.dtype)
    shared = len(signal) > _WORTH_SHARING
    (_three_taps_by_all if shared else _three_taps)(signal, taps, result)
    return result


def _declare(name, function):
    function.__name__ = function.__qualname__ = name  # by which the registry tells functions apart
    kernel("convolve", family="numba")(function)


def _equal():
    def same(signal, taps, *, mode):
        result = np.empty(len(signal) - 2, signal.dtype)
        _three_taps(signal, taps, result)
        return result

    return same


def _busy(duration_ns):
    def busy(signal, taps, *, mode):
        end = time.perf_counter_ns() + duration_ns
        result = np.convolve(signal, taps, mode)
        while time.perf_counter_ns() < end:
            pass
        return result

    return busy


for _name in EQUALS:
    _declare(_name, _equal())
for _name, _seconds in BUSY.items():
    _declare(_name, _busy(round(_seconds * 1e9)))
