"""Compiled functions that others call by address: each compiles when it is needed, and by itself.

Where compiled code names another function, Numba compiles that with it, and LLVM optimises it once
more in every caller. Of a function that has many forms, a caller of addresses takes none before
it is asked for.
"""

from llvmlite import ir
from numba import cfunc, types
from numba.extending import intrinsic


def compiled(function, *arguments):
    """Compile a function without a result for Numba types; what is returned has its ``address``.

    The address is good for as long as that is kept.
    """
    return cfunc(types.void(*arguments), cache=True)(function)


@intrinsic
def call(typing, address, arguments):
    """``call(address, arguments)``: call with a tuple, whose types are those compiled for.

    Nothing is checked.
    """

    def emit(context, builder, signature, values):
        address, arguments = values
        given = [builder.extract_value(arguments, i) for i in range(len(signature.args[1].types))]
        nothing = context.get_value_type(types.none)
        kind = ir.FunctionType(nothing, [value.type for value in given])
        builder.call(builder.inttoptr(address, kind.as_pointer()), given)
        return context.get_dummy_value()

    return types.none(types.intp, arguments), emit
