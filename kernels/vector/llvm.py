"""What the vocabulary is made of: pieces of LLVM code, written once."""

from llvmlite import ir
from numba import types
from numba.core import cgutils


def contract(builder, name, *values):
    """Emit a floating-point operation that may be fused with its neighbours, no more."""
    return getattr(builder, name)(*values, flags=("contract",))


def fused(context, builder, kind, left, right, total):
    """Emit ``left * right + total``, fused where there is such an instruction."""
    return call(builder, f"llvm.fmuladd.{suffix(kind)}", total.type, left, right, total)


def call(builder, name, kind, *values):
    """Call an LLVM intrinsic that is overloaded by the types of its result and arguments."""
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [value.type for value in values]), name
    )
    return builder.call(function, values)


def suffix(kind):
    """How LLVM names a vector type in the name of an intrinsic: ``v16f32``."""
    prefix = "f" if isinstance(kind.dtype, types.Float) else "i"
    return f"v{kind.lanes}{prefix}{kind.dtype.bitwidth}"


def address(context, builder, array_type, array, index):
    """Address of ``array[index]``."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def nth(context, builder, array, arguments, i):
    """Address of ``array[index + i * pitch]``."""
    flat, index, pitch = arguments[:3]
    return address(
        context, builder, array, flat, builder.add(index, builder.mul(pitch, pitch.type(i)))
    )


def pointer(builder, context, kind, address):
    """See an address as that of a vector."""
    return builder.bitcast(address, context.get_value_type(kind).as_pointer())


def element_bytes(context, kind):
    """Bytes of a lane."""
    return context.get_abi_sizeof(context.get_data_type(kind.dtype))


def first_lanes(context, builder, kind, count):
    """Mask of the first ``count`` lanes."""
    lanes = ir.VectorType(ir.IntType(64), kind.lanes)
    numbers = ir.Constant(lanes, list(range(kind.lanes)))
    return builder.icmp_signed("<", numbers, splat(builder, count, kind.lanes))


def splat(builder, value, lanes):
    """Put a scalar into every lane."""
    kind = ir.VectorType(value.type, lanes)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), None)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)


def pick(builder, left, right, places):
    """Shuffle: lanes of two vectors in a row, by their places there."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), list(places))
    return builder.shuffle_vector(left, right, mask)


def collect(context, builder, tile, make):
    """Make a tile of what ``make(i)`` gives for each of its vectors."""
    value = ir.Constant(context.get_value_type(tile), ir.Undefined)
    for i in range(tile.count):
        value = builder.insert_value(value, make(i), i)
    return value


def loop(builder, count, values, body):
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
