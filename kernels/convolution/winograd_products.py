"""Products of minimal filtering: compiled for one vector of filters, or two, as a layer asks."""

from functools import cache

import numpy as np
from numba import literal_unroll, njit
from numba.extending import register_jitable

from convgrad.kernels import vector
from convgrad.kernels.address import address_of
from convgrad.kernels.convolution.winograd_filters import VECTORS

_MOST = 12 if vector.register_bytes() == 64 else 6
_GROUPS = tuple(range(_MOST, 0, -2))
"""Tiles whose sums stay in registers: with two vectors of filters 24 of 32, or 12 of 16; and the
fewer that are left of a job."""
SPARE = 1
"""Places behind the last tile, where a group of an even number may end."""


@register_jitable
def _multiply(seen, at, apart, channels, weights, first, sums, to, tile, vectors):
    """Set the sums of a group of tiles over all channels, for vectors of filters side by side.

    ``tile`` is as long as there are sums, ``vectors`` as there are of these.
    """
    lanes = vector.width(seen)
    half, step = len(tile) // len(vectors) // 2 * lanes, VECTORS * lanes
    total = vector.zero_tile(seen, lanes, len(tile))
    for channel in range(0, channels, lanes):
        depth = min(lanes, channels - channel)
        here, met = at + channel * apart + lanes - depth, first + channel * step
        total = vector.add_panel(
            total, seen, here, here + half, lanes, 1, weights, met, step, lanes, depth, len(vectors)
        )
    vector.store_tile(sums, to, lanes, total)


@cache
def _multiply_with(count):
    """Make the function of one product of matrices: all tiles with ``count`` vectors of filters."""
    vectors, groups = (0,) * count, tuple((0,) * (tiles * count) for tiles in _GROUPS)

    @njit(cache=True)
    def multiply(seen, at, apart, tiles, channels, weights, first, sums, to):
        lanes, done = vector.width(seen), 0
        for group in literal_unroll(groups):
            while tiles - done > len(group) // len(vectors) - 2:
                own, place = at + done * lanes, to + done * len(vectors) * lanes
                _multiply(seen, own, apart, channels, weights, first, sums, place, group, vectors)
                done += len(group) // len(vectors)

    return multiply


@cache
def _address(count, dtype):
    floats = np.empty(0, dtype)
    return address_of(_multiply_with(count), floats, 0, 0, 0, 0, floats, 0, floats, 0)


def addresses_of(dtype, numbers, parts):
    """Of the functions that multiply tiles with one vector of filters, and with two.

    Parameters
    ----------
    dtype : dtype
    numbers, parts : int
        Vectors of filters, and into how many parts they are shared out.

    Returns
    -------
    list of (int, int)
        Zeros stand for a function that no part asks for.
    """
    odd = any(part * numbers // parts % VECTORS for part in range(parts + 1))
    asked = odd, numbers > 1
    return [_address(count, dtype) if some else (0, 0) for count, some in enumerate(asked, 1)]
