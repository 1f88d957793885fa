"""The vocabulary of vectors: what a register holds, and what the processor does with it.

Numba compiles loops over scalars, and LLVM makes vectors of the simple ones. A tile of sums that
has to stay in registers does not survive that: such kernels say themselves what is a vector. A
`Vector` is a value like any other in compiled code, with the operators ``+ - *``; a *tile* is a
tuple of vectors, rows first.

Arrays are seen flat, whatever their shape, and have to be C-contiguous: an index counts elements
from the first. Nothing is checked. ``lanes`` and ``count`` have to be known when Numba compiles,
as literals or global constants. Numba's cache on disk notices changes of the file that a kernel is
in, not of this one: remove the ``__pycache__`` of the kernels after a change here.
"""

import functools
import math
import operator

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable


@functools.cache
def register_bytes():
    """Bytes of the widest vector register that Numba compiles for: 64, 32 or 16.

    LLVM itself is asked, by what it makes of a product: names and features of processors are many,
    and ``NUMBA_CPU_NAME`` with ``NUMBA_CPU_FEATURES`` may hold Numba to another one than this.
    """
    module = ir.Module()
    kind = ir.VectorType(ir.FloatType(), 16)
    function = ir.Function(module, ir.FunctionType(kind, [kind, kind]), "product")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(builder.fmul(*function.args))
    triple, cpu, features = cpu_target.target_context.codegen().magic_tuple()
    target = llvm.Target.from_triple(triple)
    machine = target.create_target_machine(cpu=cpu, features=features)
    text = machine.emit_assembly(llvm.parse_assembly(str(module)))
    return 64 if "zmm" in text else 32 if "ymm" in text else 16


@functools.cache
def datapath_bytes():
    """Bytes that the processor works on at a time: half a register of 64 bytes on Zen 4.

    Vectors of that size lose nothing there, and cross the border of a cache line half as often.
    """
    halved = (
        register_bytes() == 64 and cpu_target.target_context.codegen().magic_tuple()[1] == "znver4"
    )
    return 32 if halved else register_bytes()


def lanes_of(dtype):
    """Lanes of ``dtype`` in the widest vector register."""
    return register_bytes() // np.dtype(dtype).itemsize


class Vector(types.Type):
    """So many lanes of one dtype; ``<16 x float>`` in LLVM."""

    def __init__(self, dtype, lanes):
        self.dtype, self.lanes = dtype, lanes
        super().__init__(f"Vector({dtype}, {lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        element = manager.lookup(kind.dtype).get_value_type()
        super().__init__(manager, kind, ir.VectorType(element, kind.lanes))


def _contract(builder, name, *values):
    """Emit a floating-point operation that may be fused with its neighbours, no more."""
    return getattr(builder, name)(*values, flags=("contract",))


def _operate(operation, floating, integral):
    """Teach the compiler an operation of two vectors of a kind."""

    @type_callable(operation)
    def resolve(context):
        def returned(left, right):
            return left if isinstance(left, Vector) and left == right else None

        return returned

    @lower_builtin(operation, Vector, Vector)
    def emit(context, builder, signature, arguments):
        if isinstance(signature.return_type.dtype, types.Float):
            return _contract(builder, floating, *arguments)
        return getattr(builder, integral)(*arguments)


_operate(operator.add, "fadd", "add")
_operate(operator.sub, "fsub", "sub")
_operate(operator.mul, "fmul", "mul")


def _intrinsic(builder, name, kind, *values):
    """Call an LLVM intrinsic that is overloaded by the types of its result and arguments."""
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [value.type for value in values]), name
    )
    return builder.call(function, values)


def _suffix(kind):
    """How LLVM names a vector type in the name of an intrinsic: ``v16f32``."""
    prefix = "f" if isinstance(kind.dtype, types.Float) else "i"
    return f"v{kind.lanes}{prefix}{kind.dtype.bitwidth}"


def _address(context, builder, array_type, array, index):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def _vector_pointer(builder, context, kind, address):
    return builder.bitcast(address, context.get_value_type(kind).as_pointer())


def _first_lanes(context, builder, kind, count):
    """Mask of the first ``count`` lanes."""
    lanes = ir.VectorType(ir.IntType(64), kind.lanes)
    numbers = ir.Constant(lanes, list(range(kind.lanes)))
    return builder.icmp_signed("<", numbers, _splat(builder, count, kind.lanes))


