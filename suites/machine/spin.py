"""Probes of the harness itself: is this thread left alone, and what does an empty call cost."""

import itertools
import statistics
import time

import numpy as np
from numba import njit

STEPS = 1_200_000
"""Length of the chain, of 6 cycles a step: 2 ms at 3.6 GHz. Fixed, so that runs can be compared."""

_CALLS = 2000
_REPEATS = 25


def spin():
    """Run one fixed chain of dependent integer operations on this thread, about 2 ms long.

    It touches no memory and leaves nothing to chance, so it takes longer only where the core is
    slowed down, shared or taken away. The first call compiles.

    Returns
    -------
    wall_ns, cpu_ns : int
        Where the second is less, the thread did not run all the time.
    """
    wall = time.perf_counter_ns()
    cpu = time.thread_time_ns()
    spin_kernel(1, STEPS)
    cpu = time.thread_time_ns() - cpu
    return time.perf_counter_ns() - wall, cpu


def call_overhead_s():
    """Measure what it costs to call Python at all: the loop and an empty function, in seconds."""
    first = second = np.empty(0)
    options = {"threads": 1, "dtype": "float64"}

    def empty(first, second, **options):
        pass

    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter_ns()
        for _ in itertools.repeat(None, _CALLS):
            empty(first, second, **options)
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times) / _CALLS * 1e-9


@njit(cache=True)
def spin_kernel(seed, steps):
    """Step a xorshift generator on from ``seed``: each step needs the one before.

    A linear generator would not do: LLVM joins two of its steps into one.
    """
    state = np.uint64(seed)
    for _ in range(steps):
        state ^= state << np.uint64(13)
        state ^= state >> np.uint64(7)
        state ^= state << np.uint64(17)
    return state
