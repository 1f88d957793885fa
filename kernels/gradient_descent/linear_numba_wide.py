"""Linear fit of one output: some rows meet the weights, and the gradient while they are near."""

import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.lines import LINE, zeros

_LONGEST = {4: 2600, 3: 4100, 2: 5500}
"""Bytes of a row up to which two turns of so many rows stay in L1, beside weights and gradient."""
_MANY = 8
"""Rows of a turn where no two turns of two rows do."""
_SHUFFLED = vector.register_bytes() == 64
"""Whether a vector is put together from two (AVX-512 does so at once), or loaded across lines."""
_AHEAD = 1 << 15
"""Bytes from the rows that are worked on to those that are brought into L2 meanwhile, at least."""


def rows_together(row_bytes):
    """Rows of a turn, which share loads of weights and gradient."""
    return next((rows for rows, longest in _LONGEST.items() if row_bytes <= longest), _MANY)


@njit(cache=True)
def _ahead(rows, group):
    """Elements from a group of rows to the one that is brought into L2 meanwhile."""
    return group * (1 + _AHEAD // (group * rows.itemsize))


@njit(cache=True)
def _place(origin, lanes, size, row):
    """Where the vector begins in which a row begins, and how far into it that is; in elements.

    ``origin`` is the address of the first row: to ask the array in every turn takes locked
    additions, for which a processor lets no load pass.
    """
    shift = (origin + row * size) & (lanes - 1)
    return row * size - shift, shift


@njit(cache=True, forceinline=True)
def _moved(weights, j, shift, before):
    """Weights from ``shift`` before number j on, and the vector that they end in."""
    lanes = vector.width(weights)
    if _SHUFFLED:
        last = vector.load(weights, lanes + j, lanes)
        return vector.join(before, last, lanes - shift), last
    return vector.load(weights, lanes - shift + j, lanes), before


@njit(cache=True, forceinline=True)
def _add_moved(gradient, j, shift, before, share):
    """Add a share of the gradient from ``shift`` before number j on; or what is due of two."""
    lanes = vector.width(gradient)
    at = j if _SHUFFLED else lanes - shift + j
    due = vector.join(before, share, shift) if _SHUFFLED else share
    vector.store(gradient, at, vector.load(gradient, at, lanes) + due)


@njit(cache=True)
def _add_short_rows(rows, size, head, last, period, wanted, weights, gradient, kept, tile):
    """`_add_rows` in one loop a turn: the rows before it meet the gradient meanwhile, from L1.

    So the processor has something to do while it waits for L2.
    """
    lanes, together = vector.width(rows), len(tile)
    apart, ahead = period * size, _ahead(rows, period * together * size)
    origin = rows.ctypes.data // rows.itemsize
    old, old_shift = _place(origin, lanes, size, head)
    none = vector.zero_tile(rows, lanes, 1)
    kept[:] = 0
    turn = 0
    for group in range(head, last, period * together):
        for row in range(group, group + period):
            first, shift = _place(origin, lanes, size, row)
            following = (group + (row - group) * together) * size + ahead
            factors = vector.broadcast_tile(kept, 0, 1, lanes, together)
            sums = vector.zero_tile(rows, lanes, together)
            seen = share = none[0]
            stop = size + max(shift, old_shift)
            for j in range(0, stop, lanes):
                for i in range(together):
                    vector.prefetch(rows, following + j * together + i * lanes, 2)
                w, seen = _moved(weights, j, shift, seen)
                x = vector.load_tile(rows, first + j, apart, lanes, together)
                sums = vector.add_outer(sums, x, (w,))
                x = vector.load_tile(rows, old + j, apart, lanes, together)
                before, share = share, vector.add_product(none, factors, x)[0]
                _add_moved(gradient, j, old_shift, before, share)
            stop = (stop + lanes - 1) // lanes * lanes
            _add_moved(gradient, stop, old_shift, share, none[0])
            y = vector.load(wanted, turn * together, together)
            vector.store(kept, 0, vector.totals(sums) - y)
            old, old_shift, turn = first, shift, turn + 1
    factors = vector.broadcast_tile(kept, 0, 1, lanes, together)
    for j in range(0, size + old_shift, lanes):
        x = vector.load_tile(rows, old + j, apart, lanes, together)
        total = vector.load_tile(gradient, lanes - old_shift + j, 0, lanes, 1)
        total = vector.add_product(total, factors, x)
        vector.store_tile(gradient, lanes - old_shift + j, 0, total)


@njit(cache=True)
def _add_long_rows(rows, size, head, last, period, wanted, weights, gradient, kept, tile):
    """`_add_rows` in two loops a turn, there and back: columns met last are still in L1."""
    lanes, together = vector.width(rows), len(tile)
    apart, ahead = period * size, _ahead(rows, period * together * size)
    origin = rows.ctypes.data // rows.itemsize
    turn = 0
    for group in range(head, last, period * together):
        for row in range(group, group + period):
            first, shift = _place(origin, lanes, size, row)
            following = (group + (row - group) * together) * size + ahead
            sums = vector.zero_tile(rows, lanes, together)
            for j in range(0, size + shift, lanes):
                for i in range(together // 2):
                    vector.prefetch(rows, following + j * together + i * lanes, 2)
                w = vector.load_tile(weights, lanes - shift + j, 0, lanes, 1)
                x = vector.load_tile(rows, first + j, apart, lanes, together)
                sums = vector.add_outer(sums, x, w)
            y = vector.load(wanted, turn * together, together)
            vector.store(kept, 0, vector.totals(sums) - y)
            factors = vector.broadcast_tile(kept, 0, 1, lanes, together)
            for j in range((size + shift - 1) // lanes * lanes, -1, -lanes):
                for i in range(together // 2, together):
                    vector.prefetch(rows, following + j * together + i * lanes, 2)
                x = vector.load_tile(rows, first + j, apart, lanes, together)
                total = vector.load_tile(gradient, lanes - shift + j, 0, lanes, 1)
                total = vector.add_product(total, factors, x)
                vector.store_tile(gradient, lanes - shift + j, 0, total)
            turn += 1


@njit(cache=True)
def _add_rows(rows, size, head, last, period, wanted, weights, gradient, kept, tile):
    """Add to the gradient what the rows from ``head`` to ``last``, in whole groups, contribute.

    A turn takes ``len(tile)`` rows, ``period`` rows apart. So they begin at the same place of a
    vector, and are loaded from where vectors begin; weights and gradient, which all of them share,
    are met from as much before their first element, which is at ``lanes``, among zeros. Rows to
    come are brought into L2 meanwhile, in order: a processor that sees several of them being read
    side by side fetches less far ahead.
    """
    if len(tile) < _MANY:
        _add_short_rows(rows, size, head, last, period, wanted, weights, gradient, kept, tile)
    else:
        _add_long_rows(rows, size, head, last, period, wanted, weights, gradient, kept, tile)


@njit(cache=True)
def _gradient(features, margin, wanted, weights, gradient, part, parts, period, tile):
    """Set ``gradient`` to ``X^T (X w - y)`` of a part of the rows, the last with the margin."""
    size, group = features.shape[1], period * len(tile)
    groups = (wanted.size - len(margin)) // group
    kept = zeros(np.int64(len(tile)), features)
    gradient[:] = 0
    low, high = part * groups // parts * group, (part + 1) * groups // parts * group
    if high > low:
        _add_rows(
            *(features, size, 1 + low, 1 + high, period, wanted[low:high]),
            *(weights, gradient, kept, tile),
        )
    if part == parts - 1:
        _add_rows(
            *(margin, margin.shape[1], 0, len(margin), 1, wanted[groups * group :]),
            *(weights, gradient, kept, tile),
        )


@njit(cache=True)
def _prepare(features, targets, period, tile):
    """What all steps share: the rows at the margins, and targets in the order of work.

    Whole vectors reach beyond a row, by less than another row: the first and the last rows are
    copied, with zeros around them.
    """
    (samples, size), together = features.shape, len(tile)
    lanes, group = vector.width(features), period * together
    groups = max(samples - 2, 0) // group
    within, count = groups * group, samples - groups * group
    pitch = (size + lanes - 1) // lanes * lanes
    rows = (count + together - 1) // together * together
    margin = zeros(rows * pitch, features).reshape(rows, pitch)
    wanted = np.zeros(within + rows, features.dtype)
    for first in range(0, within, group):
        for kind in range(period):
            for i in range(together):
                wanted[first + kind * together + i] = targets[1 + first + i * period + kind]
    for i in range(count):
        source = 0 if i == 0 else within + i
        for j in range(size):
            margin[i, j] = features[source, j]
        wanted[within + i] = targets[source]
    return margin, wanted


@njit(cache=True)
def _weights(start, features):
    """Weights with room for a vector before them, and for what vectors reach beyond."""
    lanes = vector.width(features)
    weights = zeros((len(start) // LINE + 3) * LINE, features)
    for j in range(len(start)):
        weights[lanes + j] = start[j]
    return weights


@njit(cache=True)
def _step(weights, gradients, size, step, l2, threshold):
    """Sum the gradients of all parts in order, and take a step with thresholding."""
    lanes = vector.width(weights)
    total, row = gradients[0, lanes : lanes + size], weights[lanes : lanes + size]
    for part in range(1, len(gradients)):
        other = gradients[part, lanes:]
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
    lanes = vector.width(weights)
    for j in range(len(out)):
        out[j] = weights[lanes + j]


@njit(cache=True)
def descend(features, targets, start, out, iterations, factors, period, tile):
    """Take all steps on one thread, ``len(tile)`` rows at a time."""
    dtype, size = features.dtype.type, features.shape[1]
    step, l2, threshold = dtype(factors[0]), dtype(factors[1]), dtype(factors[2])
    margin, wanted = _prepare(features, targets, period, tile)
    weights = _weights(start, features)
    gradients = zeros(weights.size, features).reshape(1, -1)
    for _ in range(iterations):
        _gradient(
            *(features, margin, wanted, weights, gradients[0]),
            *(np.int64(0), np.int64(1), period, tile),
        )
        _step(weights, gradients, size, step, l2, threshold)
    _collect(weights, out)


@njit(cache=True, parallel=True)
def descend_parallel(features, targets, start, out, iterations, factors, period, parts, tile):
    """Take all steps, each with one gradient for every part of the rows."""
    dtype, size = features.dtype.type, features.shape[1]
    step, l2, threshold = dtype(factors[0]), dtype(factors[1]), dtype(factors[2])
    margin, wanted = _prepare(features, targets, period, tile)
    weights = _weights(start, features)
    gradients = zeros(parts * weights.size, features).reshape(parts, -1)
    for _ in range(iterations):
        for part in prange(parts):
            _gradient(
                *(features, margin, wanted, weights, gradients[part]),
                *(np.int64(part), parts, period, tile),
            )
        _step(weights, gradients, size, step, l2, threshold)
    _collect(weights, out)
