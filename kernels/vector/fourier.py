"""Complex numbers in two tiles: their products, and their discrete Fourier transform."""

import math

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from convgrad.kernels.vector import llvm


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
            llvm.collect(context, builder, real, lambda i, part=part: numbers[i][part])
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
                llvm.fused(context, builder, kind, builder.fneg(slope), y, x),
                llvm.fused(context, builder, kind, slope, x, y),
            )
            minus = builder.fneg(scale)
            low.append(
                tuple(llvm.fused(context, builder, kind, scale, *s) for s in ((x, a), (y, b)))
            )
            high.append(
                tuple(llvm.fused(context, builder, kind, minus, *s) for s in ((x, a), (y, b)))
            )
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
        address = llvm.nth(context, builder, factors, place, n)
        pointer = llvm.pointer(builder, context, kind, address)
        return builder.load(pointer, align=llvm.element_bytes(context, kind))

    for i in range(first, both[0].count):
        x, y = (builder.extract_value(part, i) for part in (real, imaginary))
        c, s = factor(2 * (i - first)), factor(2 * (i - first) + 1)
        if sign < 0:
            s = builder.fneg(s)
        product = llvm.fused(context, builder, kind, c, x, builder.fneg(builder.fmul(s, y)))
        real = builder.insert_value(real, product, i)
        product = llvm.fused(context, builder, kind, c, y, builder.fmul(s, x))
        imaginary = builder.insert_value(imaginary, product, i)
    return real, imaginary