def _splat(builder, value, lanes):
    kind = ir.VectorType(value.type, lanes)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), None)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)


def _element_bytes(context, kind):
    return context.get_abi_sizeof(context.get_data_type(kind.dtype))


@intrinsic(prefer_literal=True)
def zero_tile(typing, array, lanes, count):
    """``zero_tile(array, lanes, count)``: a tile of ``count`` vectors of zeros."""
    tile = types.UniTuple(Vector(array.dtype, lanes.literal_value), count.literal_value)
    return tile(array, lanes, count), lambda context, builder, *_: ir.Constant(
        context.get_value_type(tile), None
    )


@intrinsic(prefer_literal=True)
def load(typing, array, index, lanes):
    """``load(array, index, lanes)``: the lanes from ``array[index]`` on."""
    kind = Vector(array.dtype, lanes.literal_value)

    def emit(context, builder, signature, arguments):
        address = _address(context, builder, array, *arguments[:2])
        pointer = _vector_pointer(builder, context, kind, address)
        return builder.load(pointer, align=_element_bytes(context, kind))

    return kind(array, types.intp, lanes), emit


@intrinsic(prefer_literal=True)
def load_first(typing, array, index, lanes, count):
    """``load_first(array, index, lanes, count)``: the first ``count`` lanes; the others are 0.

    No memory is touched beyond them.
    """
    kind = Vector(array.dtype, lanes.literal_value)

    def emit(context, builder, signature, arguments):
        address = _address(context, builder, array, *arguments[:2])
        pointer = _vector_pointer(builder, context, kind, address)
        mask = _first_lanes(context, builder, kind, arguments[3])
        value = context.get_value_type(kind)
        name = f"llvm.masked.load.{_suffix(kind)}.p0"
        align = ir.IntType(32)(_element_bytes(context, kind))
        return _intrinsic(builder, name, value, pointer, align, mask, ir.Constant(value, None))

    return kind(array, types.intp, lanes, types.intp), emit


@intrinsic(prefer_literal=True)
def store(typing, array, index, vector):
    """``store(array, index, vector)``: write all lanes from ``array[index]`` on."""

    def emit(context, builder, signature, arguments):
        address = _address(context, builder, array, *arguments[:2])
        pointer = _vector_pointer(builder, context, vector, address)
        builder.store(arguments[2], pointer, align=_element_bytes(context, vector))
        return context.get_dummy_value()

    return types.none(array, types.intp, vector), emit


@intrinsic(prefer_literal=True)
def store_first(typing, array, index, vector, count):
    """``store_first(array, index, vector, count)``: write the first ``count`` lanes only."""

    def emit(context, builder, signature, arguments):
        address = _address(context, builder, array, *arguments[:2])
        pointer = _vector_pointer(builder, context, vector, address)
        mask = _first_lanes(context, builder, vector, arguments[3])
        name = f"llvm.masked.store.{_suffix(vector)}.p0"
        align = ir.IntType(32)(_element_bytes(context, vector))
        _intrinsic(builder, name, ir.VoidType(), arguments[2], pointer, align, mask)
        return context.get_dummy_value()

    return types.none(array, types.intp, vector, types.intp), emit


@intrinsic(prefer_literal=True)
def broadcast(typing, scalar, lanes):
    """``broadcast(scalar, lanes)``: the scalar in every lane."""
    kind = Vector(scalar, lanes.literal_value)
    return kind(scalar, lanes), lambda context, builder, signature, arguments: _splat(
        builder, arguments[0], kind.lanes
    )


@intrinsic(prefer_literal=True)
def spread(typing, vector, lanes):
    """``spread(vector, lanes)``: a tile; in every lane of its vector i is lane i of ``vector``."""
    kind = Vector(vector.dtype, lanes.literal_value)
    tile = types.UniTuple(kind, vector.lanes)

    def emit(context, builder, signature, arguments):
        def one(i):
            return _pick(builder, arguments[0], arguments[0], [i] * kind.lanes)

        return _collect(context, builder, tile, one)

    return tile(vector, lanes), emit


@intrinsic(prefer_literal=True)
def multiply_add(typing, left, right, total):
    """``multiply_add(left, right, total)``: ``left * right + total``, fused where there is such."""

    def emit(context, builder, signature, arguments):
        return _fused(context, builder, left, *arguments)

    return left(left, right, total), emit


def _fused(context, builder, kind, left, right, total):
    return _intrinsic(builder, f"llvm.fmuladd.{_suffix(kind)}", total.type, left, right, total)


