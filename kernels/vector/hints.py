"""What the compiler is told, or kept from knowing, and of which no instruction comes."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from convgrad.kernels.lines import LINE


@intrinsic
def align_stack(typing):
    """``align_stack()``: what does not stay in registers lies within cache lines.

    In a function without variables that ask for it, LLVM keeps the stack as it was called, and
    vectors across two lines take twice as long. No instruction comes of it.
    """

    def emit(context, builder, signature, arguments):
        with builder.goto_entry_block():
            slot = builder.alloca(ir.ArrayType(ir.IntType(8), LINE))
            slot.align = LINE
        seen = ir.FunctionType(ir.VoidType(), [slot.type])
        builder.asm(seen, "", "r", [slot], side_effect=True)
        return context.get_dummy_value()

    return types.none(), emit


@intrinsic
def unforeseen(typing, number):
    """``unforeseen(number)``: the same integer, which LLVM takes for any.

    A loop that goes on with it is not unrolled, and has all registers for one turn.
    """

    def emit(context, builder, signature, arguments):
        kind = arguments[0].type
        same = ir.FunctionType(kind, [kind])
        return builder.asm(same, "", "=r,0", arguments, side_effect=False)

    return number(number), emit
