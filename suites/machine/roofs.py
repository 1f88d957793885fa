"""How fast this machine can be at all: peak arithmetic and the bandwidth of each memory level.

Roofs are measured, never looked up: a data sheet knows neither the clock under load nor the
neighbours on a shared machine. The two inner loops are written as LLVM vectors, so that what
they reach does not depend on what a vectoriser makes of them.
"""

import functools
import time

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from convgrad.suites.measure import machine

GEMM_SIDES = (1536, 3072)
"""Smallest and largest side of the matrices that are multiplied."""

_SMALLEST_DRAM = 256 << 20
_TYPICAL_CACHES = {"l1d_bytes": 32 << 10, "l2_bytes": 1 << 20, "l3_bytes": 32 << 20}
_TYPICAL_RATE = 50e9
"""Flops or bytes per second and thread, from which the search for a good length starts."""
_LOADS = 16
_LINE = 64


def measure(dtype, threads, seconds=1.0):
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
        larger of both; ``bandwidth``, pairs [working set in bytes of all threads together,
        bytes read per second] from the first cache to main memory.

    Raises
    ------
    ValueError
        If Numba was started with fewer threads.
    """
    numba.set_num_threads(threads)
    levels = working_sets(threads)
    share = seconds / (2 + len(levels))
    multiply_add = multiply_add_flops_per_s(dtype, threads, share)
    gemm = gemm_flops_per_s(dtype, multiply_add, share)
    return {
        "dtype": dtype,
        "threads": threads,
        "flops_per_s": max(multiply_add, gemm),
        "multiply_add_flops_per_s": multiply_add,
        "gemm_flops_per_s": gemm,
        "bandwidth": [[size, read_bytes_per_s(dtype, threads, size, share)] for size in levels],
    }


def highest(one, other):
    """Join two measurements of the same dtype and threads: of every number the larger one."""
    joined = {
        name: max(value, other[name]) if name.endswith("flops_per_s") else value
        for name, value in one.items()
    }
    joined["bandwidth"] = [
        [size, max(speed, known)]
        for (size, speed), (_, known) in zip(one["bandwidth"], other["bandwidth"])
    ]
    return joined


def working_sets(threads):
    """Choose sizes in bytes, of all threads together, each of which lies in one memory level.

    Half of every cache: the first and second level of the threads' cores, the third level that
    they reach. In main memory four times the third level, at least 256 MB, at most a quarter of
    what is available.
    """
    caches = _TYPICAL_CACHES | machine.caches()
    last_level = caches["l3_bytes"] * min(threads, caches.get("l3_instances", 1))
    wanted = (
        caches["l1d_bytes"] // 2 * threads,
        caches["l2_bytes"] // 2 * threads,
        last_level // 2,
        min(max(4 * last_level, _SMALLEST_DRAM), machine.available_bytes() // 4),
    )
    grain = threads * _LOADS * vector_bytes()
    rising = [0]
    for size in wanted:
        if size // grain * grain > rising[-1]:
            rising.append(size // grain * grain)
    return rising[1:]


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


def read_bytes_per_s(dtype, threads, size, seconds):
    """Measure reading ``size`` bytes again and again, every thread a part of its own."""
    items = size // np.dtype(dtype).itemsize
    memory = np.empty(items + _LINE, dtype)
    start = -memory.ctypes.data % _LINE // memory.itemsize
    data = memory[start : start + items]
    touch_kernel(data, threads)
    out = np.zeros(threads, dtype)
    blocks = size // threads // (_LOADS * vector_bytes())
    turns = 1 + int(_TYPICAL_RATE * seconds / 60 * threads / size)
    return size * _best_rate(lambda turns: read_kernel(data, out, blocks, turns), seconds, turns)


@functools.cache
def vector_bytes():
    """Width of the host's vector registers."""
    features = llvmlite.binding.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx") else 16


@functools.cache
def chains():
    """Multiply-adds in flight: enough to hide their latency, few enough to stay in registers."""
    features = llvmlite.binding.get_host_cpu_features()
    return 12 if features.get("sse2") and not features.get("avx512f") else 24


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


