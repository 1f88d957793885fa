"""Compiled functions by their address, for loops that call large ones, or one of many.

Numba compiles all that a function calls once more with it, and makes of a parallel loop four
functions around each other: what the loop calls is compiled five times over. Called by its address,
it is compiled once; and of a function that has many forms, only those that are asked for.
"""

import zlib

import numba
from llvmlite import ir
from numba import _dispatcher, types
from numba.core import cgutils
from numba.core.typing import signature
from numba.extending import intrinsic

_known = {}


def address_of(function, *arguments):
    """Where a compiled function begins that takes such arguments, and returns nothing.

    Parameters
    ----------
    function : numba.core.dispatcher.Dispatcher
        Of a function that was decorated with `numba.njit`.
    *arguments
        Of the types that it will be called with.

    Returns
    -------
    (int, int)
        The address, and a mark of the types.
    """
    key = function, _dispatcher.compute_fingerprint(arguments)
    if key not in _known:
        kinds = tuple(map(numba.typeof, arguments))
        compiled = function.get_compile_result(signature(types.none, *kinds))
        address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
        _known[key] = address, _mark(kinds)
    return _known[key]


def _mark(kinds):
    return zlib.crc32(str(kinds).encode())


@intrinsic
def call(typing, address, arguments):
    """Call the function that `address_of` has found with a tuple of arguments, in compiled code.

    Raises
    ------
    TypeError
        If they are of other types than those that it was given.
    """
    kinds = tuple(map(types.unliteral, arguments))

    def generate(context, builder, signature, values):
        pointer = context.call_conv.get_function_type(types.none, kinds).as_pointer()
        at, mark = cgutils.unpack_tuple(builder, values[0], 2)
        # Given back on all ways out, references to arrays cancel: none is counted in a loop.
        differs = builder.icmp_unsigned("!=", mark, ir.Constant(mark.type, _mark(kinds)))
        with cgutils.if_unlikely(builder, differs):
            context.nrt.decref(builder, signature.args[1], values[1])
            said = f"arguments: got {kinds}, expected the types that address_of was given"
            context.call_conv.return_user_exc(builder, TypeError, (said,))
        function = builder.inttoptr(at, pointer)
        given = cgutils.unpack_tuple(builder, values[1], len(kinds))
        status, _ = context.call_conv.call_function(builder, function, types.none, kinds, given)
        with cgutils.if_unlikely(builder, status.is_error):
            context.nrt.decref(builder, signature.args[1], values[1])
            context.call_conv.return_status_propagate(builder, status)
        return context.get_dummy_value()

    return types.none(types.UniTuple(types.intp, 2), types.Tuple(kinds)), generate
