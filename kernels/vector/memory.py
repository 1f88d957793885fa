"""Between arrays and registers: loads, stores, prefetching."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from convgrad.kernels.vector import llvm
from convgrad.kernels.vector.kinds import Vector


@intrinsic(prefer_literal=True)
def load(typing, array, index, lanes):
    """``load(array, index, lanes)``: the lanes from ``array[index]`` on."""
    kind = Vector(array.dtype, lanes.literal_value)

    def emit(context, builder, signature, arguments):
        address = llvm.address(context, builder, array, *arguments[:2])
        pointer = llvm.pointer(builder, context, kind, address)
        return builder.load(pointer, align=llvm.element_bytes(context, kind))

    return kind(array, types.intp, lanes), emit


@intrinsic(prefer_literal=True)
def load_first(typing, array, index, lanes, count):
    """``load_first(array, index, lanes, count)``: the first ``count`` lanes; the others are 0.

    No memory is touched beyond them.
    """
    kind = Vector(array.dtype, lanes.literal_value)

    def emit(context, builder, signature, arguments):
        address = llvm.address(context, builder, array, *arguments[:2])
        pointer = llvm.pointer(builder, context, kind, address)
        mask = llvm.first_lanes(context, builder, kind, arguments[3])
        value = context.get_value_type(kind)
        name = f"llvm.masked.load.{llvm.suffix(kind)}.p0"
        align = ir.IntType(32)(llvm.element_bytes(context, kind))
        return llvm.call(builder, name, value, pointer, align, mask, ir.Constant(value, None))

    return kind(array, types.intp, lanes, types.intp), emit


@intrinsic(prefer_literal=True)
def store(typing, array, index, vector):
    """``store(array, index, vector)``: write all lanes from ``array[index]`` on."""

    def emit(context, builder, signature, arguments):
        address = llvm.address(context, builder, array, *arguments[:2])
        pointer = llvm.pointer(builder, context, vector, address)
        builder.store(arguments[2], pointer, align=llvm.element_bytes(context, vector))
        return context.get_dummy_value()

    return types.none(array, types.intp, vector), emit


@intrinsic(prefer_literal=True)
def store_first(typing, array, index, vector, count):
    """``store_first(array, index, vector, count)``: write the first ``count`` lanes only."""

    def emit(context, builder, signature, arguments):
        address = llvm.address(context, builder, array, *arguments[:2])
        pointer = llvm.pointer(builder, context, vector, address)
        mask = llvm.first_lanes(context, builder, vector, arguments[3])
        name = f"llvm.masked.store.{llvm.suffix(vector)}.p0"
        align = ir.IntType(32)(llvm.element_bytes(context, vector))
        llvm.call(builder, name, ir.VoidType(), arguments[2], pointer, align, mask)
        return context.get_dummy_value()

    return types.none(array, types.intp, vector, types.intp), emit


@intrinsic(prefer_literal=True)
def load_tile(typing, array, index, pitch, lanes, count):
    """``load_tile(array, index, pitch, lanes, count)``: vectors from ``index + i * pitch`` on."""
    kind = Vector(array.dtype, lanes.literal_value)
    tile = types.UniTuple(kind, count.literal_value)

    def emit(context, builder, signature, arguments):
        def one(i):
            return builder.load(
                llvm.pointer(
                    builder, context, kind, llvm.nth(context, builder, array, arguments, i)
                ),
                align=llvm.element_bytes(context, kind),
            )

        return llvm.collect(context, builder, tile, one)

    return tile(array, types.intp, types.intp, lanes, count), emit


@intrinsic(prefer_literal=True)
def store_tile(typing, array, index, pitch, tile):
    """``store_tile(array, index, pitch, tile)``: write vector i from ``index + i * pitch`` on."""
    kind = tile.dtype

    def emit(context, builder, signature, arguments):
        for i in range(tile.count):
            address = llvm.nth(context, builder, array, arguments, i)
            pointer = llvm.pointer(builder, context, kind, address)
            value = builder.extract_value(arguments[3], i)
            builder.store(value, pointer, align=llvm.element_bytes(context, kind))
        return context.get_dummy_value()

    return types.none(array, types.intp, types.intp, tile), emit


@intrinsic(prefer_literal=True)
def broadcast_tile(typing, array, index, pitch, lanes, count):
    """``broadcast_tile(array, index, pitch, lanes, count)``: ``array[index + i * pitch]`` each."""
    kind = Vector(array.dtype, lanes.literal_value)
    tile = types.UniTuple(kind, count.literal_value)

    def emit(context, builder, signature, arguments):
        def one(i):
            element = builder.load(llvm.nth(context, builder, array, arguments, i))
            return llvm.splat(builder, element, kind.lanes)

        return llvm.collect(context, builder, tile, one)

    return tile(array, types.intp, types.intp, lanes, count), emit


@intrinsic(prefer_literal=True)
def load_rows(typing, array, index, pitch, lanes, rows, columns, count):
    """``load_rows(array, index, pitch, lanes, rows, columns, count)``: a tile of rows.

    Row i is ``columns`` (constant, as ``rows``) vectors side by side from ``index + i * pitch`` on.
    Of their lanes the first ``count`` are loaded, which end in the last vector; the others are 0,
    and no memory is touched there.
    """
    kind = Vector(array.dtype, lanes.literal_value)
    across = columns.literal_value
    tile = types.UniTuple(kind, rows.literal_value * across)

    def emit(context, builder, signature, arguments):
        count = arguments[6]
        value = context.get_value_type(kind)
        name = f"llvm.masked.load.{llvm.suffix(kind)}.p0"
        itemsize = llvm.element_bytes(context, kind)
        align, none = ir.IntType(32)(itemsize), ir.Constant(value, None)
        whole = count.type((across - 1) * kind.lanes)
        mask = llvm.first_lanes(context, builder, kind, builder.sub(count, whole))

        def one(n):
            address = llvm.nth(context, builder, array, arguments, n // across)
            address = builder.gep(address, [count.type(n % across * kind.lanes)])
            pointer = llvm.pointer(builder, context, kind, address)
            if n % across < across - 1:
                return builder.load(pointer, align=itemsize)
            return llvm.call(builder, name, value, pointer, align, mask, none)

        return llvm.collect(context, builder, tile, one)

    integer = types.intp
    return tile(array, integer, integer, lanes, rows, columns, integer), emit


@intrinsic(prefer_literal=True)
def store_rows(typing, array, index, pitch, tile, columns, count):
    """``store_rows(array, index, pitch, tile, columns, count)``: write ``count`` rows of a tile.

    A row is ``columns`` (constant) vectors side by side; row i goes to ``index + i * pitch``.
    """
    kind, across = tile.dtype, columns.literal_value

    def emit(context, builder, signature, arguments):
        count = arguments[5]
        done = builder.append_basic_block("stored")
        for i in range(tile.count // across):
            row = builder.append_basic_block(f"row{i}")
            builder.cbranch(builder.icmp_signed("<", count.type(i), count), row, done)
            builder.position_at_end(row)
            address = llvm.nth(context, builder, array, arguments, i)
            for j in range(across):
                place = builder.gep(address, [count.type(j * kind.lanes)])
                pointer = llvm.pointer(builder, context, kind, place)
                value = builder.extract_value(arguments[3], i * across + j)
                builder.store(value, pointer, align=llvm.element_bytes(context, kind))
        builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.none(array, types.intp, types.intp, tile, columns, types.intp), emit


@intrinsic(prefer_literal=True)
def load_scattered(typing, array, places, first, tile, columns):
    """``load_scattered(array, places, first, tile, columns)``: rows of `store_scattered`.

    The result is as large as ``tile``.
    """
    kind = tile.dtype

    def emit(context, builder, signature, arguments):
        flat, table, first, *_ = arguments
        places_of = _scattered(context, builder, array, places, flat, table, first)
        pointers = list(places_of(tile, columns.literal_value))

        def one(n):
            return builder.load(pointers[n], align=llvm.element_bytes(context, kind))

        return llvm.collect(context, builder, tile, one)

    return tile(array, places, types.intp, tile, columns), emit


@intrinsic(prefer_literal=True)
def store_scattered(typing, array, places, first, tile, columns):
    """``store_scattered(array, places, first, tile, columns)``: write rows where a table says.

    A row is ``columns`` (constant) vectors side by side; row i goes to rows of that length, number
    ``places[first + i]``.
    """
    kind = tile.dtype

    def emit(context, builder, signature, arguments):
        flat, table, first, tiles, _ = arguments
        places_of = _scattered(context, builder, array, places, flat, table, first)
        for n, pointer in enumerate(places_of(tile, columns.literal_value)):
            value = builder.extract_value(tiles, n)
            builder.store(value, pointer, align=llvm.element_bytes(context, kind))
        return context.get_dummy_value()

    return types.none(array, places, types.intp, tile, columns), emit


def _scattered(context, builder, array, places, flat, table, first):
    """Where the vectors of a tile lie whose rows are scattered."""

    def places_of(tile, across):
        lanes = tile.dtype.lanes
        for n in range(tile.count):
            i, j = divmod(n, across)
            place = llvm.address(context, builder, places, table, builder.add(first, first.type(i)))
            row = builder.mul(builder.load(place), first.type(across * lanes))
            at = builder.add(row, first.type(j * lanes))
            pointer = llvm.address(context, builder, array, flat, at)
            yield llvm.pointer(builder, context, tile.dtype, pointer)

    return places_of


@intrinsic(prefer_literal=True)
def load_levels(typing, levels, index, array, lanes):
    """``load_levels(levels, index, array, lanes)``: two vectors of whole numbers as floats.

    From ``levels[index]`` on lie two vectors of int8; or one of uint8 with a number of four bits,
    less 8, for the first vector in the low half of each byte, and for the second in the high one.
    The result has the dtype of ``array``.
    """
    tile = types.UniTuple(Vector(array.dtype, lanes.literal_value), 2)
    packed = not levels.dtype.signed

    def emit(context, builder, signature, arguments):
        kind = context.get_value_type(tile.dtype)
        bytes_kind = ir.VectorType(ir.IntType(8), kind.count)
        words_kind = ir.VectorType(ir.IntType(32), kind.count)

        def constant(value):
            return ir.Constant(words_kind, [ir.IntType(32)(value)] * kind.count)

        def one(i):
            shift = arguments[1].type(0 if packed else i * kind.count)
            place = builder.add(arguments[1], shift)
            address = llvm.address(context, builder, levels, arguments[0], place)
            pointer = builder.bitcast(address, bytes_kind.as_pointer())
            numbers = builder.load(pointer, align=1)
            if not packed:
                return builder.sitofp(numbers, kind)
            halves = builder.zext(numbers, words_kind)
            if i == 1:
                halves = builder.lshr(halves, constant(4))
            halves = builder.and_(halves, constant(15))
            return builder.sitofp(builder.sub(halves, constant(8)), kind)

        return llvm.collect(context, builder, tile, one)

    return tile(levels, types.intp, array, lanes), emit


@intrinsic(prefer_literal=True)
def prefetch(typing, array, index, level):
    """``prefetch(array, index, level)``: bring ``array[index]`` into cache 1 or 2."""
    locality = {1: 3, 2: 2}[level.literal_value]

    def emit(context, builder, signature, arguments):
        address = llvm.address(context, builder, array, *arguments[:2])
        pointer = builder.bitcast(address, ir.IntType(8).as_pointer())
        read, data = ir.IntType(32)(0), ir.IntType(32)(1)
        values = pointer, read, ir.IntType(32)(locality), data
        llvm.call(builder, "llvm.prefetch.p0", ir.VoidType(), *values)
        return context.get_dummy_value()

    return types.none(array, types.intp, level), emit
