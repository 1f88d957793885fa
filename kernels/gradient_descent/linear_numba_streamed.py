"""Linear fit of one output from memory: rows are read one after the other, at an even pace."""

import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.gradient_descent.linear_numba_narrow import take_step
from convgrad.kernels.lines import LINE, zeros

ROWS = 2
"""Rows that meet the gradient together: with as many before them they stay in L1."""
LONGEST = 4200
"""Bytes of a row up to which they do."""
LEAST = 1 << 26
"""Bytes of X from which it comes from memory; below, caches have several rows ready at once."""


@njit(cache=True)
def _add_row(features, targets, weights, gradient, row):
    """Add what a single row contributes."""
    size = features.shape[1]
    residual = -targets[row]
    for j in range(size):
        residual += features[row, j] * weights[j]
    for j in range(size):
        gradient[j] += residual * features[row, j]


@njit(cache=True)
def _gradient(features, targets, weights, gradient, first, last, rows):
    """Set ``gradient`` to ``X^T (X w - y)`` of some rows, ``len(rows)`` at a time.

    While one of them meets the weights, those of the turn before, which lie in L1 by now, meet
    the gradient at a share of its columns: memory is read in order, without a pause.
    """
    size, lanes, together = features.shape[1], vector.width(features), len(rows)
    share = size // (together * lanes) * lanes
    whole = share * together
    residuals, found = zeros(together, features), zeros(together, features)
    gradient[:] = 0
    old, stop = first * size, first + (last - first) // together * together
    for block in range(first, stop + together, together):
        factors = vector.broadcast_tile(residuals, 0, 1, lanes, len(rows))
        for i in range(together):
            # The turn after the last one is for the gradient alone.
            at = (min(block, stop - together) + i) * size
            sums = vector.zero_tile(features, lanes, 1)[0]
            for j in range(0, share, lanes):
                x = vector.load_tile(features, at + j * together, lanes, lanes, len(rows))
                w = vector.load_tile(weights, j * together, lanes, lanes, len(rows))
                sums = sums + vector.multiply_rows(x, w)[0]
                column = i * share + j
                x = vector.load_tile(features, old + column, size, lanes, len(rows))
                total = vector.load_tile(gradient, column, 0, lanes, 1)
                total = vector.add_product(total, factors, x)
                vector.store_tile(gradient, column, 0, total)
            for j in range(whole, size, lanes):
                x = vector.load_first(features, at + j, lanes, size - j)
                sums = vector.multiply_add(x, vector.load(weights, j, lanes), sums)
            found[i] = vector.total(sums) - targets[min(block, stop - together) + i]
        for j in range(whole, size, lanes):
            x = vector.load_rows(features, old + j, size, lanes, len(rows), 1, size - j)
            total = vector.load_tile(gradient, j, 0, lanes, 1)
            vector.store_tile(gradient, j, 0, vector.add_product(total, factors, x))
        old = block * size
        for i in range(together):
            residuals[i] = found[i]
    for row in range(stop, last):
        _add_row(features, targets, weights, gradient, row)


@njit(cache=True)
def _prepare(start, features, parts):
    """Weights and a gradient for each part, with room for whole vectors."""
    pitch = (features.shape[1] + 2 * LINE - 1) // LINE * LINE
    weights = zeros(pitch, features)
    for j in range(len(start)):
        weights[j] = start[j]
    return weights, zeros(parts * pitch, features).reshape(parts, pitch)


@njit(cache=True)
def descend(features, targets, start, out, iterations, factors, rows):
    """Take all steps on one thread; there are at least ``len(rows)`` rows."""
    dtype, (samples, size) = features.dtype.type, features.shape
    step, l2, threshold = dtype(factors[0]), dtype(factors[1]), dtype(factors[2])
    weights, gradients = _prepare(start, features, np.int64(1))
    for _ in range(iterations):
        _gradient(features, targets, weights, gradients[0], np.int64(0), samples, rows)
        take_step(weights, gradients, size, step, l2, threshold)
    for j in range(size):
        out[j] = weights[j]


@njit(cache=True, parallel=True)
def descend_parallel(features, targets, start, out, iterations, factors, parts, rows):
    """Take all steps, each with one gradient for every part of the rows."""
    dtype, (samples, size) = features.dtype.type, features.shape
    step, l2, threshold = dtype(factors[0]), dtype(factors[1]), dtype(factors[2])
    weights, gradients = _prepare(start, features, parts)
    for _ in range(iterations):
        for part in prange(parts):
            first, last = part * samples // parts, (part + 1) * samples // parts
            _gradient(features, targets, weights, gradients[part], first, last, rows)
        take_step(weights, gradients, size, step, l2, threshold)
    for j in range(size):
        out[j] = weights[j]
