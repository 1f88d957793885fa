"""How fast this machine can be at all: peak arithmetic and the bandwidth of each memory level.

Roofs are measured, never looked up: a data sheet knows neither the clock under load nor the
neighbours on a shared machine.
"""

import functools
import time

import numba
import numpy as np

from convgrad.suites.machine import environment, facts
from convgrad.suites.machine.roof_kernels import (
    BLOCK,
    LINE,
    chains,
    multiply_add_kernel,
    read_kernel,
    touch_kernel,
    triad_kernel,
    vector_bytes,
)

GEMM_SIDES = (1536, 3072)
"""Smallest and largest side of the matrices that are multiplied."""

_SMALLEST_DRAM = 256 << 20
_TYPICAL_CACHES = {"l1d_bytes": 32 << 10, "l2_bytes": 1 << 20, "l3_bytes": 32 << 20}
_TYPICAL_RATE = 50e9
"""Flops or bytes per second and thread, from which the search for a good length starts."""
_PIECE_S, _PROBE_S, _FEWEST = 0.001, 0.005, 3
"""Seconds of the pieces of a probe, roughly, and of all of them, of which there are so many."""


def measure(dtype, threads, seconds=0.6):
    """Measure the roofs, in a process whose libraries were set to ``threads`` before import.

    A roof is a maximum: every figure is the best of several repeats, because whatever else ran
    meanwhile can only have made it smaller.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    threads : int
    seconds : float
        Time to spend, roughly; compiling comes on top the first time.

    Returns
    -------
    dict
        ``dtype``, ``threads``; ``multiply_add_flops_per_s`` of independent multiply-adds in
        vector registers; ``gemm_flops_per_s`` of NumPy's matrix product; ``flops_per_s``, the
        larger of both; ``levels``, the names of the memory levels that were told apart, from the
        first cache to main memory; and for each level pairs [working set in bytes of all threads
        together, bytes per second]: ``bandwidth`` of reading, and ``triad`` of
        ``a[i] = b[i] + s * c[i]``, where what is read and written counts, but not that a cache
        reads a line before it is written.

    Raises
    ------
    ValueError
        If Numba was started with fewer threads.
    """
    numba.set_num_threads(threads)
    levels = working_sets(threads)
    share = seconds / (2 + 2 * len(levels))
    multiply_add = multiply_add_flops_per_s(dtype, threads, share)
    gemm = gemm_flops_per_s(dtype, multiply_add, share)
    read, triad = [], []
    for size in levels.values():
        data = touched(dtype, threads, size)
        read.append([size, read_bytes_per_s(data, threads, share)])
        triad.append([size, triad_bytes_per_s(data, threads, share)])
    return {
        "dtype": dtype,
        "threads": threads,
        "flops_per_s": max(multiply_add, gemm),
        "multiply_add_flops_per_s": multiply_add,
        "gemm_flops_per_s": gemm,
        "levels": list(levels),
        "bandwidth": read,
        "triad": triad,
    }


def highest(one, other):
    """Join two measurements of the same dtype and threads: of every number the larger one."""
    joined = other | one
    for name in one.keys() & other.keys():
        if name.endswith("flops_per_s"):
            joined[name] = max(one[name], other[name])
        elif name in ("bandwidth", "triad"):
            joined[name] = [
                [size, max(speed, known)]
                for (size, speed), (_, known) in zip(one[name], other[name])
            ]
    return joined


