"""Sums of products over arrays, loops and all, whose tile never leaves its registers."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from convgrad.kernels.vector import llvm
from convgrad.kernels.vector.kinds import Vector


@intrinsic(prefer_literal=True)
def add_toeplitz(typing, tile, array, index, pitch, factors):
    """``add_toeplitz(tile, array, index, pitch, factors)``: add a Toeplitz matrix's product.

    To vector i is added ``factors[j]`` times the vector from ``index + (i + j) * pitch`` on, for
    all j. Each vector of the array is loaded once.
    """
    kind = tile.dtype

    def emit(context, builder, signature, arguments):
        result, scales = arguments[0], arguments[4]
        for n in range(tile.count + factors.count - 1):
            address = llvm.nth(context, builder, array, arguments[1:4], n)
            pointer = llvm.pointer(builder, context, kind, address)
            vector = builder.load(pointer, align=llvm.element_bytes(context, kind))
            for j in range(max(n - tile.count + 1, 0), min(factors.count, n + 1)):
                value = llvm.fused(
                    *(context, builder, kind, builder.extract_value(scales, j), vector),
                    builder.extract_value(result, n - j),
                )
                result = builder.insert_value(result, value, n - j)
        return result

    return tile(tile, array, types.intp, types.intp, factors), emit


@intrinsic(prefer_literal=True)
def correlate(typing, tile, weights, place, height, width, array, index, pitch, rows):
    """``correlate(tile, weights, place, height, width, array, index, pitch, rows)``.

    Add to row i of a tile of ``rows`` (constant) rows the products of the ``height`` x ``width``
    weights from ``place`` on with the vectors side by side that lie there, the first at
    ``array[index + i * pitch]``. Every row of the array is loaded once, for all rows of the tile
    that it meets; each such number of rows has a loop of its own, so that sums stay in
    registers. The height is at least ``rows``.
    """
    most = rows.literal_value
    across = tile.count // most

    def emit(context, builder, signature, arguments):
        sums, flat, place, height, width, samples, index, pitch, _ = arguments
        number = width.type
        total = [builder.extract_value(sums, n) for n in range(tile.count)]

        def meet(total, row, low, high):
            """Add what row ``row`` of the array, all of its columns, gives to some rows."""
            at = builder.add(index, builder.mul(row, pitch))
            begin = llvm.address(context, builder, array, samples, at)
            last = flat, builder.add(place, builder.mul(row, width)), builder.neg(width)
            taps = [llvm.nth(context, builder, weights, last, i) for i in range(low, high)]
            return _meet(context, builder, tile.dtype, total, across, low, taps, begin, width)

        for row in range(most - 1):
            total = meet(total, number(row), 0, row + 1)
        between = builder.sub(height, number(most - 1))
        total = llvm.loop(
            *(builder, between, total),
            lambda step, total: meet(total, builder.add(step, number(most - 1)), 0, most),
        )
        for row in range(most - 1):
            total = meet(total, builder.add(height, number(row)), row + 1, most)
        return llvm.collect(context, builder, tile, total.__getitem__)

    integer = types.intp
    sizes = integer, integer, integer
    return tile(tile, weights, *sizes, array, integer, integer, rows), emit


@intrinsic(prefer_literal=True)
def correlate_row(
    typing, tile, weights, place, apart, width, array, index, pitch, planes, several, columns
):
    """Add to a tile, ``columns`` (constant) vectors a row, what one row of samples gives to it.

    To row i are added the products of the ``width`` weights from ``place - i * width`` on with the
    vectors side by side that lie there, the first at ``array[index]``; and so on for ``planes``,
    ``apart`` among the weights and ``pitch`` in the array. ``several`` is a tuple: of more than one
    entry if there may be more than one plane, as a loop around one costs a tenth.
    """
    across = columns.literal_value

    def emit(context, builder, signature, arguments):
        sums, flat, place, apart, width, samples, index, pitch, planes, *_ = arguments
        total = [builder.extract_value(sums, n) for n in range(tile.count)]

        def meet(plane, total):
            at = builder.add(index, builder.mul(plane, pitch))
            begin = llvm.address(context, builder, array, samples, at)
            last = flat, builder.add(place, builder.mul(plane, apart)), builder.neg(width)
            rows = range(tile.count // across)
            taps = [llvm.nth(context, builder, weights, last, i) for i in rows]
            return _meet(context, builder, tile.dtype, total, across, 0, taps, begin, width)

        if several.count > 1:
            total = llvm.loop(builder, planes, total, meet)
        else:
            total = meet(planes.type(0), total)
        return llvm.collect(context, builder, tile, total.__getitem__)

    integer = types.intp
    left, right = (weights, integer, integer, integer), (array, integer, integer, integer)
    return tile(tile, *left, *right, several, columns), emit


def _meet(context, builder, kind, total, across, first, taps, samples, width):
    """Add what a row of samples gives to rows of sums, each ``across`` vectors side by side.

    The samples begin at an address, and so do the ``width`` weights ``taps[i]`` of row
    ``first + i``.
    """

    def add(step, total):
        total = list(total)
        pointers = (
            builder.gep(samples, [builder.add(step, step.type(j * kind.lanes))])
            for j in range(across)
        )
        seen = [
            builder.load(
                llvm.pointer(builder, context, kind, pointer),
                align=llvm.element_bytes(context, kind),
            )
            for pointer in pointers
        ]
        for i, tap in enumerate(taps, first):
            weight = llvm.splat(builder, builder.load(builder.gep(tap, [step])), kind.lanes)
            for n, vector in enumerate(seen, i * across):
                total[n] = llvm.fused(context, builder, kind, weight, vector, total[n])
        return total

    return llvm.loop(builder, width, total, add)


@intrinsic(prefer_literal=True)
def add_panel(
    typing, tile, left, index, second, apart, along, right, start, step, pitch, depth, columns
):
    """Add a product of matrices to a tile whose rows are ``columns`` (constant) vectors.

    The left matrix has as many rows, one half of them from ``index`` on and the other from
    ``second`` on, ``apart`` (constant) elements apart; its ``depth`` columns, at least one, lie
    ``along`` elements apart. Rows of the right one lie from ``start`` on ``step`` apart, their
    vectors ``pitch`` apart.
    """
    kind, across = tile.dtype, columns.literal_value
    rows, between = tile.count // across, apart.literal_value

    def emit(context, builder, signature, arguments):
        sums, flat, *halves, _, along, other, start, step, pitch, depth, _ = arguments
        number = depth.type
        total = [builder.extract_value(sums, n) for n in range(tile.count)]
        halves = [llvm.address(context, builder, left, flat, index) for index in halves]
        panel = llvm.address(context, builder, right, other, start)

        def column(place, total):
            total, own = list(total), []
            shift = builder.mul(place, along)
            row = builder.gep(panel, [builder.mul(place, step)])
            for j in range(across):
                address = builder.gep(row, [builder.mul(pitch, number(j))])
                pointer = llvm.pointer(builder, context, kind, address)
                own.append(builder.load(pointer, align=llvm.element_bytes(context, kind)))
            for i in range(rows):
                half, n = divmod(i, rows // 2)
                address = builder.gep(builder.gep(halves[half], [shift]), [number(n * between)])
                factor = llvm.splat(builder, builder.load(address), kind.lanes)
                for j, vector in enumerate(own):
                    n = i * across + j
                    total[n] = llvm.fused(context, builder, kind, factor, vector, total[n])
            return total

        return llvm.collect(
            context, builder, tile, llvm.loop(builder, depth, total, column).__getitem__
        )

    integer = types.intp
    places = left, integer, integer, apart, integer, right, integer, integer, integer
    return tile(tile, *places, integer, columns), emit


@intrinsic(prefer_literal=True)
def add_gathered(
    typing, tile, left, places, first, shift, right, start, step, depth, columns, halves
):
    """Add a product of matrices to a tile whose rows are ``columns`` (constant) vectors.

    Row i of the left matrix lies from ``places[first + i] + shift`` on, its ``depth`` columns, at
    least one, side by side. Rows of the right one lie from ``start`` on ``step`` apart, their
    vectors side by side: all whole, or the last one half if ``halves`` (constant) is 1. Of a half
    vector the other lanes are set to 0.
    """
    whole, across = tile.dtype, columns.literal_value
    kinds = [whole] * across
    if halves.literal_value:
        kinds[-1] = Vector(whole.dtype, whole.lanes // 2)

    def emit(context, builder, signature, arguments):
        sums, flat, table, first, shift, other, start, step, depth, *_ = arguments

        def resized(value, lanes):
            """The first lanes of a vector, or these and zeros."""
            return llvm.pick(builder, value, ir.Constant(value.type, None), range(lanes))

        total = [
            resized(builder.extract_value(sums, n), kinds[n % across].lanes)
            for n in range(tile.count)
        ]
        pointers = []
        for i in range(tile.count // across):
            place = llvm.address(context, builder, places, table, builder.add(first, first.type(i)))
            begin = builder.add(builder.load(place), shift)
            pointers.append(llvm.address(context, builder, left, flat, begin))
        panel = llvm.address(context, builder, right, other, start)

        def column(place, total):
            total, own = list(total), []
            row = builder.gep(panel, [builder.mul(place, step)])
            for j, kind in enumerate(kinds):
                pointer = builder.gep(row, [place.type(j * whole.lanes)])
                pointer = llvm.pointer(builder, context, kind, pointer)
                own.append(builder.load(pointer, align=llvm.element_bytes(context, kind)))
            for i, pointer in enumerate(pointers):
                element = builder.load(builder.gep(pointer, [place]))
                factors = llvm.splat(builder, element, kinds[0].lanes)
                if halves.literal_value and across > 1:
                    # LLVM would broadcast once more for the half, from register to register.
                    same = ir.FunctionType(factors.type, [factors.type])
                    factors = builder.asm(same, "", "=v,0", [factors], side_effect=False)
                for n, (kind, vector) in enumerate(zip(kinds, own), i * across):
                    factor = resized(factors, kind.lanes)
                    total[n] = llvm.fused(context, builder, kind, factor, vector, total[n])
            return total

        total = llvm.loop(builder, depth, total, column)
        return llvm.collect(context, builder, tile, lambda n: resized(total[n], whole.lanes))

    integer = types.intp
    sizes = integer, integer, integer
    return tile(tile, left, places, integer, integer, right, *sizes, columns, halves), emit
