"""Direct 2-D and 3-D convolution with low filters: sums that roll down strips of columns."""

from functools import lru_cache

import numpy as np
from numba import njit

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


def low_workspace(signal, taps, shape, itemsize):
    """Elements that `convolve_low` needs: sums that go from stripe to stripe, and its copies."""
    lanes = _BYTES // itemsize
    rows, columns = shape[1] + taps[1] - 1, shape[2]
    most = min(max(_STRIPE // (columns * itemsize), _LOWEST), rows)
    border = 0 if columns == signal[2] - taps[2] + 1 >= lanes else taps[2] - 1
    if columns - 2 * border < 2 * lanes:
        border = columns
    width = -(-border // lanes) * lanes + taps[2] - 1
    unit = len(strip(taps)[1]) * lanes
    return (columns + 3 * unit) * taps[1] + taps[0] * most * width + lanes


@njit(cache=True)
def _roll(
    source,
    at,
    pitches,
    weights,
    taps,
    tall,
    wide,
    deep,
    seen,
    rows,
    ahead,
    kept,
    slot,
    result,
    to,
    used,
):
    """Take rows ``rows[0]`` to ``rows[1]`` of what a strip of outputs sees, from ``at`` on.

    A row of samples gives to every row of sums what it has to give; then the first row of sums
    is complete, of which the first ``used`` are written, from ``to`` on for the first row of
    outputs, and the others move up. At the end they are kept from ``slot`` on for the rows below.
    Of what outputs see there are planes ``seen[0]`` to ``seen[1]`` and rows ``seen[2]`` to
    ``seen[3]``. Lines ``ahead[0]`` from the samples and ``ahead[1]`` from the outputs come into
    the cache, unless these are 0.
    """
    lanes = vector.lanes_in(_BYTES, source)
    line = vector.lanes_in(64, source)
    height, across, count = vector.sides(tall, wide)
    columns = result.shape[2]
    outputs = result.reshape(result.size)
    sums = vector.zero_tile(source, lanes, count)
    if rows[0] > 0:
        sums = vector.load_tile(kept, slot, lanes, lanes, count)
    for row in range(rows[0], rows[1]):
        if seen[2] <= row < seen[3]:
            first = at + seen[0] * pitches[0] + row * pitches[1]
            plane = taps[1] * taps[2]
            last = (seen[0] + 1) * plane - taps[2]
            planes = seen[1] - seen[0]
            sums = vector.correlate_row(
                sums, weights, last, plane, taps[2], source, first, pitches[0], planes, deep, across
            )
        place = to + (row - height + 1) * columns
        if ahead[0]:
            for i in range(0, across * lanes, line):
                vector.prefetch(source, at + (row + _SOON) * pitches[1] + i, 1)
                vector.prefetch(source, at + row * pitches[1] + ahead[0] + i, 2)
                vector.prefetch(outputs, place + ahead[1] + i, 2)
        if row >= height - 1:
            done = vector.first_row(sums, across)
            if used >= lanes:
                vector.store_tile(outputs, place, lanes, done)
            else:
                vector.store_first(outputs, place, done[0], used)
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
    columns = result.shape[2]
    shift = start[2] - taps[2] + 1
    first = min((max(-shift, 0) + lanes - 1) // lanes * lanes, columns)
    last = min(signal.shape[2] - shift - taps[2] + 1, columns)
    if last - first < lanes:
        first, last = columns, columns
    total = box[3] - box[2] + height - 1
    most = min(max(_STRIPE // (columns * signal.itemsize), _LOWEST), total)
    width = (max(first, columns - last) + lanes - 1) // lanes * lanes + taps[2] - 1
    copy = np.empty(taps[0] * most * width + lanes, signal.dtype)
    kept = np.empty((columns + 3 * unit) * height, signal.dtype)
    pitches = signal.shape[1] * signal.shape[2], signal.shape[2]
    below = most * pitches[1], _AHEAD * unit
    upper = box[2] + start[1] - taps[1] + 1
    for plane in range(box[0], box[1]):
        top = plane + start[0] - taps[0] + 1
        seen = (
            max(-top, 0),
            min(taps[0], signal.shape[0] - top),
            max(-upper, 0),
            signal.shape[1] - upper,
        )
        to = (plane * result.shape[1] + box[2]) * columns
        at = top * pitches[0] + upper * pitches[1] + shift
        for row in range(0, total, most):
            rows = row, min(row + most, total)
            slot, place = 0, first
            while place < last:
                left = last - place
                if left >= unit or (2 * left > unit and last - first >= unit):
                    place = min(place, last - unit)
                    _roll(
                        *(
                            samples,
                            at + place,
                            pitches,
                            weights,
                            taps,
                            tall,
                            wide,
                            deep,
                            seen,
                            rows,
                        ),
                        *(below, kept, slot, result, to + place, unit),
                    )
                    place += unit
                    slot += count * lanes
                else:
                    place = min(place, last - lanes)
                    _roll(
                        *(
                            samples,
                            at + place,
                            pitches,
                            weights,
                            taps,
                            tall,
                            (0,),
                            deep,
                            seen,
                            rows,
                        ),
                        *((0, 0), kept, slot, result, to + place, lanes),
                    )
                    place += lanes
                    slot += height * lanes
            own = (rows[1] - row) * width, width
            for low, high in ((0, first), (last, columns)):
                if low < high:
                    copied = taps[0], rows[1] - row, width
                    copy_box(signal, (top, upper + row, low + shift), copied, copy)
                for place in range(low, high, lanes):
                    _roll(
                        *(
                            copy,
                            place - low - row * width,
                            own,
                            weights,
                            taps,
                            tall,
                            (0,),
                            deep,
                            seen,
                        ),
                        *(rows, (0, 0), kept, slot, result, to + place, min(high - place, lanes)),
                    )
                    slot += height * lanes
