"""Taps of 3 x 3 filters as minimal filtering multiplies them, in the layout of the products."""

from functools import cache

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.address import address_of, call
from convgrad.kernels.convolution.winograd import along_both, filter_2, filter_4
from convgrad.kernels.validation import plain

TAPS = 3
VECTORS = 2
"""Vectors of filters that lie side by side: of a block."""
_FEWEST = 512
"""Vectors of taps that are worth waking a thread for: some 20 us."""


def _items_with(made, turn):
    """Make the function that transforms taps, for tiles of so many outputs along an axis."""

    @njit(cache=True)
    def do_items(filters, back, items, before, weights):
        """Transform some items to blocks of filters, the first of which is ``before``.

        An item is a vector of filters at a channel; all channels come in turn.
        """
        lanes, size, taps = vector.width(filters), made + TAPS - 1, TAPS * TAPS
        flat = filters.reshape(-1)
        count, channels = filters.shape[0], filters.shape[1]
        pitch, beside = channels * taps, taps
        if back:
            count, channels, pitch, beside = channels, count, beside, pitch
        here, across = np.empty((taps + lanes) * lanes, filters.dtype), weights.shape[2]
        scratch = np.empty(size * size * lanes, filters.dtype)
        target, block = weights.reshape(-1), VECTORS * lanes
        at, step = ((taps - 1) * lanes, -lanes) if back else (0, lanes)
        short, steps, apart = (False, False), (TAPS * step, step), across * block
        places = size * apart, apart
        for item in range(items[0], items[1]):
            number, channel = item // channels, item % channels
            first = number * lanes
            seen = first * pitch + channel * beside
            if first + lanes <= count:
                for tap in range(0, taps, lanes):
                    some = min(taps - tap, lanes)
                    square = vector.load_rows(flat, seen + tap, pitch, lanes, lanes, 1, some)
                    vector.store_tile(here, tap * lanes, lanes, vector.transpose(square))
            else:
                for tap in range(taps):
                    for lane in range(lanes):
                        inside = first + lane < count
                        here[tap * lanes + lane] = flat[seen + lane * pitch + tap] if inside else 0
            to = (number // VECTORS - before) * size * size * apart
            to += channel * block + number % VECTORS * lanes
            along_both(turn, TAPS, size, short, here, at, steps, scratch, target, to, places)

    return do_items


_COMPILED = {2: _items_with(2, filter_2), 4: _items_with(4, filter_4)}


@njit(cache=True, parallel=True)
def _shared(do_items, filters, back, items, parts, weights):
    for part in prange(parts):
        own = np.int64(part) * items // parts, (np.int64(part) + 1) * items // parts
        call(do_items, (filters, back, own, np.int64(0), weights))


@cache
def address_with(made, dtype):
    """Of the function that transforms items, for tiles of so many outputs along an axis."""
    taps = np.empty((0,) * 4, dtype)
    return address_of(_COMPILED[made], taps, False, (0, 0), 0, taps)


def weights_shape(made, count, channels, dtype):
    """(blocks of filters, products, channels, filters of a block), in whole vectors.

    One channel more lies between products, lest all of them fall into one set of the cache.
    """
    block = VECTORS * vector.lanes_of(dtype)
    return -(-count // block), (made + TAPS - 1) ** 2, channels + 1, block


def transformed(made, filters, back):
    """Transform all filters.

    Parameters
    ----------
    made : {2, 4}
        Outputs of a tile along an axis.
    filters : ndarray, shape (filters, channels, 3, 3)
    back : bool
        Turn them by half and exchange filters and channels: they then take output gradients to
        images.

    Returns
    -------
    ndarray
        Of `weights_shape`. What lies in the last block beyond the last vector of filters is of no
        meaning.
    """
    count, channels = filters.shape[1::-1] if back else filters.shape[:2]
    weights = np.empty(weights_shape(made, count, channels, filters.dtype), filters.dtype)
    items = -(-count // vector.lanes_of(filters.dtype)) * channels
    parts = min(numba.get_num_threads(), max(items // _FEWEST, 1))
    filters = plain(filters)
    if parts == 1:
        _COMPILED[made](filters, back, (0, items), 0, weights)
    else:
        _shared(address_with(made, filters.dtype), filters, back, items, parts, weights)
    return weights