def _dot_instruction(lanes):
    """Name of the instruction for `_dot` with so many sums; None where there is none."""
    features = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
    wide = "+avx512vnni" in features and (lanes == 16 or "+avx512vl" in features)
    known = lanes in (4, 8, 16) and 4 * lanes <= register_bytes()
    return f"llvm.x86.avx512.vpdpbusd.{32 * lanes}" if known and wide else None


def _dot(builder, lanes, sums, *factors):
    """Add to each int32 the products of its four bytes: unsigned ones with signed ones.

    One instruction where the processor has it (AVX-512 VNNI), else sums of products of 16 bits.
    """
    if name := _dot_instruction(lanes):
        return _intrinsic(builder, name, sums.type, sums, *factors)
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
                    builder.sext(_pick(builder, value, value, range(i, words.count, 2)), sums.type)
                    for value in pair
                )
            )
            for i in range(2)
        )
        sums = builder.add(sums, builder.add(*products))
    return sums


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


@intrinsic(prefer_literal=True)
def repeat(typing, tile, count):
    """``repeat(tile, count)``: the vectors of a tile, so many (constant) times over."""
    longer = types.UniTuple(tile.dtype, tile.count * count.literal_value)

    def emit(context, builder, signature, arguments):
        def one(i):
            return builder.extract_value(arguments[0], i % tile.count)

        return _collect(context, builder, longer, one)

    return longer(tile, count), emit


@intrinsic
def add_products(typing, tile, left, right):
    """``add_products(tile, left, right)``: add the products of two tiles, vector by vector."""

    def emit(context, builder, signature, arguments):
        def one(i):
            total, *pair = (builder.extract_value(part, i) for part in arguments)
            return _fused(context, builder, tile.dtype, *pair, total)

        return _collect(context, builder, tile, one)

    return tile(tile, left, right), emit


@intrinsic
def add_tiles(typing, left, right):
    """``add_tiles(left, right)``: sums of two tiles, vector by vector."""

    def emit(context, builder, signature, arguments):
        def one(i):
            return _contract(builder, "fadd", *(builder.extract_value(t, i) for t in arguments))

        return _collect(context, builder, left, one)

    return left(left, right), emit


@intrinsic
def as_numbers(typing, tile, array):
    """``as_numbers(tile, array)``: a tile of integers in the dtype of an array of floats."""
    result = types.UniTuple(Vector(array.dtype, tile.dtype.lanes), tile.count)

    def emit(context, builder, signature, arguments):
        kind = context.get_value_type(result.dtype)

        def one(i):
            return builder.sitofp(builder.extract_value(arguments[0], i), kind)

        return _collect(context, builder, result, one)

    return result(tile, array), emit


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
            address = _address(context, builder, levels, arguments[0], place)
            pointer = builder.bitcast(address, bytes_kind.as_pointer())
            numbers = builder.load(pointer, align=1)
            if not packed:
                return builder.sitofp(numbers, kind)
            halves = builder.zext(numbers, words_kind)
            if i == 1:
                halves = builder.lshr(halves, constant(4))
            halves = builder.and_(halves, constant(15))
            return builder.sitofp(builder.sub(halves, constant(8)), kind)

        return _collect(context, builder, tile, one)

    return tile(levels, types.intp, array, lanes), emit


@intrinsic(prefer_literal=True)
def add_outer(typing, tile, rows, columns):
    """``add_outer(tile, rows, columns)``: add ``rows[i] * columns[j]`` to vector (i, j)."""
    kind = tile.dtype

    def emit(context, builder, signature, arguments):
        total, left, right = arguments
        for i in range(rows.count):
            for j in range(columns.count):
                place = i * columns.count + j
                value = _fused(
                    *(context, builder, kind),
                    *(builder.extract_value(left, i), builder.extract_value(right, j)),
                    builder.extract_value(total, place),
                )
                total = builder.insert_value(total, value, place)
        return total

    return tile(tile, rows, columns), emit


@intrinsic(prefer_literal=True)
def load_tile(typing, array, index, pitch, lanes, count):
    """``load_tile(array, index, pitch, lanes, count)``: vectors from ``index + i * pitch`` on."""
    kind = Vector(array.dtype, lanes.literal_value)
    tile = types.UniTuple(kind, count.literal_value)

    def emit(context, builder, signature, arguments):
        def one(i):
            return builder.load(
                _vector_pointer(
                    builder, context, kind, _nth(context, builder, array, arguments, i)
                ),
                align=_element_bytes(context, kind),
            )

        return _collect(context, builder, tile, one)

    return tile(array, types.intp, types.intp, lanes, count), emit


