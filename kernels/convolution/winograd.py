"""Minimal filtering with 3 taps along an axis (Winograd, 1980): transforms of vectors.

Two outputs take four products, F(2, 3), and four take six, F(4, 3), where the definition takes six
and twelve. A tile is transformed along both axes (Lavin and Gray, 2016). Each function takes
vectors that lie a step apart to others; its matrix stands in its docstring.

F(2, 3) multiplies the values of polynomials at 0, 1, -1 and infinity, F(4, 3) also those at 2 and
-2. So a tile with one or two outputs left along an axis, a *short* one, is made of four of the six
products, at places 0, 1, 2 and 5, with the very taps of the others.
"""

import numpy as np
from numba import njit
from numba.extending import register_jitable

from convgrad.kernels.vector import broadcast, load, multiply_add, store, width


@register_jitable
def before_2(source, at, step, target, to, apart, short):
    """Samples: 1 0 -1 0, 0 1 1 0, 0 -1 1 0, 0 1 0 -1. No tile is short."""
    lanes = width(source)
    d0, d1 = load(source, at, lanes), load(source, at + step, lanes)
    d2, d3 = load(source, at + 2 * step, lanes), load(source, at + 3 * step, lanes)
    store(target, to, d0 - d2)
    store(target, to + apart, d1 + d2)
    store(target, to + 2 * apart, d2 - d1)
    store(target, to + 3 * apart, d1 - d3)


@register_jitable
def filter_2(source, at, step, target, to, apart, short):
    """Taps: 1 0 0, 1/2 1/2 1/2, 1/2 -1/2 1/2, 0 0 1."""
    lanes = width(source)
    half = broadcast(source.dtype.type(0.5), lanes)
    g0, g1 = load(source, at, lanes), load(source, at + step, lanes)
    g2 = load(source, at + 2 * step, lanes)
    outer, inner = half * (g0 + g2), half * g1
    store(target, to, g0)
    store(target, to + apart, outer + inner)
    store(target, to + 2 * apart, outer - inner)
    store(target, to + 3 * apart, g2)


@register_jitable
def after_2(source, at, step, target, to, apart, short):
    """Products: 1 1 1 0, 0 1 -1 -1. No tile is short."""
    lanes = width(source)
    m0, m1 = load(source, at, lanes), load(source, at + step, lanes)
    m2, m3 = load(source, at + 2 * step, lanes), load(source, at + 3 * step, lanes)
    store(target, to, m0 + (m1 + m2))
    store(target, to + apart, m1 - m2 - m3)


@register_jitable
def before_4(source, at, step, target, to, apart, short):
    """Samples.

    4 0 -5 0 1 0, 0 -4 -4 1 1 0, 0 4 -4 -1 1 0, 0 -2 -1 2 1 0, 0 2 -1 -2 1 0, 0 4 0 -5 0 1;
    of a short tile 4 0 -4 0, 0 -3 -3 0, 0 3 -3 0 and, last, 0 1 0 -1.
    """
    lanes, number = width(source), source.dtype.type
    two, four = broadcast(number(2), lanes), broadcast(number(4), lanes)
    minus_four, minus_five = broadcast(number(-4), lanes), broadcast(number(-5), lanes)
    d0, d1 = load(source, at, lanes), load(source, at + step, lanes)
    d2, d3 = load(source, at + 2 * step, lanes), load(source, at + 3 * step, lanes)
    if short:
        minus_three = broadcast(number(-3), lanes)
        store(target, to, four * (d0 - d2))
        store(target, to + apart, minus_three * (d1 + d2))
        store(target, to + 2 * apart, minus_three * (d2 - d1))
        store(target, to + 5 * apart, d1 - d3)
        return
    d4, d5 = load(source, at + 4 * step, lanes), load(source, at + 5 * step, lanes)
    even, odd = multiply_add(minus_four, d2, d4), multiply_add(minus_four, d1, d3)
    store(target, to, multiply_add(four, d0, multiply_add(minus_five, d2, d4)))
    store(target, to + apart, even + odd)
    store(target, to + 2 * apart, even - odd)
    even, odd = d4 - d2, two * (d3 - d1)
    store(target, to + 3 * apart, even + odd)
    store(target, to + 4 * apart, even - odd)
    store(target, to + 5 * apart, multiply_add(four, d1, multiply_add(minus_five, d3, d5)))


@register_jitable
def filter_4(source, at, step, target, to, apart, short):
    """Taps: 1/4 0 0, -1/6 -1/6 -1/6, -1/6 1/6 -1/6, 1/24 1/12 1/6, 1/24 -1/12 1/6, 0 0 1."""
    lanes, number = width(source), source.dtype.type
    sixth = broadcast(number(1 / 6), lanes)
    g0, g1 = load(source, at, lanes), load(source, at + step, lanes)
    g2 = load(source, at + 2 * step, lanes)
    outer, inner = sixth * (g0 + g2), sixth * g1
    store(target, to, broadcast(number(1 / 4), lanes) * g0)
    store(target, to + apart, broadcast(number(-1), lanes) * (outer + inner))
    store(target, to + 2 * apart, inner - outer)
    outer = multiply_add(broadcast(number(1 / 24), lanes), g0, sixth * g2)
    inner = broadcast(number(1 / 12), lanes) * g1
    store(target, to + 3 * apart, outer + inner)
    store(target, to + 4 * apart, outer - inner)
    store(target, to + 5 * apart, g2)


@register_jitable
def after_4(source, at, step, target, to, apart, short):
    """Products: 1 1 1 1 1 0, 0 1 -1 2 -2 0, 0 1 1 4 4 0, 0 1 -1 8 -8 1.

    Of a short tile 1 1 1 0, 0 1 -1 -1.
    """
    lanes, number = width(source), source.dtype.type
    m0, m1 = load(source, at, lanes), load(source, at + step, lanes)
    m2, m5 = load(source, at + 2 * step, lanes), load(source, at + 5 * step, lanes)
    if short:
        store(target, to, m0 + (m1 + m2))
        store(target, to + apart, m1 - m2 - m5)
        return
    m3, m4 = load(source, at + 3 * step, lanes), load(source, at + 4 * step, lanes)
    near, far = m1 + m2, m3 + m4
    store(target, to, m0 + near + far)
    store(target, to + 2 * apart, multiply_add(broadcast(number(4), lanes), far, near))
    near, far = m1 - m2, m3 - m4
    store(target, to + apart, multiply_add(broadcast(number(2), lanes), far, near))
    store(target, to + 3 * apart, multiply_add(broadcast(number(8), lanes), far, near) + m5)


@njit(cache=True, inline="always")
def along_both(transform, size, made, short, source, at, steps, scratch, target, to, apart):
    """Transform the ``size`` x ``size`` vectors of a tile to ``made`` x ``made``.

    ``short``, ``steps`` and ``apart`` are pairs: down and across.
    """
    lanes = width(source)
    for j in range(size):
        transform(source, at + j * steps[1], steps[0], scratch, j * lanes, size * lanes, short[0])
    for i in range(made):
        row = i * size * lanes
        transform(scratch, row, lanes, target, to + i * apart[0], apart[1], short[1])


SAMPLES = {
    2: np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]),
    4: np.array(
        [
            *([4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0]),
            *([0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]),
        ]
    ),
}
TAPS = {
    2: np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]]) / 2,
    4: np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24,
}
PRODUCTS = {
    2: np.array([[1, 1, 1, 0], [0, 1, -1, -1]]),
    4: np.array(
        [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
    ),
}
"""The matrices of all of these, by outputs of a tile: what error bounds follow from."""
