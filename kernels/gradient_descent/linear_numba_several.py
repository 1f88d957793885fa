"""Linear fit of a few outputs: sums over lanes, each vector of X loaded for all outputs."""

import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.lines import zeros

ROWS = {64: (8, 8, 4, 4), 32: (8, 4, 4, 2), 16: (8, 4, 4, 2)}[vector.register_bytes()]
"""Rows that go together with 1, 2, 3 and 4 outputs: as many sums as hide a multiply-add's time."""
_L2 = 1 << 20
"""Bytes of X up to which nothing has to be fetched ahead."""
_AHEAD = 1 << 14
"""Bytes from the rows that are worked on to those that are brought into L2 meanwhile."""


@njit(cache=True)
def _add_rows(
    rows, first, last, size, wanted, place, weights, gradient, ahead, tile, outputs, pairs
):
    """Add to the gradient what the rows from ``first`` to ``last``, in whole tiles, contribute.

    Their predictions are summed up in registers, and what they add to the gradient before it is
    loaded: the rows come from memory for the former, and from L1 or L2 for the latter.
    """
    lanes, apart, (many, pitch) = vector.width(rows), rows.shape[1], weights.shape
    residuals = zeros(np.int64(len(pairs)), rows)
    for begin in range(first * apart, last * apart, len(tile) * apart):
        for output in range(0, many, len(outputs)):
            start = output * pitch
            sums = vector.zero_tile(rows, lanes, len(pairs))
            for j in range(0, size, lanes):
                x = vector.load_tile(rows, begin + j, apart, lanes, len(tile))
                w = vector.load_tile(weights, start + j, pitch, lanes, len(outputs))
                sums = vector.add_outer(sums, x, w)
            y = vector.load(wanted, output // len(outputs) * wanted.shape[1] + place, len(pairs))
            vector.store(residuals, 0, vector.totals(sums) - y)
            factors = vector.broadcast_tile(residuals, 0, 1, lanes, len(pairs))
            for j in range(0, size, lanes):
                x = vector.load_tile(rows, begin + j, apart, lanes, len(tile))
                if ahead and output == 0:
                    for i in range(len(tile)):
                        vector.prefetch(rows, begin + ahead + i * apart + j, 2)
                total = vector.load_tile(gradient, start + j, pitch, lanes, len(outputs))
                total = vector.add_product(total, x, factors)
                vector.store_tile(gradient, start + j, pitch, total)
        place += len(pairs)


@njit(cache=True)
def _gradient(problem, weights, gradient, part, parts, tile, outputs, pairs):
    """Set ``gradient`` to ``X^T (X w - y)`` of one part of the rows, the last with the margin."""
    features, margin, wanted = problem
    size, together = features.shape[1], len(tile)
    groups = (wanted.shape[1] // len(outputs) - len(margin)) // together
    ahead = _AHEAD // features.itemsize if features.nbytes > _L2 else 0
    gradient[:] = 0
    low, high = part * groups // parts, (part + 1) * groups // parts
    _add_rows(
        *(features, low * together, high * together, size, wanted, low * len(pairs)),
        *(weights, gradient, ahead, tile, outputs, pairs),
    )
    if part == parts - 1:
        _add_rows(
            *(margin, 0, len(margin), size, wanted, groups * len(pairs)),
            *(weights, gradient, 0, tile, outputs, pairs),
        )


@njit(cache=True)
def _prepare(features, targets, tile, outputs):
    """What all steps share: X, the rows at its end with zeros around, targets in order of work.

    Whole vectors reach beyond a row, by less than another row.
    """
    (samples, size), together = features.shape, len(tile)
    lanes, many = vector.width(features), targets.shape[1]
    whole = (samples - 1) // together * together
    pitch = (size + lanes - 1) // lanes * lanes
    margin = zeros(together * pitch, features).reshape(together, pitch)
    for i in range(samples - whole):
        for j in range(size):
            margin[i, j] = features[whole + i, j]
    wanted = np.zeros(
        ((many + len(outputs) - 1) // len(outputs), whole + together, len(outputs)),
        features.dtype,
    )
    for i in range(samples):
        for output in range(many):
            wanted[output // len(outputs), i, output % len(outputs)] = targets[i, output]
    return features, margin, wanted.reshape(len(wanted), -1)


@njit(cache=True)
def _weights(start, outputs):
    """Weights by output, with zeros behind, and outputs of zeros for a last tile."""
    (size, many), lanes = start.shape, vector.width(start)
    pitch = (size + lanes - 1) // lanes * lanes
    rows = (many + len(outputs) - 1) // len(outputs) * len(outputs)
    weights = zeros(rows * pitch, start).reshape(rows, pitch)
    for output in range(many):
        for j in range(size):
            weights[output, j] = start[j, output]
    return weights


@njit(cache=True)
def _step(weights, gradients, size, step, l2, threshold):
    """Sum the gradients of all parts in order, and take a step with thresholding."""
    for output in range(len(weights)):
        row, total = weights[output, :size], gradients[0, output, :size]
        for part in range(1, len(gradients)):
            other = gradients[part, output]
            for j in range(size):
                total[j] += other[j]
        for j in range(size):
            weight = row[j]
            weight -= step * (total[j] + l2 * weight)
            if abs(weight) <= threshold:
                row[j] = 0
            elif weight > 0:
                row[j] = weight - threshold
            else:
                row[j] = weight + threshold


@njit(cache=True)
def _collect(weights, out):
    for j in range(out.shape[0]):
        for output in range(out.shape[1]):
            out[j, output] = weights[output, j]


@njit(cache=True)
def descend(features, targets, start, out, iterations, factors, tile, outputs, pairs):
    """Take all steps on one thread, ``len(tile)`` rows and ``len(outputs)`` outputs at a time."""
    dtype, size = features.dtype.type, features.shape[1]
    step, l2, threshold = dtype(factors[0]), dtype(factors[1]), dtype(factors[2])
    problem = _prepare(features, targets, tile, outputs)
    weights = _weights(start, outputs)
    gradients = zeros(weights.size, features).reshape((1, *weights.shape))
    for _ in range(iterations):
        _gradient(
            *(problem, weights, gradients[0], np.int64(0), np.int64(1)),
            *(tile, outputs, pairs),
        )
        _step(weights, gradients, size, step, l2, threshold)
    _collect(weights, out)


@njit(cache=True, parallel=True)
def descend_parallel(
    features, targets, start, out, iterations, factors, parts, tile, outputs, pairs
):
    """Take all steps, each with one gradient for every part of the rows."""
    dtype, size = features.dtype.type, features.shape[1]
    step, l2, threshold = dtype(factors[0]), dtype(factors[1]), dtype(factors[2])
    problem = _prepare(features, targets, tile, outputs)
    weights = _weights(start, outputs)
    gradients = zeros(parts * weights.size, features).reshape((parts, *weights.shape))
    for _ in range(iterations):
        for part in prange(parts):
            _gradient(
                *(problem, weights, gradients[part], np.int64(part), parts),
                *(tile, outputs, pairs),
            )
        _step(weights, gradients, size, step, l2, threshold)
    _collect(weights, out)
