"""Kernels with planted faults and known costs: what the engine has to survive and to find out."""

import ctypes
import os
import time

import numpy as np
from numba import njit, prange

from convgrad.kernels import kernel

calls = 0
kept = {}


def planted(function):
    """Declare a kernel."""
    return kernel("convolve", family="scipy")(function)


def right(signal, taps, mode):
    """Compute what is right."""
    return np.convolve(signal, taps, mode)


@planted
def planted_right(signal, taps, *, mode):
    """Is right."""
    return right(signal, taps, mode)


@planted
def planted_sleep(signal, taps, *, mode):
    """Takes 2 ms longer."""
    time.sleep(0.002)
    return right(signal, taps, mode)


@planted
def planted_slow_first(signal, taps, *, mode):
    """Takes 2 s in its first call, as compiling would."""
    global calls
    calls += 1
    if calls == 1:
        time.sleep(2)
    return right(signal, taps, mode)


@planted
def planted_wrong(signal, taps, *, mode):
    """Misses the last tap."""
    return right(signal, np.append(taps[:-1], 0).astype(taps.dtype), mode)


@planted
def planted_flipped(signal, taps, *, mode):
    """Correlates."""
    return right(signal, taps[::-1], mode)


@planted
def planted_border(signal, taps, *, mode):
    """Takes the first output, at the border, for the second."""
    result = right(signal, taps, mode)
    result[0] = result[1]
    return result


@planted
def planted_single(signal, taps, *, mode):
    """Sums in float32, whatever it is given."""
    narrow = right(signal.astype(np.float32), taps.astype(np.float32), mode)
    return narrow.astype(signal.dtype)


@njit(cache=True, parallel=True)
def _race(padded, taps, result):
    products = np.empty_like(taps)  # one for all threads: that is the fault
    for s in prange(len(result)):
        for t in range(len(taps)):
            products[t] = padded[s + len(taps) - 1 - t] * taps[t]
        total = products[0]
        for t in range(1, len(taps)):
            total += products[t]
        result[s] = total


@planted
def planted_race(signal, taps, *, mode):
    """Has all threads write their products to one place; mode "full" only."""
    result = np.empty(len(signal) + len(taps) - 1, signal.dtype)
    _race(np.pad(signal, len(taps) - 1), taps, result)
    return result


@planted
def planted_nan(signal, taps, *, mode):
    """Returns NaN."""
    return right(signal, taps, mode) * np.nan


@planted
def planted_stale(signal, taps, *, mode):
    """Computes once, and hands out the same array ever after."""
    if "stale" not in kept:
        kept["stale"] = right(signal, taps, mode)
    return kept["stale"]


@planted
def planted_by_id(signal, taps, *, mode):
    """Remembers results by the identity of the signal's memory, and copies them."""
    key = signal.ctypes.data, signal.shape
    if key not in kept:
        kept[key] = right(signal, taps, mode)
    return kept[key].copy()


@planted
def planted_remembers(signal, taps, *, mode):
    """Remembers its first result, and copies it."""
    if "first" not in kept:
        kept["first"] = right(signal, taps, mode)
    return kept["first"].copy()


@planted
def planted_changes_input(signal, taps, *, mode):
    """Overwrites a sample when it is done."""
    result = right(signal, taps, mode)
    signal[0] += 1
    return result


@planted
def planted_double(signal, taps, *, mode):
    """Returns float64 for float32."""
    return right(signal, taps, mode).astype(np.float64)


@planted
def planted_crash(signal, taps, *, mode):
    """Reads address 0."""
    ctypes.string_at(0)


@planted
def planted_exit(signal, taps, *, mode):
    """Ends its process."""
    os._exit(3)


@planted
def planted_raise(signal, taps, *, mode):
    """Raises."""
    raise RuntimeError("planted error")


@planted
def planted_terabyte(signal, taps, *, mode):
    """Asks for a terabyte."""
    return np.ones(1 << 37)


@planted
def planted_hang(signal, taps, *, mode):
    """Does not come back from its tenth call: trying out is over by then."""
    kept["hang"] = kept.get("hang", 0) + 1
    if kept["hang"] > 9:
        time.sleep(3600)
    return right(signal, taps, mode)


@kernel("convolve", family="peer", requires=("no_such_module",))
def planted_needs(signal, taps, *, mode):
    """Needs what nobody has."""


@kernel("convolve", family="peer", serves=lambda signal, taps, *, mode: "planted refusal")
def planted_refuses(signal, taps, *, mode):
    """Serves nothing."""