def multiply_add_probe(dtype, threads):
    """Time pieces of multiply-adds for about `_PROBE_S`.

    Returns
    -------
    flops, wall_ns, cpu_ns : int
        Of the fastest piece; flops and CPU time of all threads together.
    """
    out = np.empty(threads, dtype)
    half = out.dtype.type(0.5)
    flops = 2 * chains() * (vector_bytes() // out.itemsize)
    turns = 1 + int(_TYPICAL_RATE * _PIECE_S / flops)
    return turns * flops * threads, *_fastest(multiply_add_kernel, out, turns, half, half)


def read_probe(dtype, threads, size):
    """Time reading about ``size`` bytes again and again for about `_PROBE_S`.

    They lie where so many bytes find room; beyond the largest of `working_sets` nothing changes,
    and no more are read.

    Returns
    -------
    read, wall_ns, cpu_ns : int
        Of the fastest piece; bytes and CPU time of all threads together.
    """
    block = threads * BLOCK * vector_bytes()
    size = min(size, max(working_sets(threads).values())) // block * block
    data, out = _kept(dtype, threads, max(size, block)), np.zeros(threads, dtype)
    blocks, turns = data.nbytes // block, 1 + int(_TYPICAL_RATE * _PIECE_S * threads / data.nbytes)
    return turns * data.nbytes, *_fastest(read_kernel, data, out, blocks, turns)


def working_sets(threads):
    """Choose sizes in bytes, of all threads together, each of which lies in one memory level.

    Half of every cache: the first and second level of the threads' cores, the third level that
    they reach. Half as much again as this one holds, where nothing is found again that was read
    before; and deep in main memory, four times as much, at least 256 MB. Of what is available,
    either takes at most a quarter.

    Returns
    -------
    dict of str to int
        By level: ``"L1"``, ``"L2"``, ``"L3"``, ``"past L3"``, ``"memory"``, less those that cannot
        be told apart.
    """
    caches = _TYPICAL_CACHES | facts.caches()
    last_level = caches["l3_bytes"] * min(threads, caches.get("l3_instances", 1))
    most = environment.available_bytes() // 4
    wanted = {
        "L1": caches["l1d_bytes"] // 2 * threads,
        "L2": caches["l2_bytes"] // 2 * threads,
        "L3": last_level // 2,
        "past L3": min(3 * last_level // 2, most),
        "memory": min(max(4 * last_level, _SMALLEST_DRAM), most),
    }
    # whole blocks for every thread, in each of the three arrays of a triad
    grain = 3 * threads * BLOCK * vector_bytes()
    rising = {}
    for level, size in wanted.items():
        if size // grain * grain > max(rising.values(), default=0):
            rising[level] = size // grain * grain
    return rising


def multiply_add_flops_per_s(dtype, threads, seconds):
    """Measure the peak of independent multiply-adds that never leave the vector registers."""
    out = np.empty(threads, dtype)
    # x / 2 + 1 / 2 stays near 1: no overflow, no slow subnormal numbers
    half = out.dtype.type(0.5)
    flops = 2 * chains() * (vector_bytes() // out.itemsize)
    turns = 1 + int(_TYPICAL_RATE * seconds / 60 / flops)
    rate = _best_rate(lambda turns: multiply_add_kernel(out, turns, half, half), seconds, turns)
    return rate * flops * threads


def gemm_flops_per_s(dtype, expected_flops_per_s, seconds):
    """Measure NumPy's product of square matrices; one takes about a quarter of the time."""
    side = (expected_flops_per_s * seconds / 4 / 2) ** (1 / 3)
    side = int(np.clip(side, *GEMM_SIDES)) // 64 * 64
    factor = np.full((side, side), 0.5, dtype)
    out = np.empty_like(factor)

    def run(repeats):
        for _ in range(repeats):
            np.matmul(factor, factor, out=out)

    return 2 * side**3 * _best_rate(run, seconds)


def touched(dtype, threads, size):
    """Allocate ``size`` bytes of ones from a cache line on, every thread's part near its thread."""
    items = size // np.dtype(dtype).itemsize
    memory = np.empty(items + LINE, dtype)
    start = -memory.ctypes.data % LINE // memory.itemsize
    data = memory[start : start + items]
    touch_kernel(data, threads)
    return data


_kept = functools.lru_cache(maxsize=1)(touched)


def read_bytes_per_s(data, threads, seconds):
    """Measure reading an array again and again, every thread a part of its own."""
    out = np.zeros(threads, data.dtype)
    blocks = data.nbytes // threads // (BLOCK * vector_bytes())
    turns = _first_turns(data.nbytes, threads, seconds)
    rate = _best_rate(lambda turns: read_kernel(data, out, blocks, turns), seconds, turns)
    return rate * data.nbytes


def triad_bytes_per_s(data, threads, seconds):
    """Measure the triad of STREAM (McCalpin, 1995); the three arrays lie in each thread's part.

    Stores are ordinary ones, as compilers emit them, so main memory carries a third more than the
    bytes that count here: a line is read into the cache before it is written.
    """
    scale = data.dtype.type(0.5)
    blocks = data.nbytes // threads // (3 * BLOCK * vector_bytes())
    turns = _first_turns(data.nbytes, threads, seconds)
    rate = _best_rate(
        lambda turns: triad_kernel(data, scale, threads, blocks, turns), seconds, turns
    )
    return rate * data.nbytes


def _fastest(run, *arguments):
    """Wall and CPU time of the fastest of some calls after a first one, in ns."""
    run(*arguments)
    with environment.apart():
        times, end = [], time.perf_counter() + _PROBE_S
        while len(times) < _FEWEST or time.perf_counter() < end:
            wall, cpu = time.perf_counter_ns(), time.process_time_ns()
            run(*arguments)
            times.append((time.perf_counter_ns() - wall, time.process_time_ns() - cpu))
    return min(times)


def _first_turns(size, threads, seconds):
    return 1 + int(_TYPICAL_RATE * seconds / 60 * threads / size)


def _best_rate(run, seconds, turns=1):
    """Turns per second of ``run(turns)`` at best, over repeats of a thirtieth of the time or more.

    A run is made longer for as long as that still pays: on a busy machine, waking the threads can
    take longer than a short run itself.
    """
    run(1)
    best = 0.0
    end = time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        run(turns)
        now = time.perf_counter()
        rate = turns / (now - start)
        if now > end:
            return max(best, rate)
        if now - start < seconds / 30 or rate > 1.2 * best:
            turns *= 2
        best = max(best, rate)
