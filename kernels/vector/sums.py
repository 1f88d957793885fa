"""Sums of products, of vectors and tiles that lie in registers."""

import math

from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from convgrad.kernels.vector import llvm
from convgrad.kernels.vector.registers import register_bytes

_SHORT = 4
"""Products of a row that take no longer one after another than in two sums."""


@intrinsic(prefer_literal=True)
def multiply_add(typing, left, right, total):
    """``multiply_add(left, right, total)``: ``left * right + total``, fused where there is such."""

    def emit(context, builder, signature, arguments):
        return llvm.fused(context, builder, left, *arguments)

    return left(left, right, total), emit


@intrinsic
def add_tiles(typing, left, right):
    """``add_tiles(left, right)``: sums of two tiles, vector by vector."""

    def emit(context, builder, signature, arguments):
        def one(i):
            return llvm.contract(builder, "fadd", *(builder.extract_value(t, i) for t in arguments))

        return llvm.collect(context, builder, left, one)

    return left(left, right), emit


@intrinsic
def add_products(typing, tile, left, right):
    """``add_products(tile, left, right)``: add the products of two tiles, vector by vector."""

    def emit(context, builder, signature, arguments):
        def one(i):
            total, *pair = (builder.extract_value(part, i) for part in arguments)
            return llvm.fused(context, builder, tile.dtype, *pair, total)

        return llvm.collect(context, builder, tile, one)

    return tile(tile, left, right), emit


@intrinsic(prefer_literal=True)
def add_outer(typing, tile, rows, columns):
    """``add_outer(tile, rows, columns)``: add ``rows[i] * columns[j]`` to vector (i, j)."""
    kind = tile.dtype

    def emit(context, builder, signature, arguments):
        total, left, right = arguments
        for i in range(rows.count):
            for j in range(columns.count):
                place = i * columns.count + j
                value = llvm.fused(
                    *(context, builder, kind),
                    *(builder.extract_value(left, i), builder.extract_value(right, j)),
                    builder.extract_value(total, place),
                )
                total = builder.insert_value(total, value, place)
        return total

    return tile(tile, rows, columns), emit


