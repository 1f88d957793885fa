"""Linear fit of few features: weights, gradient and some rows of X stay in registers."""

import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.lines import LINE, zeros

ROWS = {64: (8, 4, 4, 2) + 12 * (1,), 32: (4, 2, 1, 1), 16: (4, 2, 1, 1)}[vector.register_bytes()]
"""Rows that go together, for 1, 2, ... vectors a row: as many as fit beside weights and gradient.

With more than eight of 32 registers, weights and gradient are in L1, and a row still is loaded
once: from memory that is faster than several rows that are loaded twice.
"""
_AHEAD = 1 << 12
"""Bytes from rows of one vector to those that are brought into L1 meanwhile.

They take as long to compute as to read, and memory must not wait for it.
"""


@njit(cache=True, forceinline=True)
def _meet(features, targets, w, row, lanes, tile, rows):
    """Rows from ``row`` on, and what the weights predict of them beyond their targets."""
    size, together = features.shape[1], len(rows)
    x = vector.load_rows(features, row * size, size, len(lanes), together, len(tile), size)
    return x, vector.totals(vector.multiply_rows(x, w)) - vector.load(targets, row, together)


@njit(cache=True)
def _gradient(features, targets, weights, gradient, first, last, lanes, tile, rows):
    """Set ``gradient`` to ``X^T (X w - y)`` of some rows, at least ``len(rows)``.

    Rows are loaded once, and stay until those after them have met the weights: sums over lanes
    have the time that takes. The last rows may overlap those before, with residuals of zero.
    """
    size, width, together = features.shape[1], len(lanes), len(rows)
    w = vector.load_tile(weights, 0, width, width, len(tile))
    total = vector.zero_tile(features, width, len(tile))
    x, residuals = _meet(features, targets, w, first, lanes, tile, rows)
    row = first + together
    line, ahead = LINE // features.itemsize, _AHEAD // features.itemsize
    while row <= last - together:
        if len(tile) == 1:
            for place in range(0, together * width, line):
                vector.prefetch(features, row * size + ahead + place, 1)
        before, factors = x, vector.spread(residuals, width)
        x, residuals = _meet(features, targets, w, row, lanes, tile, rows)
        total = vector.add_scaled_rows(total, factors, before)
        row += together
    total = vector.add_scaled_rows(total, vector.spread(residuals, width), x)
    if row < last:
        x, residuals = _meet(features, targets, w, last - together, lanes, tile, rows)
        kept = np.empty(together, features.dtype)
        vector.store(kept, 0, residuals)
        for i in range(row + together - last):
            kept[i] = 0
        factors = vector.broadcast_tile(kept, 0, 1, width, together)
        total = vector.add_scaled_rows(total, factors, x)
    vector.store_tile(gradient, 0, width, total)


@njit(cache=True)
def take_step(weights, gradients, size, step, l2, threshold):
    """Sum the gradients of all parts in order, and take a step with thresholding."""
    for j in range(size):
        weight, total = weights[j], gradients[0, j]
        for part in range(1, len(gradients)):
            total += gradients[part, j]
        weight -= step * (total + l2 * weight)
        if abs(weight) <= threshold:
            weights[j] = 0
        elif weight > 0:
            weights[j] = weight - threshold
        else:
            weights[j] = weight + threshold


@njit(cache=True)
def descend(features, targets, start, out, iterations, factors, lanes, tile, rows):
    """Take all steps on one thread; a row is ``len(tile)`` vectors of ``len(lanes)`` lanes."""
    dtype, size = features.dtype.type, features.shape[1]
    step, l2, threshold = dtype(factors[0]), dtype(factors[1]), dtype(factors[2])
    weights = zeros(len(tile) * len(lanes), features)
    gradient = zeros(weights.size, features).reshape(1, -1)
    for j in range(size):
        weights[j] = start[j]
    for _ in range(iterations):
        _gradient(
            *(features, targets, weights, gradient[0], np.int64(0), len(features)),
            *(lanes, tile, rows),
        )
        take_step(weights, gradient, size, step, l2, threshold)
    for j in range(size):
        out[j] = weights[j]


@njit(cache=True, parallel=True)
def descend_parallel(features, targets, start, out, iterations, factors, parts, lanes, tile, rows):
    """Take all steps, each with one gradient for every part of the rows."""
    dtype, (samples, size) = features.dtype.type, features.shape
    step, l2, threshold = dtype(factors[0]), dtype(factors[1]), dtype(factors[2])
    weights = zeros(len(tile) * len(lanes), features)
    pitch = (weights.size + LINE - 1) // LINE * LINE
    gradients = zeros(parts * pitch, features).reshape(parts, pitch)
    for j in range(size):
        weights[j] = start[j]
    for _ in range(iterations):
        for part in prange(parts):
            first, last = part * samples // parts, (part + 1) * samples // parts
            _gradient(features, targets, weights, gradients[part], first, last, lanes, tile, rows)
        take_step(weights, gradients, size, step, l2, threshold)
    for j in range(size):
        out[j] = weights[j]
