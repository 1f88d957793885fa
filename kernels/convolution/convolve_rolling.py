"""Direct 2-D and 3-D convolution with low filters: sums that roll down strips of columns."""

from functools import lru_cache

import numpy as np
from numba import njit
from numba.extending import register_jitable

from convgrad.kernels import vector
from convgrad.kernels.convolution.convolve_border import copy_box

MOST_ROWS = 6
"""Rows of the highest filter: the strips of higher ones are too slim to share what they load."""
_BYTES = vector.register_bytes()
_SUMS, _WIDEST = 20 if _BYTES == 64 else 12, 8
"""Vectors of sums, beside which samples and taps find registers; and the most in a row of them."""
_STRIPE, _LOWEST = 1 << 18, 24
"""Bytes of samples in a stripe of rows, which stay in L2 with the next ones and the outputs; and
its least rows."""
_AHEAD, _SOON = 2, 4
"""How many strips ahead lines of outputs come into L2, and how many rows ahead samples into L1."""


@lru_cache(256)
def strip(taps):
    """What the compiler knows of a filter of such sides, as lengths of tuples.

    Its rows, vectors of a strip, and whether it has more than one plane (2) or not (1).
    """
    rows = taps[1]
    return (0,) * rows, (0,) * min(_SUMS // rows, _WIDEST), (0,) * min(taps[0], 2)


def low_workspace(signal, taps, shape, start, itemsize):
    """Elements that `convolve_low` needs: sums that go from stripe to stripe, and its copies."""
    lanes, unit = _BYTES // itemsize, len(strip(taps)[1]) * (_BYTES // itemsize)
    *_, most, width = _divide(signal, taps, shape, start, lanes, itemsize)
    most = min(most, shape[1] + taps[1] - 1)
    return (shape[2] + 3 * unit) * taps[1] + taps[0] * most * width + lanes


@register_jitable
def _divide(signal, taps, shape, start, lanes, itemsize):
    """First column that sees no border, the one after the last, and what they are divided into.

    That is the rows of a stripe, and the columns of a copy of what is seen at the border.
    """
    columns, shift = shape[2], start[2] - taps[2] + 1
    first = min((max(-shift, 0) + lanes - 1) // lanes * lanes, columns)
    last = min(signal[2] - shift - taps[2] + 1, columns)
    if last - first < lanes:
        first, last = columns, columns
    width = (max(first, columns - last) + lanes - 1) // lanes * lanes + taps[2] - 1
    most = max(_STRIPE // (max(columns, width) * itemsize), _LOWEST)
    return first, last, most, width


@njit(cache=True)
def _roll(samples, taps, sides, seen, rows, ahead, sums_above, outputs):
    """Set a strip of outputs, as far as some rows of samples do.

    A row of samples gives to every row of sums what it has to give; then the first row of sums
    is complete and written, and the others move up.

    Parameters
    ----------
    samples : (ndarray, int, (int, int))
        All, where what the first output sees begins, and how far planes and rows are apart.
    taps : (ndarray, (int, int, int))
        Flipped, in a row; planes, rows and columns of the filter.
    sides
        From `strip`.
    seen : (int, int, int, int)
        Planes, and rows, that are there of what outputs see: the first, and the one after the last.
    rows : (int, int)
        First row of what outputs see, and the one after the last.
    ahead : (int, int)
        How far off samples and outputs lie that shall come into the cache; nothing does for 0.
    sums_above : (ndarray, int)
        Sums that go from one call to the next, and where those of this strip begin.
    outputs : (ndarray, int, int)
        All, shape (planes, rows, columns); where the first lies, and how many of a row are set.
    """
    source, at, pitches = samples
    weights, (_, height, width) = taps
    kept, slot = sums_above
    result, to, used = outputs
    lanes, line = vector.lanes_in(_BYTES, source), vector.lanes_in(64, source)
    high, across, count = vector.sides(sides[0], sides[1])
    flat, columns = result.reshape(result.size), result.shape[2]
    sums = vector.zero_tile(source, lanes, count)
    if rows[0] > 0:
        sums = vector.load_tile(kept, slot, lanes, lanes, count)
    for row in range(rows[0], rows[1]):
        first, place = at + row * pitches[1], to + (row - high + 1) * columns
        if seen[2] <= row < seen[3]:
            begin = first + seen[0] * pitches[0]
            last = ((seen[0] + 1) * height - 1) * width
            apart, pitch, planes, several = height * width, pitches[0], seen[1] - seen[0], sides[2]
            sums = vector.correlate_row(
                sums, weights, last, apart, width, source, begin, pitch, planes, several, across
            )
        if ahead[0]:
            for i in range(0, across * lanes, line):
                vector.prefetch(source, first + _SOON * pitches[1] + i, 1)
                vector.prefetch(source, first + ahead[0] + i, 2)
                vector.prefetch(flat, place + ahead[1] + i, 2)
        if row >= high - 1:
            done = vector.first_row(sums, across)
            if used >= lanes:
                vector.store_tile(flat, place, lanes, done)
            else:
                vector.store_first(flat, place, done[0], used)
        sums = vector.move_up(sums, across)
    vector.store_tile(kept, slot, lanes, sums)


@njit(cache=True)
def convolve_low(signal, weights, taps, tall, wide, deep, start, box, result):
    """Set a box of outputs: planes ``box[0]`` to ``box[1]``, rows ``box[2]`` to ``box[3]``.

    ``tall``, ``wide`` and ``deep`` are those of `strip`. Strips that see no border left or right
    are made of the signal itself, the last ones reaching back to be whole; the others of copies
    of what they see. Rows and planes beyond the border are left out. Strips go down a stripe of
    rows side by side, so that memory is read and written row by row.
    """
    lanes = vector.lanes_in(_BYTES, signal)
    height, across, count = vector.sides(tall, wide)
    unit = across * lanes
    samples = signal.reshape(signal.size)
    columns, shift = result.shape[2], start[2] - taps[2] + 1
    first, last, most, width = _divide(
        signal.shape, taps, result.shape, start, lanes, signal.itemsize
    )
    total = box[3] - box[2] + height - 1
    most = min(most, total)
    copy = np.empty(taps[0] * most * width + lanes, signal.dtype)
    kept = np.empty((columns + 3 * unit) * height, signal.dtype)
    pitches = signal.shape[1] * signal.shape[2], signal.shape[2]
    ahead = most * pitches[1], _AHEAD * unit
    filtered, wide_strip, slim_strip = (weights, taps), (tall, wide, deep), (tall, (0,), deep)
    upper = box[2] + start[1] - taps[1] + 1
    for plane in range(box[0], box[1]):
        top = plane + start[0] - taps[0] + 1
        planes = max(-top, 0), min(taps[0], signal.shape[0] - top)
        seen = (*planes, max(-upper, 0), signal.shape[1] - upper)
        to = (plane * result.shape[1] + box[2]) * columns
        at = top * pitches[0] + upper * pitches[1] + shift
        for row in range(0, total, most):
            rows = row, min(row + most, total)
            slot, place = 0, first
            while place < last:
                left = last - place
                if left >= unit or (2 * left > unit and last - first >= unit):
                    place = min(place, last - unit)
                    own = (samples, at + place, pitches), filtered, wide_strip, seen, rows, ahead
                    _roll(*own, (kept, slot), (result, to + place, unit))
                    place += unit
                    slot += count * lanes
                else:
                    place = min(place, last - lanes)
                    own = (samples, at + place, pitches), filtered, slim_strip, seen, rows, (0, 0)
                    _roll(*own, (kept, slot), (result, to + place, lanes))
                    place += lanes
                    slot += height * lanes
            for low, high in ((0, first), (last, columns)):
                if low < high:
                    copied = taps[0], rows[1] - row, width
                    copy_box(signal, (top, upper + row, low + shift), copied, copy)
                for place in range(low, high, lanes):
                    here = copy, place - low - row * width, ((rows[1] - row) * width, width)
                    own = here, filtered, slim_strip, seen, rows, (0, 0)
                    _roll(*own, (kept, slot), (result, to + place, min(high - place, lanes)))
                    slot += height * lanes
