"""Linear fit of few features: weights, gradient and a row of X stay in registers."""

import numpy as np
from numba import njit, prange

from convgrad.kernels import vector

MOST = {64: 8, 32: 4, 16: 4}[vector.register_bytes()]
"""Vectors a row may take: three of each, of weights, gradient and row, fill the registers."""
_LINE = 64


@njit(cache=True)
def _zeros(size, array):
    """Zeros of the array's dtype, from the start of a cache line on."""
    whole = np.zeros(size + _LINE, array.dtype)
    first = -(whole.ctypes.data // array.itemsize) % (_LINE // array.itemsize)
    return whole[first : first + size]


@njit(cache=True, forceinline=True)
def _row(features, row, lanes, but_one):
    """Return a row as vectors; the last one ends where the row does."""
    size = features.shape[1]
    x = vector.load_tile(features, row * size, lanes, lanes, len(but_one))
    return x + (vector.load(features, row * size + size - lanes, lanes),)


@njit(cache=True, forceinline=True)
def _four_rows(features, row, lanes, but_one):
    """Return four rows, one behind the other."""
    first, second = _row(features, row, lanes, but_one), _row(features, row + 1, lanes, but_one)
    third, last = _row(features, row + 2, lanes, but_one), _row(features, row + 3, lanes, but_one)
    return first + second + third + last


@njit(cache=True)
def _gradient(features, targets, weights, gradient, first, last, tile, but_one):
    """Set ``gradient`` to ``X^T (X w - y)`` of some rows, at least four, as vectors in a row.

    Four rows meet the weights, then the four before them the gradient: their sums over lanes
    have had the time that takes. The last four may overlap those before, with residuals of zero.
    """
    lanes = vector.width(features)
    w = vector.load_tile(weights, 0, lanes, lanes, len(tile))
    total = vector.zero_tile(features, lanes, len(tile))
    residuals = _zeros(np.int64(4), features)
    before = first
    for due in range(first, last, 4):
        row = min(due, last - 4)
        factors = vector.broadcast_tile(residuals, 0, 1, lanes, 4)
        none = vector.zero_tile(features, lanes, 4)
        sums = vector.add_product(none, _four_rows(features, row, lanes, but_one), w)
        vector.store(residuals, 0, vector.totals(sums) - vector.load(targets, row, 4))
        total = vector.add_product(total, factors, _four_rows(features, before, lanes, but_one))
        before = row
        for i in range(due - row):  # Rows that the turn before has had.
            residuals[i] = 0
    factors = vector.broadcast_tile(residuals, 0, 1, lanes, 4)
    total = vector.add_product(total, factors, _four_rows(features, before, lanes, but_one))
    vector.store_tile(gradient, 0, lanes, total)


@njit(cache=True)
def _step(weights, gradients, size, step, l2, threshold):
    """Sum the gradients of all parts in order, and take a step with thresholding."""
    doubled = weights.size - size
    start = weights.size - vector.width(weights)
    for j in range(size):
        place = j if j < start else j + doubled
        weight, total = weights[place], gradients[0, place]
        for part in range(1, len(gradients)):
            total += gradients[part, place]
        weight -= step * (total + l2 * weight)
        if abs(weight) <= threshold:
            weights[place] = 0
        elif weight > 0:
            weights[place] = weight - threshold
        else:
            weights[place] = weight + threshold


@njit(cache=True)
def _spread(start, vectors, features):
    """Weights as the vectors of a row meet them: zeros where the last overlaps the one before."""
    size, lanes = len(start), vector.width(features)
    weights = _zeros(vectors * lanes, features)
    cut = (vectors - 1) * lanes
    for j in range(size):
        weights[j if j < cut else weights.size - size + j] = start[j]
    return weights


@njit(cache=True)
def _collect(weights, out):
    cut = weights.size - vector.width(weights)
    for j in range(len(out)):
        out[j] = weights[j if j < cut else weights.size - len(out) + j]


@njit(cache=True)
def descend(features, targets, start, out, iterations, factors, tile, but_one):
    """Take all steps on one thread, a row in ``len(tile)`` vectors; ``but_one`` is one shorter."""
    dtype, size = features.dtype.type, features.shape[1]
    step, l2, threshold = dtype(factors[0]), dtype(factors[1]), dtype(factors[2])
    weights = _spread(start, len(tile), features)
    gradient = _zeros(weights.size, features).reshape(1, -1)
    for _ in range(iterations):
        _gradient(
            features, targets, weights, gradient[0], np.int64(0), len(features), tile, but_one
        )
        _step(weights, gradient, size, step, l2, threshold)
    _collect(weights, out)


@njit(cache=True, parallel=True)
def descend_parallel(features, targets, start, out, iterations, factors, parts, tile, but_one):
    """Take all steps, each with one gradient for every part of the rows."""
    dtype, (samples, size) = features.dtype.type, features.shape
    step, l2, threshold = dtype(factors[0]), dtype(factors[1]), dtype(factors[2])
    weights = _spread(start, len(tile), features)
    pitch = (weights.size + _LINE - 1) // _LINE * _LINE
    gradients = _zeros(parts * pitch, features).reshape(parts, pitch)
    for _ in range(iterations):
        for part in prange(parts):
            first, last = part * samples // parts, (part + 1) * samples // parts
            _gradient(features, targets, weights, gradients[part], first, last, tile, but_one)
        _step(weights, gradients, size, step, l2, threshold)
    _collect(weights, out)