@intrinsic(prefer_literal=True)
def broadcast_tile(typing, array, index, pitch, lanes, count):
    """``broadcast_tile(array, index, pitch, lanes, count)``: ``array[index + i * pitch]`` each."""
    kind = Vector(array.dtype, lanes.literal_value)
    tile = types.UniTuple(kind, count.literal_value)

    def emit(context, builder, signature, arguments):
        def one(i):
            element = builder.load(_nth(context, builder, array, arguments, i))
            return _splat(builder, element, kind.lanes)

        return _collect(context, builder, tile, one)

    return tile(array, types.intp, types.intp, lanes, count), emit


def _nth(context, builder, array, arguments, i):
    """Address of ``array[index + i * pitch]``."""
    flat, index, pitch = arguments[:3]
    return _address(
        context, builder, array, flat, builder.add(index, builder.mul(pitch, pitch.type(i)))
    )


def _collect(context, builder, tile, make):
    value = ir.Constant(context.get_value_type(tile), ir.Undefined)
    for i in range(tile.count):
        value = builder.insert_value(value, make(i), i)
    return value


@intrinsic(prefer_literal=True)
def store_tile(typing, array, index, pitch, tile):
    """``store_tile(array, index, pitch, tile)``: write vector i from ``index + i * pitch`` on."""
    kind = tile.dtype

    def emit(context, builder, signature, arguments):
        for i in range(tile.count):
            address = _nth(context, builder, array, arguments, i)
            pointer = _vector_pointer(builder, context, kind, address)
            value = builder.extract_value(arguments[3], i)
            builder.store(value, pointer, align=_element_bytes(context, kind))
        return context.get_dummy_value()

    return types.none(array, types.intp, types.intp, tile), emit


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
        places = builder.add(numbers, _splat(builder, start, kind.lanes))
        name = f"llvm.x86.avx512.vpermi2var.p{'d' if number.width == 64 else 's'}.512"
        return _intrinsic(builder, name, low.type, low, places, high)
    for bit in (kind.lanes >> level for level in range(kind.lanes.bit_length())):
        moved = builder.icmp_signed("!=", builder.and_(first, first.type(bit)), first.type(0))
        places = range(bit, bit + kind.lanes)
        low = builder.select(moved, _pick(builder, low, high, places), low)
        high = builder.select(moved, _pick(builder, high, high, places), high)
    return low


@intrinsic(prefer_literal=True)
def prefetch(typing, array, index, level):
    """``prefetch(array, index, level)``: bring ``array[index]`` into cache 1 or 2."""
    locality = {1: 3, 2: 2}[level.literal_value]

    def emit(context, builder, signature, arguments):
        address = _address(context, builder, array, *arguments[:2])
        pointer = builder.bitcast(address, ir.IntType(8).as_pointer())
        read, data = ir.IntType(32)(0), ir.IntType(32)(1)
        values = pointer, read, ir.IntType(32)(locality), data
        _intrinsic(builder, "llvm.prefetch.p0", ir.VoidType(), *values)
        return context.get_dummy_value()

    return types.none(array, types.intp, level), emit


@intrinsic(prefer_literal=True)
def lanes_in(typing, size, array):
    """``lanes_in(size, array)``: lanes of its dtype in ``size`` (constant) bytes, as a literal."""
    lanes = size.literal_value * 8 // array.dtype.bitwidth
    return types.literal(lanes)(size, array), lambda context, builder, *_: context.get_constant(
        types.intp, lanes
    )


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
            address = _nth(context, builder, array, arguments[1:4], n)
            pointer = _vector_pointer(builder, context, kind, address)
            vector = builder.load(pointer, align=_element_bytes(context, kind))
            for j in range(max(n - tile.count + 1, 0), min(factors.count, n + 1)):
                value = _fused(
                    *(context, builder, kind, builder.extract_value(scales, j), vector),
                    builder.extract_value(result, n - j),
                )
                result = builder.insert_value(result, value, n - j)
        return result

    return tile(tile, array, types.intp, types.intp, factors), emit


