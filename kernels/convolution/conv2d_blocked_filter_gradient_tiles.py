"""Sums of the filter gradient of ``numba_blocked`` in registers, compiled for tiles as asked."""

from functools import cache

import numpy as np
from numba import njit

from convgrad.kernels import vector
from convgrad.kernels.address import address_of

ROWS = 8 if vector.register_bytes() == 64 else 4
VECTORS = 2
"""Rows of a tile, and vectors in each, whose sums stay in registers: 16 of 32, or 8 of 16."""


@cache
def _adds_with(rows, vectors, halved):
    """Make the function that adds to the sums of some taps what a piece of outputs contributes.

    Parameters
    ----------
    rows, vectors : int
        Of a tile; an even number of rows.
    halved : int
        1 if vectors are half as long as a register, else 0.
    """
    count, size = rows * vectors, vector.register_bytes() >> halved

    @njit(cache=True)
    def add(left, right, pitches, piece, taps, own, item, sums):
        lanes = vector.lanes_in(size, right)
        below, along, beneath, beside = pitches[0, 1], pitches[0, 2], pitches[1, 1], pitches[1, 2]
        half, apart, step = item[1] - item[0], item[3], count * lanes
        for tap in range(own[0], own[1]):
            y, x = max(piece[2], taps[tap, 0]), max(piece[4], taps[tap, 2])
            deep, across = min(piece[3], taps[tap, 1]) - y, min(piece[5], taps[tap, 3]) - x
            if deep <= 0 or across <= 0:
                continue
            first = item[0] + taps[tap, 4] + y * below + x * along
            second = item[2] + taps[tap, 5] + y * beneath + x * beside
            if across * along == below and across * beside == beneath:
                deep, across = 1, deep * across
            place = item[4] - own[2] + tap * step
            for i in range(count):
                vector.prefetch(sums, place + step + i * lanes, 1)
            total = vector.load_tile(sums, place, lanes, lanes, count)
            for image in range(piece[0], piece[1]):
                for row in range(deep):
                    at = first + image * pitches[0, 0] + row * below
                    seen = second + image * pitches[1, 0] + row * beneath
                    total = vector.add_panel(
                        total,
                        left,
                        at,
                        at + half,
                        1,
                        along,
                        right,
                        seen,
                        beside,
                        apart,
                        across,
                        vectors,
                    )
            vector.store_tile(sums, place, lanes, total)

    return add


def address_with(kind, dtype, writeable):
    """Of the function that adds to sums with a kind of tile.

    Parameters
    ----------
    kind : (int, int, int)
        Rows; vectors in each; 1 if these are half as long as a register, else 0.
    dtype : dtype
    writeable : (bool, bool)
        Whether the two arrays are: to Numba these are other types.

    Returns
    -------
    (int, int)
    """
    left, right = np.empty(0, dtype), np.empty(0, dtype)
    left.flags.writeable, right.flags.writeable = writeable
    numbers, table = np.empty(0, np.int64), np.empty((0, 0), np.int64)
    own = left, right, table, numbers, table, (0, 0, 0), numbers
    return address_of(_adds_with(*kind), *own, np.empty(0, dtype))
