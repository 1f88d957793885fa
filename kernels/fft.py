"""Fast Fourier transforms of vectors of numbers, for convolution: there, times a spectrum, back.

A convolution does not ask in what order a spectrum comes. So the transform takes the sequence
apart from the front (decimation in frequency; Gentleman and Sande, 1966), leaves the frequencies
in the order in which they fall out, and its inverse puts them together from the back: no
permutation anywhere. Two real sequences go together, as the real and the imaginary part of one; a
real filter keeps them apart.

Complex numbers lie in *pairs*: a vector of real parts, then one of imaginary parts. A sequence of
``n`` numbers is cut by 2, 4 or 8 at a *level*, until parts of ``lanes ** 2`` numbers are left,
which are a matrix in registers: transform its columns, turn it round, transform them again (the
four steps of Bailey, 1990). ``n`` is ``lanes ** 2`` times any power of two.
"""

import numpy as np
from numba import njit

from convgrad.kernels import vector

_CACHED = 1 << 14
"""Numbers of a part that goes through all of its levels at once: with its spectrum in L2."""


def smallest(dtype):
    """Numbers of the shortest transform."""
    return vector.lanes_of(dtype) ** 2


def _radices(parts):
    """How the levels cut a sequence into so many parts, a power of two."""
    bits = parts.bit_length() - 1
    return [8] * (bits // 3) + [2 ** (bits % 3)] * (bits % 3 > 0)


def tables(n, dtype):
    """Factors between the levels, and those inside of the last matrix.

    Returns
    -------
    ndarray, shape (levels + 1, 3)
        Numbers and radix of each level, and where its factors begin; the last, of radix 1, are
        the matrices.
    ndarray
        Of each level in turn, for each vector of each part but the first, a pair; at last a pair
        for each row of the matrix but the first.
    """
    lanes, size, place = vector.lanes_of(dtype), n, 0
    levels, factors = [], []
    for radix in _radices(n // smallest(dtype)):
        part = size // radix
        angles = np.outer(np.arange(1, radix), np.arange(part)) / size
        factors.append(_pairs(angles.reshape(radix - 1, -1, lanes).swapaxes(0, 1)))
        levels.append((size, radix, place))
        size, place = part, place + factors[-1].size
    rows = np.arange(lanes)
    factors.append(_pairs(np.outer(rows[1:], rows) / size))
    levels.append((size, 1, place))
    return np.array(levels), np.concatenate(factors).astype(dtype)


def _pairs(turns):
    angles = -2 * np.pi * turns
    return np.stack([np.cos(angles), np.sin(angles)], axis=-2).ravel()


@njit(cache=True, inline="always")
def _load(work, at, pitch, lanes, count):
    real = vector.load_tile(work, at, pitch, lanes, count)
    return real, vector.load_tile(work, at + lanes, pitch, lanes, count)


@njit(cache=True, inline="always")
def _store(work, at, pitch, lanes, real, imaginary):
    vector.store_tile(work, at, pitch, real)
    vector.store_tile(work, at + lanes, pitch, imaginary)


@njit(cache=True, inline="always")
def _cut(work, at, size, factors, place, lanes, radix):
    pitch = 2 * (size // radix)
    for j in range(at, at + pitch, 2 * lanes):
        x, y = _load(work, j, pitch, lanes, radix)
        x, y = vector.transform(x, y, -1)
        x, y = vector.rotate(x, y, factors, place, 1)
        _store(work, j, pitch, lanes, x, y)
        place += (radix - 1) * 2 * lanes


@njit(cache=True, inline="always")
def _join(work, at, size, factors, place, lanes, radix):
    pitch = 2 * (size // radix)
    for j in range(at, at + pitch, 2 * lanes):
        x, y = _load(work, j, pitch, lanes, radix)
        x, y = vector.rotate(x, y, factors, place, -1)
        x, y = vector.transform(x, y, 1)
        _store(work, j, pitch, lanes, x, y)
        place += (radix - 1) * 2 * lanes


@njit(cache=True)
def _cut_all(work, first, stop, level, factors):
    """Take one level of all sequences from ``first`` to ``stop`` apart."""
    lanes = vector.width(work)
    size, radix, place = level
    for at in range(first, stop, 2 * size):
        if radix == 8:
            _cut(work, at, size, factors, place, lanes, 8)
        elif radix == 4:
            _cut(work, at, size, factors, place, lanes, 4)
        else:
            _cut(work, at, size, factors, place, lanes, 2)


@njit(cache=True)
def _join_all(work, first, stop, level, factors):
    """Undo `_cut_all`, but for the division by the radix."""
    lanes = vector.width(work)
    size, radix, place = level
    for at in range(first, stop, 2 * size):
        if radix == 8:
            _join(work, at, size, factors, place, lanes, 8)
        elif radix == 4:
            _join(work, at, size, factors, place, lanes, 4)
        else:
            _join(work, at, size, factors, place, lanes, 2)


@njit(cache=True)
def _matrices(work, at, size, factors, place):
    """Transform the matrices that the levels have left."""
    lanes = vector.width(work)
    for j in range(at, at + 2 * size, 2 * lanes * lanes):
        x, y = _load(work, j, 2 * lanes, lanes, lanes)
        x, y = vector.transform(x, y, -1)
        x, y = vector.rotate(x, y, factors, place, 1)
        x, y = vector.transform(vector.transpose(x), vector.transpose(y), -1)
        _store(work, j, 2 * lanes, lanes, x, y)


@njit(cache=True)
def _filter_matrices(work, at, size, factors, place, spectrum, seen):
    """Transform the matrices that the levels have left, multiply with the spectrum, and undo it."""
    lanes = vector.width(work)
    for j in range(0, 2 * size, 2 * lanes * lanes):
        x, y = _load(work, at + j, 2 * lanes, lanes, lanes)
        x, y = vector.transform(x, y, -1)
        x, y = vector.rotate(x, y, factors, place, 1)
        x, y = vector.transform(vector.transpose(x), vector.transpose(y), -1)
        x, y = vector.multiply_complex(x, y, spectrum, seen + j)
        x, y = vector.transform(x, y, 1)
        x, y = vector.rotate(vector.transpose(x), vector.transpose(y), factors, place, -1)
        x, y = vector.transform(x, y, 1)
        _store(work, at + j, 2 * lanes, lanes, x, y)


@njit(cache=True)
def transform(work, levels, factors):
    """Transform the pairs of ``work``; frequencies come in an order of their own."""
    start, last = np.int64(0), len(levels) - 1
    for i in range(last):
        _cut_all(work, start, work.size, levels[i], factors)
    _matrices(work, start, work.size // 2, factors, levels[last, 2])


@njit(cache=True)
def convolve(work, levels, factors, spectrum):
    """Convolve the pairs of ``work`` circularly with what has been transformed to ``spectrum``.

    That takes the division by the number of pairs along.
    """
    start, outer, last = np.int64(0), 0, len(levels) - 1
    while levels[outer, 0] > _CACHED:
        _cut_all(work, start, work.size, levels[outer], factors)
        outer += 1
    whole = 2 * levels[outer, 0]
    for first in range(0, work.size, whole):
        for i in range(outer, last):
            _cut_all(work, first, first + whole, levels[i], factors)
        _filter_matrices(work, first, whole // 2, factors, levels[last, 2], spectrum, first)
        for i in range(last - 1, outer - 1, -1):
            _join_all(work, first, first + whole, levels[i], factors)
    for i in range(outer - 1, -1, -1):
        _join_all(work, start, work.size, levels[i], factors)