@intrinsic(prefer_literal=True)
def correlate(typing, tile, short, weights, place, height, width, array, index, pitch, rows):
    """``correlate(tile, short, weights, place, height, width, array, index, pitch, rows)``.

    Add to row i of a tile of ``rows`` (constant) rows the products of the ``height`` x ``width``
    weights from ``place`` on with the vectors side by side that lie there, the first at
    ``array[index + i * pitch]``. Every row of the array is loaded once, for all rows of the tile
    that it meets; each such number of rows has a loop of its own, so that sums stay in
    registers. ``short`` is a tuple: its length is the height, or ``rows`` for any that is not
    less.
    """
    kind, most = tile.dtype, rows.literal_value
    across = tile.count // most

    def emit(context, builder, signature, arguments):
        sums, _, flat, place, height, width, samples, index, pitch, _ = arguments
        number = width.type
        total = [builder.extract_value(sums, n) for n in range(tile.count)]

        def meet(total, row, low, high):
            """Add what row ``row`` of the array, all of its columns, gives to some rows."""
            at = builder.add(index, builder.mul(row, pitch))
            begin = _address(context, builder, array, samples, at)
            at = builder.add(place, builder.mul(row, width))
            taps = {
                i: _nth(context, builder, weights, (flat, at, builder.neg(width)), i)
                for i in range(low, high)
            }
            return _loop(builder, width, total, lambda step, total: add(begin, taps, step, total))

        def add(begin, taps, step, total):
            total = list(total)
            pointers = (
                builder.gep(begin, [builder.add(step, number(j * kind.lanes))])
                for j in range(across)
            )
            seen = [
                builder.load(
                    _vector_pointer(builder, context, kind, pointer),
                    align=_element_bytes(context, kind),
                )
                for pointer in pointers
            ]
            for i, tap in taps.items():
                weight = _splat(builder, builder.load(builder.gep(tap, [step])), kind.lanes)
                for n, vector in enumerate(seen, i * across):
                    total[n] = _fused(context, builder, kind, weight, vector, total[n])
            return total

        if short.count < most:
            for row in range(short.count + most - 1):
                low, high = max(row - short.count + 1, 0), min(row + 1, most)
                total = meet(total, number(row), low, high)
        else:
            for row in range(most - 1):
                total = meet(total, number(row), 0, row + 1)
            between = builder.sub(height, number(most - 1))
            total = _loop(
                *(builder, between, total),
                lambda step, total: meet(total, builder.add(step, number(most - 1)), 0, most),
            )
            for row in range(most - 1):
                total = meet(total, builder.add(height, number(row)), row + 1, most)
        return _collect(context, builder, tile, total.__getitem__)

    integer = types.intp
    sizes = integer, integer, integer
    return tile(tile, short, weights, *sizes, array, integer, integer, rows), emit


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
        halves = [_address(context, builder, left, flat, index) for index in halves]
        panel = _address(context, builder, right, other, start)

        def column(place, total):
            total, own = list(total), []
            shift = builder.mul(place, along)
            row = builder.gep(panel, [builder.mul(place, step)])
            for j in range(across):
                address = builder.gep(row, [builder.mul(pitch, number(j))])
                pointer = _vector_pointer(builder, context, kind, address)
                own.append(builder.load(pointer, align=_element_bytes(context, kind)))
            for i in range(rows):
                half, n = divmod(i, rows // 2)
                address = builder.gep(builder.gep(halves[half], [shift]), [number(n * between)])
                factor = _splat(builder, builder.load(address), kind.lanes)
                for j, vector in enumerate(own):
                    n = i * across + j
                    total[n] = _fused(context, builder, kind, factor, vector, total[n])
            return total

        return _collect(context, builder, tile, _loop(builder, depth, total, column).__getitem__)

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
            return _pick(builder, value, ir.Constant(value.type, None), range(lanes))

        total = [
            resized(builder.extract_value(sums, n), kinds[n % across].lanes)
            for n in range(tile.count)
        ]
        pointers = []
        for i in range(tile.count // across):
            place = _address(context, builder, places, table, builder.add(first, first.type(i)))
            begin = builder.add(builder.load(place), shift)
            pointers.append(_address(context, builder, left, flat, begin))
        panel = _address(context, builder, right, other, start)

        def column(place, total):
            total, own = list(total), []
            row = builder.gep(panel, [builder.mul(place, step)])
            for j, kind in enumerate(kinds):
                pointer = builder.gep(row, [place.type(j * whole.lanes)])
                pointer = _vector_pointer(builder, context, kind, pointer)
                own.append(builder.load(pointer, align=_element_bytes(context, kind)))
            for i, pointer in enumerate(pointers):
                element = builder.load(builder.gep(pointer, [place]))
                factors = _splat(builder, element, kinds[0].lanes)
                if halves.literal_value and across > 1:
                    # LLVM would broadcast once more for the half, from register to register.
                    same = ir.FunctionType(factors.type, [factors.type])
                    factors = builder.asm(same, "", "=v,0", [factors], side_effect=False)
                for n, (kind, vector) in enumerate(zip(kinds, own), i * across):
                    factor = resized(factors, kind.lanes)
                    total[n] = _fused(context, builder, kind, factor, vector, total[n])
            return total

        total = _loop(builder, depth, total, column)
        return _collect(context, builder, tile, lambda n: resized(total[n], whole.lanes))

    integer = types.intp
    sizes = integer, integer, integer
    return tile(tile, left, places, integer, integer, right, *sizes, columns, halves), emit


def _loop(builder, count, values, body):
    """Emit a loop for 0 to ``count``, at least 1, that takes values to ``body(step, values)``."""
    entry, block = builder.block, builder.append_basic_block("loop")
    builder.branch(block)
    builder.position_at_end(block)
    step, phis = builder.phi(count.type), [builder.phi(value.type) for value in values]
    new = body(step, phis)
    following = builder.add(step, count.type(1))
    end, done = builder.block, builder.append_basic_block("done")
    for phi, first, last in zip([step, *phis], [count.type(0), *values], [following, *new]):
        phi.add_incoming(first, entry)
        phi.add_incoming(last, end)
    again = builder.cbranch(builder.icmp_signed("<", following, count), block, done)
    again.set_metadata("llvm.loop", _not_unrolled(builder.module))
    builder.position_at_end(done)
    return new


def _not_unrolled(module):
    """Metadata of a loop whose body is long enough: copies of it would only cost short runs."""
    name = ir.MetaDataString(module, "llvm.loop.unroll.disable")
    loop = module.add_metadata([module.add_metadata([name]), ir.IntType(64)(len(module.metadata))])
    loop.operands = loop, loop.operands[0]  # A loop's metadata starts with itself.
    return loop


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
            builder.store(value, pointer, align=_element_bytes(context, kind))
        return context.get_dummy_value()

    return types.none(array, places, types.intp, tile, columns), emit


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
            return builder.load(pointers[n], align=_element_bytes(context, kind))

        return _collect(context, builder, tile, one)

    return tile(array, places, types.intp, tile, columns), emit


def _scattered(context, builder, array, places, flat, table, first):
    """Where the vectors of a tile lie whose rows are scattered."""

    def places_of(tile, across):
        lanes = tile.dtype.lanes
        for n in range(tile.count):
            i, j = divmod(n, across)
            place = _address(context, builder, places, table, builder.add(first, first.type(i)))
            row = builder.mul(builder.load(place), first.type(across * lanes))
            at = builder.add(row, first.type(j * lanes))
            pointer = _address(context, builder, array, flat, at)
            yield _vector_pointer(builder, context, tile.dtype, pointer)

    return places_of


@intrinsic(prefer_literal=True)
def load_rows(typing, array, index, pitch, lanes, rows, columns, count):
    """``load_rows(array, index, pitch, lanes, rows, columns, count)``: a tile of rows.

    Row i is ``columns`` (constant, as ``rows``) vectors side by side from ``index + i * pitch`` on,
    of whose lanes the first ``count`` are loaded; the others are 0, and no memory is touched there.
    """
    kind = Vector(array.dtype, lanes.literal_value)
    across = columns.literal_value
    tile = types.UniTuple(kind, rows.literal_value * across)

    def emit(context, builder, signature, arguments):
        count = arguments[6]
        value = context.get_value_type(kind)
        name = f"llvm.masked.load.{_suffix(kind)}.p0"
        align, none = ir.IntType(32)(_element_bytes(context, kind)), ir.Constant(value, None)
        shares = [count.type(j * kind.lanes) for j in range(across)]
        masks = [
            _first_lanes(context, builder, kind, builder.sub(count, share)) for share in shares
        ]

        def one(n):
            address = _nth(context, builder, array, arguments, n // across)
            address = builder.gep(address, [shares[n % across]])
            pointer = _vector_pointer(builder, context, kind, address)
            return _intrinsic(builder, name, value, pointer, align, masks[n % across], none)

        return _collect(context, builder, tile, one)

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
            address = _nth(context, builder, array, arguments, i)
            for j in range(across):
                place = builder.gep(address, [count.type(j * kind.lanes)])
                pointer = _vector_pointer(builder, context, kind, place)
                value = builder.extract_value(arguments[3], i * across + j)
                builder.store(value, pointer, align=_element_bytes(context, kind))
        builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.none(array, types.intp, types.intp, tile, columns, types.intp), emit


@intrinsic
def width(typing, array):
    """``width(array)``: lanes of the array's dtype in the widest register, known to the compiler.

    What is written with it serves both dtypes; as ``lanes``, or to count with.
    """
    lanes = register_bytes() * 8 // array.dtype.bitwidth
    return types.literal(lanes)(array), lambda context, builder, *_: ir.IntType(64)(lanes)


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
                        value = _contract(builder, "fmul", *pair)
                    else:
                        value = _fused(context, builder, tile.dtype, *pair, value)
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
    columns = right.count
    tile = types.UniTuple(left.dtype, left.count // columns)

    def emit(context, builder, signature, arguments):
        def one(i):
            sums = []
            for j in range(columns):
                pair = (
                    builder.extract_value(arguments[0], i * columns + j),
                    builder.extract_value(arguments[1], j),
                )
                if j < 2:
                    sums.append(_contract(builder, "fmul", *pair))
                else:
                    sums[j % 2] = _fused(context, builder, left.dtype, *pair, sums[j % 2])
            return builder.fadd(*sums) if len(sums) == 2 else sums[0]

        return _collect(context, builder, tile, one)

    return tile(left, right), emit


@intrinsic
def add_scaled_rows(typing, tile, scales, rows):
    """``add_scaled_rows(tile, scales, rows)``: add ``scales[i]`` times row i, one after the other.

    For a tile that stays in registers; rows are as long as it is.
    """

    def emit(context, builder, signature, arguments):
        result, *factors = arguments
        for n in range(rows.count):
            i, j = divmod(n, tile.count)
            value = _fused(
                *(context, builder, tile.dtype),
                *(builder.extract_value(factors[0], i), builder.extract_value(factors[1], n)),
                builder.extract_value(result, j),
            )
            result = builder.insert_value(result, value, j)
        return result

    return tile(tile, scales, rows), emit


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
            parts = [_pick(builder, *parts[i : i + 2], both) for i in range(0, len(parts), 2)]
        return _pick(builder, parts[0], parts[0], range(tile.count))

    return kind(tile), emit


def _sum_lanes(builder, vectors, lanes):
    """Vector whose lane i is the sum of vector i; lanes beyond are of no meaning.

    Lanes that differ in one bit of their number are added, from the highest bit on, and that bit
    then tells the left vector of a pair from the right one: places come out with bits reversed.
    """
    bits = lanes.bit_length() - 1
    places = [int(f"{i:0{bits}b}"[::-1], 2) for i in range(lanes)] if bits else [0]
    held = [vectors[i] if i < len(vectors) else None for i in places]
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
    return builder.fadd(*(_pick(builder, left, right, places) for places in (low, high)))


@intrinsic(prefer_literal=True)
def transform(typing, real, imaginary, sign):
    """``transform(real, imaginary, sign)``: the discrete Fourier transform of each lane.

    Two tiles of a power of two of vectors are the numbers to be transformed; two such tiles come
    back, in order. ``sign`` (constant) is -1 for the transform, and 1 for its inverse without the
    division.
    """
    both = types.Tuple((real, imaginary))

    def emit(context, builder, signature, arguments):
        numbers = [
            tuple(builder.extract_value(part, i) for part in arguments[:2])
            for i in range(real.count)
        ]
        numbers = _butterflies(context, builder, real.dtype, numbers, sign.literal_value)
        parts = (
            _collect(context, builder, real, lambda i, part=part: numbers[i][part])
            for part in range(2)
        )
        return context.make_tuple(builder, both, list(parts))

    return both(real, imaginary, sign), emit


def _butterflies(context, builder, kind, numbers, sign):
    """Transform pairs (real, imaginary) of vectors: those at even places, those at odd, then both.

    A factor ``c (1 + i t)`` takes one multiply-add for the bracket and one for each sum, six for a
    butterfly (Linzer and Feig, 1993).
    """
    half = len(numbers) // 2
    if half == 0:
        return numbers
    even, odd = (
        _butterflies(context, builder, kind, numbers[first::2], sign) for first in range(2)
    )
    value = context.get_value_type(kind)

    def constant(number):
        return ir.Constant(value, [ir.Constant(value.element, number)] * kind.lanes)

    low, high = [], []
    for k, ((a, b), (x, y)) in enumerate(zip(even, odd)):
        if k == 0:
            low.append((builder.fadd(a, x), builder.fadd(b, y)))
            high.append((builder.fsub(a, x), builder.fsub(b, y)))
        elif 2 * k == half:  # The factor is the imaginary unit, or minus that.
            with_i = builder.fsub(a, y), builder.fadd(b, x)
            with_minus_i = builder.fadd(a, y), builder.fsub(b, x)
            low.append(with_i if sign > 0 else with_minus_i)
            high.append(with_minus_i if sign > 0 else with_i)
        else:
            angle = sign * math.pi * k / half
            slope, scale = constant(math.tan(angle)), constant(math.cos(angle))
            x, y = (
                _fused(context, builder, kind, builder.fneg(slope), y, x),
                _fused(context, builder, kind, slope, x, y),
            )
            minus = builder.fneg(scale)
            low.append(tuple(_fused(context, builder, kind, scale, *s) for s in ((x, a), (y, b))))
            high.append(tuple(_fused(context, builder, kind, minus, *s) for s in ((x, a), (y, b))))
    return low + high


@intrinsic(prefer_literal=True)
def rotate(typing, real, imaginary, factors, index, sign):
    """``rotate(real, imaginary, factors, index, sign)``: complex products with ``factors``.

    Tiles of complex numbers in two parts, as in `transform`. The first vector stays; the factors
    of the others lie from ``index`` on, a vector of real and one of imaginary parts in turn.
    ``sign`` (constant) of -1 takes their conjugates.
    """
    both = types.Tuple((real, imaginary))

    def emit(context, builder, signature, arguments):
        parts = _products(context, builder, both, factors, arguments, 1, sign.literal_value)
        return context.make_tuple(builder, both, parts)

    return both(real, imaginary, factors, types.intp, sign), emit


@intrinsic
def multiply_complex(typing, real, imaginary, factors, index):
    """``multiply_complex(real, imaginary, factors, index)``: `rotate` with a factor for each."""
    both = types.Tuple((real, imaginary))

    def emit(context, builder, signature, arguments):
        parts = _products(context, builder, both, factors, arguments, 0, 1)
        return context.make_tuple(builder, both, parts)

    return both(real, imaginary, factors, types.intp), emit


def _products(context, builder, both, factors, arguments, first, sign):
    """Both parts of complex numbers, those from ``first`` on multiplied with what lies there."""
    kind = both[0].dtype
    real, imaginary, flat, index = arguments[:4]
    place = flat, index, index.type(kind.lanes)

    def factor(n):
        address = _nth(context, builder, factors, place, n)
        pointer = _vector_pointer(builder, context, kind, address)
        return builder.load(pointer, align=_element_bytes(context, kind))

    for i in range(first, both[0].count):
        x, y = (builder.extract_value(part, i) for part in (real, imaginary))
        c, s = factor(2 * (i - first)), factor(2 * (i - first) + 1)
        if sign < 0:
            s = builder.fneg(s)
        product = _fused(context, builder, kind, c, x, builder.fneg(builder.fmul(s, y)))
        real = builder.insert_value(real, product, i)
        product = _fused(context, builder, kind, c, y, builder.fmul(s, x))
        imaginary = builder.insert_value(imaginary, product, i)
    return real, imaginary


@intrinsic
def transpose(typing, tile):
    """``transpose(tile)``: lane j of vector i to lane i of vector j, for as many as lanes."""

    def emit(context, builder, signature, arguments):
        vectors = [builder.extract_value(arguments[0], i) for i in range(tile.count)]
        half = tile.count // 2
        low, high = (
            [n for i in range(start, start + half) for n in (i, i + tile.count)]
            for start in (0, half)
        )
        for _ in range(half.bit_length()):  # Shuffled perfectly, log2(lanes) times.
            vectors = [
                _pick(builder, vectors[i], vectors[i + half], places)
                for i in range(half)
                for places in (low, high)
            ]
        return _collect(context, builder, tile, vectors.__getitem__)

    return tile(tile), emit


def _pick(builder, left, right, places):
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), list(places))
    return builder.shuffle_vector(left, right, mask)
