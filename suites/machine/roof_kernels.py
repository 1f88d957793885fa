"""Inner loops that bring a machine to its roofs, written as LLVM vectors.

So what they reach does not depend on what a vectoriser makes of them. The vectors are those that
kernels are compiled for, even where Numba is held to less than the host has.
"""

import functools

import llvmlite.binding
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from convgrad.kernels.vector import register_bytes as vector_bytes

BLOCK = 16
"""Vectors that a turn of the loops over memory takes in at once."""
LINE = 64
"""Bytes that the arrays of these loops have to be aligned to."""


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
def triad_kernel(data, scale, threads, blocks, repeats):
    """Write a third of what every thread has, ``3 * blocks`` blocks, from the other two thirds."""
    for thread in prange(threads):
        _triad_again_and_again(data, scale, thread * 3 * blocks, blocks, repeats)


@njit(parallel=True, cache=True)
def touch_kernel(data, threads):
    """Fill with ones; every thread its part, so that the pages lie near the one that reads them."""
    share = len(data) // threads
    for thread in prange(threads):
        data[thread * share : (thread + 1) * share] = 1


@functools.cache
def chains():
    """Multiply-adds in flight: enough to hide their latency, few enough to stay in registers."""
    features = llvmlite.binding.get_host_cpu_features()
    return 12 if features.get("sse2") and vector_bytes() < 64 else 24


@intrinsic
def _multiply_add_chains(typing, turns, factor, summand):
    """``x = x * factor + summand`` in every lane of every chain, ``turns`` times; their sum."""

    def generate(context, builder, signature, arguments):
        vector = _vector(context, factor)
        factors, summands = (_splat(builder, value, vector) for value in arguments[1:])
        multiply_add = _multiply_add(builder, vector)
        # different starts, or LLVM sees that the chains are one
        starts = [
            ir.Constant(vector, [vector.element(1 + i / 32)] * vector.count)
            for i in range(chains())
        ]
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
        vectors, vector = _as_vectors(context, builder, data, array)

        def block(index, sums):
            places = _places(builder, vectors, builder.add(first, index))
            return [builder.fadd(s, builder.load(p, align=LINE)) for s, p in zip(sums, places)]

        zeros = [ir.Constant(vector, [vector.element(0.0)] * vector.count)] * BLOCK
        sums = _loop(
            builder, repeat_count, zeros, lambda _, sums: _loop(builder, block_count, sums, block)
        )
        return _sum_of_lanes(builder, sums)

    return data.dtype(data, types.intp, types.intp, types.intp), generate


@intrinsic
def _triad_again_and_again(typing, data, scale, first_block, blocks, repeats):
    """``a = b + scale * c`` in three neighbouring runs of ``blocks`` blocks, ``repeats`` times."""

    def generate(context, builder, signature, arguments):
        array, factor, first, block_count, repeat_count = arguments
        vectors, vector = _as_vectors(context, builder, data, array)
        factors = _splat(builder, factor, vector)
        multiply_add = _multiply_add(builder, vector)

        def block(index, _):
            start = builder.add(first, index)
            starts = [builder.add(start, builder.mul(block_count, start.type(i))) for i in range(3)]
            for a, b, c in zip(*(_places(builder, vectors, start) for start in starts)):
                b, c = (builder.load(place, align=LINE) for place in (b, c))
                builder.store(builder.call(multiply_add, [factors, c, b]), a, align=LINE)
            return []

        _loop(builder, repeat_count, [], lambda *_: _loop(builder, block_count, [], block))
        return context.get_dummy_value()

    return types.void(data, data.dtype, types.intp, types.intp, types.intp), generate


def _as_vectors(context, builder, data, array):
    """Pointer to the memory of an array, as vectors, and the type of these."""
    vector = _vector(context, data.dtype)
    memory = context.make_array(data)(context, builder, array).data
    return builder.bitcast(memory, vector.as_pointer()), vector


def _places(builder, vectors, block):
    """Pointers to the vectors of a block, given its number."""
    start = builder.mul(block, block.type(BLOCK))
    return [builder.gep(vectors, [builder.add(start, start.type(i))]) for i in range(BLOCK)]


def _vector(context, real):
    return ir.VectorType(context.get_value_type(real), vector_bytes() * 8 // real.bitwidth)


def _multiply_add(builder, vector):
    bits = vector_bytes() * 8 // vector.count
    return cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(vector, [vector] * 3),
        f"llvm.fmuladd.v{vector.count}f{bits}",
    )


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
