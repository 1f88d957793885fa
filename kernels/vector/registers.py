"""Which vector registers there are, and how many lanes they hold."""

import functools

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic


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


@intrinsic
def width(typing, array):
    """``width(array)``: lanes of the array's dtype in the widest register, known to the compiler.

    What is written with it serves both dtypes; as ``lanes``, or to count with.
    """
    lanes = register_bytes() * 8 // array.dtype.bitwidth
    return types.literal(lanes)(array), lambda context, builder, *_: ir.IntType(64)(lanes)


@intrinsic(prefer_literal=True)
def lanes_in(typing, size, array):
    """``lanes_in(size, array)``: lanes of its dtype in ``size`` (constant) bytes, as a literal."""
    lanes = size.literal_value * 8 // array.dtype.bitwidth
    return types.literal(lanes)(size, array), lambda context, builder, *_: context.get_constant(
        types.intp, lanes
    )