@intrinsic
def _multiply_add_chains(typing, turns, factor, summand):
    """``x = x * factor + summand`` in every lane of every chain, ``turns`` times; their sum."""

    def generate(context, builder, signature, arguments):
        scalar = context.get_value_type(factor)
        vector = ir.VectorType(scalar, vector_bytes() * 8 // factor.bitwidth)
        factors, summands = (_splat(builder, value, vector) for value in arguments[1:])
        multiply_add = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(vector, [vector] * 3),
            f"llvm.fmuladd.v{vector.count}f{factor.bitwidth}",
        )
        # different starts, or LLVM sees that the chains are one
        starts = [ir.Constant(vector, [scalar(1 + i / 32)] * vector.count) for i in range(chains())]
        ends = _loop(
            builder,
            arguments[0],
            starts,
            lambda index, values: [
                builder.call(multiply_add, [v, factors, summands]) for v in values
            ],
        )
        return _sum_of_lanes(builder, ends)

    return factor(types.intp, factor, factor), generate


@intrinsic
def _sum_again_and_again(typing, data, first_block, blocks, repeats):
    """Add up ``blocks`` blocks of a contiguous array ``repeats`` times."""

    def generate(context, builder, signature, arguments):
        array, first, block_count, repeat_count = arguments
        scalar = context.get_value_type(data.dtype)
        vector = ir.VectorType(scalar, vector_bytes() * 8 // data.dtype.bitwidth)
        memory = context.make_array(data)(context, builder, array).data
        vectors = builder.bitcast(memory, vector.as_pointer())
        per_block = first.type(_LOADS)

        def block(index, sums):
            start = builder.mul(builder.add(first, index), per_block)
            places = (
                builder.gep(vectors, [builder.add(start, start.type(i))]) for i in range(_LOADS)
            )
            return [builder.fadd(s, builder.load(p, align=_LINE)) for s, p in zip(sums, places)]

        zeros = [ir.Constant(vector, [scalar(0.0)] * vector.count)] * _LOADS
        sums = _loop(
            builder, repeat_count, zeros, lambda _, sums: _loop(builder, block_count, sums, block)
        )
        return _sum_of_lanes(builder, sums)

    return data.dtype(data, types.intp, types.intp, types.intp), generate


def _loop(builder, count, carried, body):
    """Emit a loop of ``count`` >= 1 turns; ``body(index, values)`` returns the next values."""
    before = builder.block
    inside, after = (builder.append_basic_block(name) for name in ("turn", "done"))
    builder.branch(inside)
    builder.position_at_end(inside)
    index = builder.phi(count.type)
    values = [builder.phi(value.type) for value in carried]
    following = body(index, values)
    next_index = builder.add(index, count.type(1))
    for phi, start, value in zip(
        [index, *values], [count.type(0), *carried], [next_index, *following]
    ):
        phi.add_incoming(start, before)
        phi.add_incoming(value, builder.block)
    builder.cbranch(builder.icmp_signed("<", next_index, count), inside, after)
    builder.position_at_end(after)
    return following


def _splat(builder, value, vector):
    zero = ir.IntType(32)(0)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, zero)
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [zero] * vector.count)
    return builder.shuffle_vector(first, first, lanes)


def _sum_of_lanes(builder, vectors):
    total = functools.reduce(builder.fadd, vectors)
    lanes = (builder.extract_element(total, ir.IntType(32)(i)) for i in range(total.type.count))
    return functools.reduce(builder.fadd, lanes)


@njit(parallel=True, cache=True)
def multiply_add_kernel(out, turns, factor, summand):
    """Run ``turns`` multiply-adds in every chain, on one thread for each element of ``out``."""
    for thread in prange(len(out)):
        out[thread] = _multiply_add_chains(turns, factor, summand)


@njit(parallel=True, cache=True)
def read_kernel(data, out, blocks, repeats):
    """Read ``blocks`` blocks ``repeats`` times on every thread; their sums go to ``out``."""
    for thread in prange(len(out)):
        out[thread] = _sum_again_and_again(data, thread * blocks, blocks, repeats)


@njit(parallel=True, cache=True)
def touch_kernel(data, threads):
    """Fill with ones; every thread its part, so that the pages lie near the one that reads them."""
    share = len(data) // threads
    for thread in prange(threads):
        data[thread * share : (thread + 1) * share] = 1
