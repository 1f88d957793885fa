"""What vectors are made of, and how their lanes move and meet."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from convgrad.kernels.vector import llvm
from convgrad.kernels.vector.kinds import Vector
from convgrad.kernels.vector.registers import register_bytes

_BLOCK = 16
"""Bytes within which lanes of wider registers are moved by the quickest instructions."""


@intrinsic(prefer_literal=True)
def zero_tile(typing, array, lanes, count):
    """``zero_tile(array, lanes, count)``: a tile of ``count`` vectors of zeros."""
    tile = types.UniTuple(Vector(array.dtype, lanes.literal_value), count.literal_value)
    return tile(array, lanes, count), lambda context, builder, *_: ir.Constant(
        context.get_value_type(tile), None
    )


@intrinsic(prefer_literal=True)
def broadcast(typing, scalar, lanes):
    """``broadcast(scalar, lanes)``: the scalar in every lane."""
    kind = Vector(scalar, lanes.literal_value)
    return kind(scalar, lanes), lambda context, builder, signature, arguments: llvm.splat(
        builder, arguments[0], kind.lanes
    )


@intrinsic(prefer_literal=True)
def repeat(typing, tile, count):
    """``repeat(tile, count)``: the vectors of a tile, so many (constant) times over."""
    longer = types.UniTuple(tile.dtype, tile.count * count.literal_value)

    def emit(context, builder, signature, arguments):
        def one(i):
            return builder.extract_value(arguments[0], i % tile.count)

        return llvm.collect(context, builder, longer, one)

    return longer(tile, count), emit


@intrinsic
def sides(typing, rows, columns):
    """``sides(rows, columns)``: lengths of two tuples, and their product, as literals.

    So the sides of a tile can be part of the types of arguments.
    """
    counts = rows.count, columns.count, rows.count * columns.count
    kind = types.Tuple([types.literal(count) for count in counts])
    return kind(rows, columns), lambda context, builder, *_: context.make_tuple(
        builder, kind, [ir.IntType(64)(count) for count in counts]
    )


@intrinsic(prefer_literal=True)
def first_row(typing, tile, columns):
    """``first_row(tile, columns)``: its first ``columns`` (constant) vectors."""
    row = types.UniTuple(tile.dtype, columns.literal_value)

    def emit(context, builder, signature, arguments):
        return llvm.collect(context, builder, row, lambda i: builder.extract_value(arguments[0], i))

    return row(tile, columns), emit


@intrinsic(prefer_literal=True)
def move_up(typing, tile, columns):
    """``move_up(tile, columns)``: every row of ``columns`` vectors one up, zeros in the last."""
    shift = columns.literal_value

    def emit(context, builder, signature, arguments):
        def one(i):
            if i + shift < tile.count:
                return builder.extract_value(arguments[0], i + shift)
            return ir.Constant(context.get_value_type(tile.dtype), None)

        return llvm.collect(context, builder, tile, one)

    return tile(tile, columns), emit


@intrinsic
def as_numbers(typing, tile, array):
    """``as_numbers(tile, array)``: a tile of integers in the dtype of an array of floats."""
    result = types.UniTuple(Vector(array.dtype, tile.dtype.lanes), tile.count)

    def emit(context, builder, signature, arguments):
        kind = context.get_value_type(result.dtype)

        def one(i):
            return builder.sitofp(builder.extract_value(arguments[0], i), kind)

        return llvm.collect(context, builder, result, one)

    return result(tile, array), emit


@intrinsic
def join(typing, low, high, first):
    """``join(low, high, first)``: lanes from ``first`` on of low and high in a row.

    One shuffle where the processor has one of two registers by places in a third (AVX-512); else a
    step for each bit of ``first``.
    """

    def emit(context, builder, signature, arguments):
        return _join(builder, low, *arguments)

    return low(low, high, types.intp), emit


def _join(builder, kind, low, high, first):
    if register_bytes() == 64 and kind.lanes * kind.dtype.bitwidth == 512:
        number = ir.IntType(kind.dtype.bitwidth)
        numbers = ir.Constant(ir.VectorType(number, kind.lanes), list(range(kind.lanes)))
        start = first if number.width == 64 else builder.trunc(first, number)
        places = builder.add(numbers, llvm.splat(builder, start, kind.lanes))
        name = f"llvm.x86.avx512.vpermi2var.p{'d' if number.width == 64 else 's'}.512"
        return llvm.call(builder, name, low.type, low, places, high)
    for bit in (kind.lanes >> level for level in range(kind.lanes.bit_length())):
        moved = builder.icmp_signed("!=", builder.and_(first, first.type(bit)), first.type(0))
        places = range(bit, bit + kind.lanes)
        low = builder.select(moved, llvm.pick(builder, low, high, places), low)
        high = builder.select(moved, llvm.pick(builder, high, high, places), high)
    return low


@intrinsic
def even_lanes(typing, tile):
    """``even_lanes(tile)``: a vector of each two, of their lanes of even number in a row."""
    half = types.UniTuple(tile.dtype, tile.count // 2)

    def emit(context, builder, signature, arguments):
        def one(i):
            pair = (builder.extract_value(arguments[0], 2 * i + side) for side in range(2))
            return llvm.pick(builder, *pair, range(0, 2 * tile.dtype.lanes, 2))

        return llvm.collect(context, builder, half, one)

    return half(tile), emit


@intrinsic
def transpose(typing, tile):
    """``transpose(tile)``: lane j of vector i to lane i of vector j, for as many as lanes."""

    def emit(context, builder, signature, arguments):
        vectors = [builder.extract_value(arguments[0], i) for i in range(tile.count)]
        block = min(_BLOCK // llvm.element_bytes(context, tile.dtype), tile.count)
        for bit in range(tile.count.bit_length() - 1):
            step = 1 << bit
            for i in range(tile.count):
                if not i & step:
                    pair = vectors[i], vectors[i + step]
                    low, high = _mixed(tile.count, block, step)
                    vectors[i] = llvm.pick(builder, *pair, low)
                    vectors[i + step] = llvm.pick(builder, *pair, high)
        turned = _turned(block)
        return llvm.collect(
            context, builder, tile, lambda i: vectors[i - i % block + turned[i % block]]
        )

    return tile(tile), emit


def _mixed(lanes, block, step):
    """Lanes that two vectors give to each of two others, of which one instruction makes each.

    Pieces of ``step`` lanes by turns, from the low or high halves of blocks; from one block on,
    blocks of even or odd number, those of the first vector first.
    """
    numbers = np.arange(2 * lanes)
    if step < block:
        numbers = numbers.reshape(2, lanes // block, 2, block // 2 // step, step)
        return [numbers[:, :, half].transpose(1, 2, 0, 3).ravel().tolist() for half in range(2)]
    numbers = numbers.reshape(lanes // block, 2, block)
    return [numbers[:, half].ravel().tolist() for half in range(2)]


def _turned(count):
    """Numbers below a power of two with their bits in reverse."""
    bits = count.bit_length() - 1
    return [int(f"{i:0{bits}b}"[::-1], 2) for i in range(count)] if bits else [0]


@intrinsic(prefer_literal=True)
def total(typing, vector):
    """``total(vector)``: the sum of its lanes, added in pairs."""

    def emit(context, builder, signature, arguments):
        (value,) = arguments
        width = vector.lanes
        while width > 1:
            width //= 2
            high = ir.Constant(ir.VectorType(ir.IntType(32), width), list(range(width, 2 * width)))
            low = ir.Constant(ir.VectorType(ir.IntType(32), width), list(range(width)))
            undefined = ir.Constant(value.type, ir.Undefined)
            value = builder.fadd(
                builder.shuffle_vector(value, undefined, low),
                builder.shuffle_vector(value, undefined, high),
            )
        return builder.extract_element(value, ir.IntType(32)(0))

    return vector.dtype(vector), emit


@intrinsic
def totals(typing, tile):
    """``totals(tile)``: a vector with the sum of the lanes of vector i in lane i.

    Two vectors share each addition of lanes: some two shuffles a vector, where one after another
    would take ``log2(lanes)``. The result has as many lanes as the next power of two.
    """
    lanes = tile.dtype.lanes
    kind = Vector(tile.dtype.dtype, tile.count)

    def emit(context, builder, signature, arguments):
        vectors = [builder.extract_value(arguments[0], i) for i in range(tile.count)]
        firsts = range(0, 1 << (tile.count - 1).bit_length(), lanes)
        parts = [_sum_lanes(builder, vectors[i : i + lanes], lanes) for i in firsts]
        none = ir.Constant(vectors[0].type, ir.Undefined)
        parts = [none if part is None else part for part in parts]
        while len(parts) > 1:
            both = range(2 * parts[0].type.count)
            parts = [llvm.pick(builder, *parts[i : i + 2], both) for i in range(0, len(parts), 2)]
        return llvm.pick(builder, parts[0], parts[0], range(tile.count))

    return kind(tile), emit


@intrinsic
def sum_lanes(typing, tile):
    """``sum_lanes(tile)``: a tile; in every lane of vector i is the sum of lanes of its vector i.

    For a power of two of vectors.
    """
    lanes, together = tile.dtype.lanes, min(tile.count, tile.dtype.lanes)

    def emit(context, builder, signature, arguments):
        vectors = [builder.extract_value(arguments[0], i) for i in range(tile.count)]
        groups = (vectors[i : i + together] for i in range(0, tile.count, together))
        sums = [vector for group in groups for vector in _sums(builder, group, lanes)]
        return llvm.collect(context, builder, tile, sums.__getitem__)

    return tile(tile), emit


def _sums(builder, vectors, lanes):
    """Sum of lanes of each vector, in every lane.

    Two share each addition until there is one, whose groups of lanes hold parts of a sum each.
    """
    held, group, places = vectors, lanes, [0] * len(vectors)
    while len(held) > 1:
        half, group = len(held) // 2, group // 2
        places = [place + (group if i & half else 0) for i, place in enumerate(places)]
        held = [_blend(builder, *pair, lanes, group) for pair in zip(held, held[half:])]
    (both,), bit = held, group // 2
    while bit:
        both, bit = _blend(builder, both, both, lanes, bit), bit // 2
    repeated = ([place + j % group for j in range(lanes)] for place in places)
    return [llvm.pick(builder, both, both, numbers) for numbers in repeated]


def _blend(builder, left, right, lanes, bit):
    """Add lanes that differ in a bit of their number: of the left vector where it is 0.

    One of the two picks moves no lane: more units of a processor do that than shuffle.
    """
    stay = [lanes + i if i & bit else i for i in range(lanes)]
    move = [lanes + i ^ bit if i & bit else i ^ bit for i in range(lanes)]
    return builder.fadd(*(llvm.pick(builder, left, right, places) for places in (stay, move)))


def _sum_lanes(builder, vectors, lanes):
    """Vector whose lane i is the sum of vector i; lanes beyond are of no meaning.

    Lanes that differ in one bit of their number are added, from the highest bit on, and that bit
    then tells the left vector of a pair from the right one: places come out with bits reversed.
    """
    bits = lanes.bit_length() - 1
    held = [vectors[i] if i < len(vectors) else None for i in _turned(lanes)]
    for bit in (lanes >> level for level in range(1, bits + 1)):
        pairs = zip(held[::2], held[1::2])
        held = [_fold(builder, left, right, lanes, bit) for left, right in pairs]
    return held[0]


def _fold(builder, left, right, lanes, bit):
    if left is None and right is None:
        return None
    undefined = ir.Constant((left or right).type, ir.Undefined)
    left, right = (undefined if side is None else side for side in (left, right))
    low = [lanes + (i ^ bit) if i & bit else i for i in range(lanes)]
    high = [lanes + i if i & bit else i | bit for i in range(lanes)]
    return builder.fadd(*(llvm.pick(builder, left, right, places) for places in (low, high)))
