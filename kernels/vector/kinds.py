"""Vectors as a type of compiled code, with the operators ``+ - *``."""

import operator

from llvmlite import ir
from numba import types
from numba.extending import lower_builtin, models, register_model, type_callable

from convgrad.kernels.vector import llvm


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
            return llvm.contract(builder, floating, *arguments)
        return getattr(builder, integral)(*arguments)


_operate(operator.add, "fadd", "add")
_operate(operator.sub, "fsub", "sub")
_operate(operator.mul, "fmul", "mul")
