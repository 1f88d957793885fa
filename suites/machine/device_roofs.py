"""How fast a CUDA device can be at all: peak arithmetic, and reading from its cache and memory."""

import time

import numpy as np

from convgrad.kernels.cuda import cuda, resident_blocks, simulated

_THREADS = 512
_BLOCKS = 4
"""Blocks on a multiprocessor, which is full then."""
_CHAINS = 32
_LOADS = 8
_TURNS = 500
_SHIFT = 67
"""Blocks by which every turn moves on: none finds in its own cache what it has read before."""
_CACHED, _MEMORY = 24 << 20, 2 << 30
"""Working sets in bytes: a part of the second-level cache, and many times all of it."""
_SIMULATED = 1 << 12


@cuda.jit
def _multiply_add(out, turns, factor, summand):
    """Independent multiply-adds that never leave the registers; 0.5 x + 0.5 stays near 1."""
    chains = cuda.local.array(_CHAINS, dtype=out.dtype)
    index = cuda.grid(1)
    for i in range(_CHAINS):
        chains[i] = factor * (index + i)
    for _ in range(turns):
        for i in range(_CHAINS):
            chains[i] = chains[i] * factor + summand
    total = out.dtype.type(0)
    for i in range(_CHAINS):
        total += chains[i]
    out[index] = total


@cuda.jit
def _read(data, out, turns):
    """Add up an array again and again, neighbours by neighbouring threads, several loads a."""
    values = cuda.local.array(_LOADS, dtype=data.dtype)
    width = cuda.gridsize(1)
    total = data.dtype.type(0)
    for turn in range(turns):
        block = (cuda.blockIdx.x + turn * _SHIFT) % cuda.gridDim.x
        index = block * cuda.blockDim.x + cuda.threadIdx.x
        for start in range(index, data.size - (_LOADS - 1) * width, _LOADS * width):
            for i in range(_LOADS):
                values[i] = data[np.uint64(start + i * width)]
            for i in range(_LOADS):
                total += values[i]
    out[cuda.grid(1)] = total


def measure(dtype, seconds=0.6):
    """Measure the roofs of the current device; of every figure the best of several repeats.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    seconds : float
        Time to spend, roughly; compiling comes on top.

    Returns
    -------
    dict
        ``device``, ``dtype``; ``flops_per_s`` and ``multiply_add_flops_per_s``, of independent
        multiply-adds in registers; ``levels``; and ``bandwidth`` of reading, a pair [working set
        in bytes, bytes per second] for each level.
    """
    real = np.dtype(dtype).type
    blocks = resident_blocks(_BLOCKS)
    threads = 8 if simulated() else _THREADS
    out = cuda.device_array(blocks * threads, dtype)
    turns = 2 if simulated() else _TURNS
    flops = 2 * _CHAINS * turns * out.size
    launch = _multiply_add[blocks, threads]
    peak = flops / _best(lambda: launch(out, turns, real(0.5), real(0.5)), seconds / 3)
    bandwidth = []
    for size in (_CACHED, _MEMORY):
        once = _SIMULATED if simulated() else size
        step = _LOADS * out.size * out.dtype.itemsize
        data = cuda.device_array(max(once // step, 1) * step // out.dtype.itemsize, dtype)
        data[:] = real(1)
        repeats = max(1, 1 if simulated() else _MEMORY // data.nbytes)
        best = _best(lambda: _read[blocks, threads](data, out, repeats), seconds / 3)  # noqa: B023
        bandwidth.append([data.nbytes, repeats * data.nbytes / best])
    return {
        "device": "cuda",
        "dtype": dtype,
        "flops_per_s": peak,
        "multiply_add_flops_per_s": peak,
        "levels": ["L2", "memory"],
        "bandwidth": bandwidth,
    }


def _best(run, seconds):
    """Seconds of ``run()`` at best."""
    run()
    cuda.synchronize()
    best, end = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        run()
        cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best