@intrinsic
def add_product(typing, tile, left, right):
    """``add_product(tile, left, right)``: add to a tile the matrix product of two others.

    Rows of ``left`` follow from the numbers of vectors. The product is summed up first: who
    loads and stores the tile, time after time, waits for one addition and not for a chain.
    """
    rows = math.isqrt(tile.count * left.count // right.count)
    columns, inner = tile.count // rows, left.count // rows

    def emit(context, builder, signature, arguments):
        result, *factors = arguments
        for i in range(rows):
            for j in range(columns):
                value = None
                for k in range(inner):
                    pair = (
                        builder.extract_value(factors[0], i * inner + k),
                        builder.extract_value(factors[1], k * columns + j),
                    )
                    if value is None:
                        value = llvm.contract(builder, "fmul", *pair)
                    else:
                        value = llvm.fused(context, builder, tile.dtype, *pair, value)
                place = i * columns + j
                value = builder.fadd(builder.extract_value(result, place), value)
                result = builder.insert_value(result, value, place)
        return result

    return tile(tile, left, right), emit


@intrinsic
def multiply_rows(typing, left, right):
    """``multiply_rows(left, right)``: sums of the products of each row of ``left`` with ``right``.

    Rows are as long as ``right``; every other product goes into a sum of its own first, so that
    a row waits for half as many.
    """
    tile = types.UniTuple(left.dtype, left.count // right.count)

    def emit(context, builder, signature, arguments):
        rows, factors = arguments

        def one(i):
            return _row(context, builder, (left, right), (rows, factors), i, [], 2)

        return llvm.collect(context, builder, tile, one)

    return tile(left, right), emit


@intrinsic
def subtract_rows(typing, sums, left, right):
    """``subtract_rows(sums, left, right)``: ``sums`` without the products of `multiply_rows`."""

    def emit(context, builder, signature, arguments):
        total, rows, factors = arguments
        for j in range(right.count):
            factors = builder.insert_value(
                factors, builder.fneg(builder.extract_value(factors, j)), j
            )

        def one(i):
            start = [builder.extract_value(total, i)]
            chains = 1 if right.count <= _SHORT else 2
            return _row(context, builder, (left, right), (rows, factors), i, start, chains)

        return llvm.collect(context, builder, sums, one)

    return sums(sums, left, right), emit


def _row(context, builder, kinds, tiles, i, sums, chains):
    """Sum of products of row i with a row, in ``chains`` sums that begin with those given."""
    left, right = kinds
    for j in range(right.count):
        pair = (
            builder.extract_value(tiles[0], i * right.count + j),
            builder.extract_value(tiles[1], j),
        )
        if len(sums) < chains and j >= len(sums):
            sums.append(llvm.contract(builder, "fmul", *pair))
        else:
            sums[j % chains] = llvm.fused(context, builder, left.dtype, *pair, sums[j % chains])
    return builder.fadd(*sums) if len(sums) == 2 else sums[0]


@intrinsic
def add_scaled_rows(typing, tile, scales, rows):
    """``add_scaled_rows(tile, scales, rows)``: add ``scales[i]`` times row i, one after the other.

    For a tile that stays in registers; rows are as long as it is.
    """

    def emit(context, builder, signature, arguments):
        result, *factors = arguments
        for n in range(rows.count):
            i, j = divmod(n, tile.count)
            value = llvm.fused(
                *(context, builder, tile.dtype),
                *(builder.extract_value(factors[0], i), builder.extract_value(factors[1], n)),
                builder.extract_value(result, j),
            )
            result = builder.insert_value(result, value, j)
        return result

    return tile(tile, scales, rows), emit


@intrinsic
def add_dots(typing, tile, rows, columns):
    """``add_dots(tile, rows, columns)``: `add_outer`, with sums of four products for products.

    All are tiles of int32, whose lanes are four bytes each in ``rows`` (unsigned) and ``columns``
    (signed).
    """
    lanes = tile.dtype.lanes
    quarters = ir.VectorType(ir.IntType(8), 4 * lanes)

    def emit(context, builder, signature, arguments):
        total, *factors = arguments
        left, right = (
            [builder.bitcast(builder.extract_value(part, i), quarters) for i in range(kind.count)]
            for part, kind in zip(factors, (rows, columns))
        )
        for place in range(tile.count):
            i, j = divmod(place, columns.count)
            value = _dot(builder, lanes, builder.extract_value(total, place), left[i], right[j])
            total = builder.insert_value(total, value, place)
        return total

    return tile(tile, rows, columns), emit


def _dot(builder, lanes, sums, *factors):
    """Add to each int32 the products of its four bytes: unsigned ones with signed ones.

    One instruction where the processor has it (AVX-512 VNNI), else sums of products of 16 bits.
    """
    if name := dot_instruction(lanes):
        return llvm.call(builder, name, sums.type, sums, *factors)
    words = ir.VectorType(ir.IntType(16), 2 * lanes)
    eight = ir.Constant(words, [ir.IntType(16)(8)] * words.count)
    left, right = (builder.bitcast(factor, words) for factor in factors)
    low = (
        builder.lshr(builder.shl(left, eight), eight),
        builder.ashr(builder.shl(right, eight), eight),
    )
    high = builder.lshr(left, eight), builder.ashr(right, eight)
    for pair in (low, high):  # LLVM knows these sums of two products as one instruction of x86.
        products = (
            builder.mul(
                *(
                    builder.sext(
                        llvm.pick(builder, value, value, range(i, words.count, 2)), sums.type
                    )
                    for value in pair
                )
            )
            for i in range(2)
        )
        sums = builder.add(sums, builder.add(*products))
    return sums


def dot_instruction(lanes):
    """Name of the instruction for `_dot` with so many sums; None where there is none."""
    features = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
    wide = "+avx512vnni" in features and (lanes == 16 or "+avx512vl" in features)
    known = lanes in (4, 8, 16) and 4 * lanes <= register_bytes()
    return f"llvm.x86.avx512.vpdpbusd.{32 * lanes}" if known and wide else None
