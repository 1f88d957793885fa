"""Sums of the filter gradient of ``numba_blocked`` in registers, compiled for tiles as asked."""

from functools import cache

import numpy as np
from numba import njit

from convgrad.kernels import vector
from convgrad.kernels.address import address_of

FILTERS = 8 if vector.register_bytes() == 64 else 4
VECTORS = 2
"""Filters and vectors of channels whose sums stay in registers: 16 of 32, or 8 of 16."""


@cache
def _adds_with(filters, vectors, halved):
    """Make the function that adds to the sums of some taps what a piece of outputs contributes.

    Parameters
    ----------
    filters, vectors : int
        Of a tile; an even number of filters.
    halved : int
        1 if vectors are half as long as a register, else 0.
    """
    count, half, size = filters * vectors, filters // 2, vector.register_bytes() >> halved

    @njit(cache=True)
    def add(slopes, pixels, pitches, piece, taps, own, item, sums):
        lanes = vector.lanes_in(size, pixels)
        of_slopes, of_pixels = pitches[0], pitches[1]
        along, beside, apart, step = of_slopes[2], of_pixels[2], item[2], count * lanes
        for tap in range(own[0], own[1]):
            place = item[3] + tap * step
            y, x = max(piece[2], taps[tap, 0]), max(piece[4], taps[tap, 2])
            rows, columns = min(piece[3], taps[tap, 1]) - y, min(piece[5], taps[tap, 3]) - x
            if rows <= 0 or columns <= 0:
                continue
            at = item[0] + piece[0] * of_slopes[0] + y * of_slopes[1] + x * along
            seen = item[1] + piece[0] * of_pixels[0] + y * of_pixels[1] + x * beside
            seen += taps[tap, 4]
            if columns * along == of_slopes[1] and columns * beside == of_pixels[1]:
                rows, columns = 1, rows * columns
            for i in range(count):
                vector.prefetch(sums, place + step + i * lanes, 1)
            total = vector.load_tile(sums, place, lanes, lanes, count)
            for image in range(piece[1] - piece[0]):
                for row in range(rows):
                    left = at + image * of_slopes[0] + row * of_slopes[1]
                    right = seen + image * of_pixels[0] + row * of_pixels[1]
                    total = vector.add_panel(
                        total,
                        slopes,
                        left,
                        left + half,
                        1,
                        along,
                        pixels,
                        right,
                        beside,
                        apart,
                        columns,
                        vectors,
                    )
            vector.store_tile(sums, place, lanes, total)

    return add


def address_with(kind, dtype, writeable):
    """Of the function that adds to sums with a kind of tile.

    Parameters
    ----------
    kind : (int, int, int)
        Filters; vectors of channels; 1 if these are half as long as a register, else 0.
    dtype : dtype
    writeable : (bool, bool)
        Whether the arrays of output gradients and pixels are: to Numba these are other types.

    Returns
    -------
    (int, int)
    """
    slopes, pixels = np.empty(0, dtype), np.empty(0, dtype)
    slopes.flags.writeable, pixels.flags.writeable = writeable
    numbers, table = np.empty(0, np.int64), np.empty((0, 0), np.int64)
    own = slopes, pixels, table, numbers, table, (0, 0), numbers
    return address_of(_adds_with(*kind), *own, np.empty(0, dtype))
