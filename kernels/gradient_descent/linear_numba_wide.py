"""Linear fit of one output: while rows meet the weights, those before them meet the gradient."""

import numpy as np
from numba import njit, prange

from convgrad.kernels import vector

_MOST_ROWS = {64: 8, 32: 4, 16: 4}[vector.register_bytes()]
"""Rows that go together: their sums and residuals take half of the registers."""
_FITTING = range(1400, 4500)
"""Bytes of a row of which two turns of four stay in L1, and of eight do not."""
_PAGE = 4096
_LINE = 64


def rows_together(row_bytes):
    """Rows of a turn: fewer where they would push each other out of L1.

    Rows a page apart share eight places there. Rows so long that only one turn fits anyway had
    better share their loads of weights.
    """
    crowded = row_bytes in _FITTING or row_bytes % _PAGE == 0
    return min(_MOST_ROWS, 4) if crowded else _MOST_ROWS


@njit(cache=True)
def _zeros(size, array):
    """Zeros of the array's dtype, from the start of a cache line on."""
    whole = np.zeros(size + _LINE, array.dtype)
    first = -(whole.ctypes.data // array.itemsize) % (_LINE // array.itemsize)
    return whole[first : first + size]


@njit(cache=True)
def _add_rows(
    rows, head, last, size, shifts, run, wanted, place, weights, gradient, residuals, tile
):
    """Add to the gradient what the rows from ``head`` to ``last`` contribute, in whole blocks.

    A turn takes rows to the weights, and those of the turn before, which lie in L1 by now, to the
    gradient. So memory is read at an even pace, and the sums over lanes have a turn's time. Each
    row of a turn belongs to a run of ``run`` rows, long enough for the processor to see that it
    is read in order.
    """
    period, pitch = weights.shape
    lanes, together = vector.width(rows), len(tile)
    apart, reach = run * size, size + shifts.max()
    first = before = head * size - shifts[0]
    start = old = kind = 0
    row, left = head, run
    residuals[:] = 0
    for _ in range((last - head) // together + 1):
        if row < last:  # The turn after the last one is for the gradient alone.
            first, start = row * size - shifts[kind], kind * pitch
        factors = vector.broadcast_tile(residuals, 0, 1, lanes, together)
        sums = vector.zero_tile(rows, lanes, together)
        for j in range(0, reach, lanes):
            w = vector.load_tile(weights, start + j, 0, lanes, 1)
            x = vector.load_tile(rows, first + j, apart, lanes, together)
            sums = vector.add_outer(sums, x, w)
            x = vector.load_tile(rows, before + j, apart, lanes, together)
            total = vector.load_tile(gradient, old + j, 0, lanes, 1)
            vector.store_tile(gradient, old + j, 0, vector.add_product(total, factors, x))
        vector.store(residuals, 0, vector.totals(sums) - vector.load(wanted, place, together))
        place += together
        before, old = first, start
        row, kind, left = row + 1, kind + 1, left - 1
        if kind == period:
            kind = 0
        if left == 0:
            row, left = row + run * (together - 1), run


@njit(cache=True)
def _gradient(problem, weights, gradient, part, parts, tile):
    """Set ``gradient[0]`` to ``X^T (X w - y)`` of a part of the rows, the last with the margin."""
    features, margin, wanted, shifts, head, run = problem
    size, block = features.shape[1], run * len(tile)
    blocks = (wanted.size - len(margin)) // block - 1
    residuals = _zeros(np.int64(len(tile)), features)
    gradient[:] = 0
    low, high = part * blocks // parts * block, (part + 1) * blocks // parts * block
    if high > low:
        _add_rows(
            *(features, head + low, head + high, size, shifts, run, wanted, low),
            *(weights, gradient, residuals, tile),
        )
    if part == parts - 1 and len(margin) > 0:
        _add_rows(
            *(margin, 0, len(margin), margin.shape[1], np.zeros(1, np.int64), 1, wanted),
            *(blocks * block, weights[:1], gradient[:1], residuals, tile),
        )
    total = gradient[0, shifts[0] :]
    for kind in range(1, len(shifts)):
        other = gradient[kind, shifts[kind] :]
        for j in range(size):
            total[j] += other[j]


@njit(cache=True)
def _prepare(features, targets, period, run, tile):
    """What all steps share: the rows at the margins, targets in the order of work, shifts.

    Whole vectors reach beyond a row, by less than another row: the first and the last rows are
    copied, with zeros around them. Behind the targets follow zeros, for the turn after the last.
    """
    samples, size = features.shape
    lanes, together = vector.width(features), len(tile)
    shifts, head = np.zeros(period, np.int64), 0
    if period * size % lanes == 0:
        head = 1
        address = features.ctypes.data // features.itemsize
        for kind in range(period):
            shifts[kind] = (address + (head + kind) * size) % lanes
    block = run * together
    blocks = max(samples - head - 1, 0) // block
    tail = head + blocks * block
    if blocks == 0:
        head = tail = samples
    count = head + samples - tail
    pitch = (size + 2 * lanes - 1) // lanes * lanes
    margin_rows = (count + together - 1) // together * together
    margin = _zeros(margin_rows * pitch, features).reshape(-1, pitch)
    wanted = np.zeros(blocks * block + margin_rows + block, features.dtype)
    for first in range(0, blocks * block, block):
        for turn in range(run):
            for i in range(together):
                place = first + turn * together + i
                wanted[place] = targets[head + first + i * run + turn]
    for i in range(count):
        source = i if i < head else tail + i - head
        for j in range(size):
            margin[i, shifts[0] + j] = features[source, j]
        wanted[blocks * block + i] = targets[source]
    return features, margin, wanted, shifts, head, run


@njit(cache=True)
def _weights(start, shifts, features):
    """Weights as the vectors of rows meet them, once for each shift, with zeros around them."""
    size, lanes = len(start), vector.width(features)
    pitch = (size + 2 * lanes - 1) // lanes * lanes
    weights = _zeros(len(shifts) * pitch, features).reshape(len(shifts), pitch)
    for kind in range(len(shifts)):
        for j in range(size):
            weights[kind, shifts[kind] + j] = start[j]
    return weights


@njit(cache=True)
def _step(weights, gradients, shifts, size, step, l2, threshold):
    """Sum the gradients of all parts in order, and take a step with thresholding."""
    total = gradients[0, 0, shifts[0] : shifts[0] + size]
    for part in range(1, len(gradients)):
        other = gradients[part, 0, shifts[0] :]
        for j in range(size):
            total[j] += other[j]
    row = weights[0, shifts[0] : shifts[0] + size]
    for j in range(size):
        weight = row[j]
        weight -= step * (total[j] + l2 * weight)
        if abs(weight) <= threshold:
            row[j] = 0
        elif weight > 0:
            row[j] = weight - threshold
        else:
            row[j] = weight + threshold
    for kind in range(1, len(shifts)):
        other = weights[kind, shifts[kind] :]
        for j in range(size):
            other[j] = row[j]


@njit(cache=True)
def _collect(weights, shifts, out):
    for j in range(len(out)):
        out[j] = weights[0, shifts[0] + j]


@njit(cache=True)
def descend(features, targets, start, out, iterations, factors, period, run, tile):
    """Take all steps on one thread, ``len(tile)`` rows at a time."""
    dtype, size = features.dtype.type, features.shape[1]
    step, l2, threshold = dtype(factors[0]), dtype(factors[1]), dtype(factors[2])
    problem = _prepare(features, targets, period, run, tile)
    shifts = problem[3]
    weights = _weights(start, shifts, features)
    gradients = _zeros(weights.size, features).reshape((1, *weights.shape))
    for _ in range(iterations):
        _gradient(problem, weights, gradients[0], np.int64(0), np.int64(1), tile)
        _step(weights, gradients, shifts, size, step, l2, threshold)
    _collect(weights, shifts, out)


@njit(cache=True, parallel=True)
def descend_parallel(features, targets, start, out, iterations, factors, period, run, parts, tile):
    """Take all steps, each with one gradient for every part of the rows."""
    dtype, size = features.dtype.type, features.shape[1]
    step, l2, threshold = dtype(factors[0]), dtype(factors[1]), dtype(factors[2])
    problem = _prepare(features, targets, period, run, tile)
    shifts = problem[3]
    weights = _weights(start, shifts, features)
    gradients = _zeros(parts * weights.size, features).reshape((parts, *weights.shape))
    for _ in range(iterations):
        for part in prange(parts):
            _gradient(problem, weights, gradients[part], np.int64(part), parts, tile)
        _step(weights, gradients, shifts, size, step, l2, threshold)
    _collect(weights, shifts, out)
