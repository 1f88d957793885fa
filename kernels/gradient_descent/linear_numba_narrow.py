"""Linear fit of few features: weights, gradient and some rows of X stay in registers."""

import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.lines import LINE, zeros

_ROWS = {
    64: ((64, (4, 4, 4, 2, 2, 2, 2) + 9 * (1,)),),
    32: ((32, (4, 2, 1, 1)),),
    16: ((16, (4, 2, 1, 1)),),
}[vector.register_bytes()]
"""Bytes of a vector, and rows that go together for 1, 2, ... of them a row.

As many as fit beside weights and gradient. With more than eight of 32 registers these are in L1,
and a row still is loaded once: from memory that is faster than rows that are loaded twice.
"""
if vector.datapath_bytes() < vector.register_bytes():
    # Half a register takes half the time, and has a step less of sums over lanes.
    _ROWS = (vector.datapath_bytes(), (4, 4, 4, 4)), *_ROWS
_AHEAD = 1 << 12
"""Bytes from rows within a cache line to those that are brought into L1 meanwhile.

They take as long to compute as to read, and memory must not wait for it.
"""


def shape(size, itemsize):
    """Lanes of a vector, vectors of a row and rows of a tile; None for too many features."""
    for width, rows in _ROWS:
        vectors = -(-size * itemsize // width)
        if vectors <= len(rows):
            lanes = width // itemsize
            if vectors == 1:
                lanes = min(max(1 << (size - 1).bit_length(), 4), lanes)
            return lanes, vectors, rows[vectors - 1]
    return None


@njit(cache=True, forceinline=True)
def _meet(features, targets, w, row, lanes, tile, rows):
    """Rows from ``row`` on, and what the weights lack of each target, in all lanes."""
    size, width, together = features.shape[1], len(lanes), len(rows)
    y = vector.load_rows(targets, row, 1, width, together, 1, 1)
    x = vector.load_rows(features, row * size, size, width, together, len(tile), size)
    return x, vector.sum_lanes(vector.subtract_rows(y, x, w))


@njit(cache=True)
def _gradient(features, targets, weights, gradient, first, last, lanes, tile, rows):
    """Set ``gradient`` to ``X^T (X w - y)`` of some rows, at least ``len(rows)``.

    Rows are loaded once. The last ones may overlap those before, and then lack nothing.
    """
    size, width, together = features.shape[1], len(lanes), len(rows)
    line, ahead = LINE // features.itemsize, _AHEAD // features.itemsize
    w = vector.load_tile(weights, 0, width, width, len(tile))
    total = vector.zero_tile(features, width, len(tile))
    vector.align_stack()
    row = first
    while row <= last - together:
        if len(tile) * width <= line:
            for place in range(0, together * len(tile) * width, line):
                vector.prefetch(features, row * size + ahead + place, 1)
        x, lacks = _meet(features, targets, w, row, lanes, tile, rows)
        total = vector.add_scaled_rows(total, lacks, x)
        row = vector.unforeseen(row + together)
    if row < last:
        x, lacks = _meet(features, targets, w, last - together, lanes, tile, rows)
        kept = np.empty(together * width, features.dtype)
        vector.store_tile(kept, 0, width, lacks)
        kept[: (row + together - last) * width] = 0
        lacks = vector.load_tile(kept, 0, width, width, together)
        total = vector.add_scaled_rows(total, lacks, x)
    vector.store_tile(gradient, 0, width, total)
    for j in range(len(gradient)):
        gradient[j] = -gradient[j]


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
