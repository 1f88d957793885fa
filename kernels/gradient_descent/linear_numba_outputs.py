"""Linear fit of several outputs: one output a lane, so that no sum crosses lanes."""

import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.lines import zeros

ROWS = 8, 4, 4, 2
"""Rows that go together with 1, 2, 3 and 4 vectors of outputs: sums enough to hide latency."""


@njit(cache=True)
def _add_rows(rows, first, last, targets, begin, weights, gradient, across, tile, pairs):
    """Add to the gradient what the rows from ``first`` to ``last``, in whole tiles, contribute.

    Residuals start as the targets, of the outputs from ``begin`` on, and stay in registers.
    """
    (size, pitch), lanes, many = weights.shape, vector.width(rows), targets.shape[1]
    for row in range(first, last, len(tile)):
        sums = vector.load_rows(
            *(targets, row * many + begin, many, lanes, len(tile), len(across), many - begin)
        )
        for j in range(size):
            x = vector.broadcast_tile(rows, row * size + j, size, lanes, len(tile))
            w = vector.load_tile(weights, j * pitch, lanes, lanes, len(across))
            sums = vector.add_outer(sums, x, w)
        for j in range(size):
            vector.prefetch(rows, (row + len(tile)) * size + j * len(tile), 1)
            x = vector.broadcast_tile(rows, row * size + j, size, lanes, len(tile))
            total = vector.load_tile(gradient, j * pitch, lanes, lanes, len(across))
            vector.store_tile(gradient, j * pitch, lanes, vector.add_product(total, x, sums))


@njit(cache=True)
def _gradient(features, targets, margin, weights, gradient, part, parts, across, tile, pairs):
    """Set ``gradient`` to ``X^T (X w + y)`` of one part of the rows, the last with the margin."""
    together = len(tile)
    groups, pitch = len(features) // together, weights.shape[2]
    gradient[:] = 0
    low, high = part * groups // parts * together, (part + 1) * groups // parts * together
    for group in range(len(weights)):
        w, total, begin = weights[group], gradient[group], group * pitch
        _add_rows(features, low, high, targets, begin, w, total, across, tile, pairs)
        if part == parts - 1:
            rest, wanted = margin
            _add_rows(rest, 0, len(rest), wanted, begin, w, total, across, tile, pairs)


@njit(cache=True)
def _last_rows(array, together):
    """Rows that make no whole tile, with rows of zeros."""
    count, size = array.shape
    whole = count // together * together
    rows = np.zeros((together if whole < count else 0, size), array.dtype)
    for i in range(count - whole):
        for j in range(size):
            rows[i, j] = array[whole + i, j]
    return rows


@njit(cache=True)
def _prepare(features, targets, start, across, tile):
    """What all steps share: last rows; weights times -1, in groups, with zeros behind.

    With such weights, residuals are sums that begin as the targets; signs are given back in the
    end, and all between is the same.
    """
    (size, many), pitch = start.shape, len(across) * vector.width(features)
    groups = (many + pitch - 1) // pitch
    weights = zeros(groups * size * pitch, features).reshape(groups, size, pitch)
    for j in range(size):
        for k in range(many):
            weights[k // pitch, j, k % pitch] = -start[j, k]
    return (_last_rows(features, len(tile)), _last_rows(targets, len(tile))), weights


@njit(cache=True)
def _step(weights, gradients, step, l2, threshold):
    """Sum the gradients of all parts in order, and take a step with thresholding."""
    total, flat = gradients[0].reshape(-1), weights.reshape(-1)
    for part in range(1, len(gradients)):
        other = gradients[part].reshape(-1)
        for j in range(flat.size):
            total[j] += other[j]
    for j in range(flat.size):
        weight = flat[j]
        weight -= step * (total[j] + l2 * weight)
        if abs(weight) <= threshold:
            flat[j] = 0
        elif weight > 0:
            flat[j] = weight - threshold
        else:
            flat[j] = weight + threshold


@njit(cache=True)
def _collect(weights, out):
    pitch = weights.shape[2]
    for group in range(len(weights)):
        count = min(pitch, out.shape[1] - group * pitch)
        for j in range(out.shape[0]):
            for k in range(count):
                out[j, group * pitch + k] = 0 - weights[group, j, k]


@njit(cache=True)
def descend(features, targets, start, out, iterations, factors, across, tile, pairs):
    """Take all steps on one thread, ``len(across)`` vectors of outputs at a time."""
    dtype = features.dtype.type
    step, l2, threshold = dtype(factors[0]), dtype(factors[1]), dtype(factors[2])
    margin, weights = _prepare(features, targets, start, across, tile)
    gradients = zeros(weights.size, features).reshape((1, *weights.shape))
    for _ in range(iterations):
        _gradient(
            *(features, targets, margin, weights, gradients[0], np.int64(0), np.int64(1)),
            *(across, tile, pairs),
        )
        _step(weights, gradients, step, l2, threshold)
    _collect(weights, out)


@njit(cache=True, parallel=True)
def descend_parallel(
    features, targets, start, out, iterations, factors, parts, across, tile, pairs
):
    """Take all steps, each with one gradient for every part of the rows."""
    dtype = features.dtype.type
    step, l2, threshold = dtype(factors[0]), dtype(factors[1]), dtype(factors[2])
    margin, weights = _prepare(features, targets, start, across, tile)
    gradients = zeros(parts * weights.size, features).reshape((parts, *weights.shape))
    for _ in range(iterations):
        for part in prange(parts):
            _gradient(
                *(features, targets, margin, weights, gradients[part], np.int64(part), parts),
                *(across, tile, pairs),
            )
        _step(weights, gradients, step, l2, threshold)
    _collect(weights, out)
