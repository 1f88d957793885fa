"""How the work of blocked layers is divided: over threads, blocks of filters and channels."""

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numba
import numpy as np

from convgrad.kernels import vector
from convgrad.kernels.convolution.conv2d_blocked_outputs import reached
from convgrad.kernels.convolution.conv2d_blocked_weights import VECTORS, filter_bounds
from convgrad.kernels.convolution.conv2d_numba_planes import PLANS

RUN = 1500
"""About so many outputs are worked on together: each weight that is read serves all of them."""
_PANEL = 1 << 18
"""Bytes of packed filters that are worked with at a time: so many stay in the second cache."""
_DEEP = 128
"""Channels that are summed over at a time where outputs are sorted by single taps."""
_LISTED = 1 << 16
"""Outputs, once for each tap: more are not sorted by single taps."""
_REST = 48
"""What a tile takes besides its sums, as channels of a vector of filters."""
_APART = 10
"""Filters that are packed before threads share rows cost as much as so many outputs."""
SMALLEST_PART = 1 << 18
"""Products, about 10 us of work: less is not worth waking a thread."""


class Division(NamedTuple):
    """How the work of a layer is divided."""

    seen: tuple
    """From `reached`, for rows and for columns."""
    panels: tuple
    """Vectors of channels that are summed over at a time, and whether by single taps."""
    bounds: np.ndarray
    """From `filter_bounds`."""
    shares: tuple
    """Parts of rows of outputs, and of blocks of filters."""
    once: bool
    """Whether one thread uses each block of filters, and once: it packs them where it does."""


def _shares(rows, columns, bounds, parts):
    """Parts of rows, and of blocks of filters: the largest is as small as can be, none is empty."""
    blocks = len(bounds) - 1
    more = _APART if rows * columns <= RUN else 0

    def largest(shares):
        down, beside = shares
        ends = [bounds[blocks * part // beside] for part in range(beside + 1)]
        outputs = -(-rows // down) * columns + (more if down > 1 else 0)
        return outputs * max(np.diff(ends))

    downs = range(min(parts, rows), 0, -1)
    return min(((down, min(parts // down, blocks)) for down in downs), key=largest)


def _most_taps(axes):
    """Taps that reach an output."""
    return prod(max(len(axis.shifts) for axis in along) for along in axes)


def _all_taps(axes):
    return prod(sum(len(axis.shifts) for axis in along) for along in axes)


def _products(axes):
    """Of a channel and a filter of one image."""
    return prod(sum(axis.count * len(axis.shifts) for axis in along) for along in axes)


def _filled(seen, apart, batch):
    """Share of the work of tiles that counts, if outputs are sorted by all taps that they see.

    A tile of two waits for its weights as long as one of four takes.
    """
    outputs = np.outer(*(-((table[:, 0] - table[:, 1]) // apart) for table in seen))
    taps = np.outer(*(table[:, 3] - table[:, 2] for table in seen))
    work = np.maximum(batch * outputs + batch * outputs % 2, 4) * taps
    return (batch * outputs * taps).sum() / max(work.sum(), 1)


def _order(axes, steps, size, batch, channels, filters, dtype):
    """Outputs of both axes that see pixels by the same taps, or by one; and ``panels`` of these.

    By single taps more of few outputs are alike, but their sums are loaded and stored for each.
    """

    def sorted_(by_tap):
        return tuple(reached(along, *steps, n, by_tap) for along, n in zip(axes, size))

    lanes, seen = vector.lanes_of(dtype), sorted_(False)
    vectors, depth = min(filters / lanes, VECTORS), min(channels, _DEEP)
    filled = _filled(seen, steps[1], batch)
    if batch * _products(axes) <= _LISTED and filled < depth / (depth + _REST / vectors):
        return sorted_(True), (_DEEP // lanes, True)
    panel = _most_taps(axes) * lanes * VECTORS * vector.register_bytes()
    return seen, (max(_PANEL // max(panel, 1), 1), False)


@lru_cache(PLANS)
def division(axes, steps, size, channels, shape, dtype, threads, given):
    """Divide the sums over taps that axes reach.

    Parameters
    ----------
    axes : (tuple of Axis, tuple of Axis)
        For rows and for columns.
    steps : (int, int)
        Pixels from what one output of an axis sees to what the next does, and how far apart these
        outputs lie.
    size : (int, int)
        Rows and columns of an image.
    channels : int
    shape : (int, int, int, int)
        Images, filters, rows and columns of the outputs.
    dtype : dtype
    threads : int
    given : bool
        Whether filters are still to be packed: their blocks may then be as many as threads.

    Returns
    -------
    Division
    """
    batch, filters, rows, columns = shape
    seen, panels = _order(axes, steps, size, batch, channels, filters, dtype)
    work = batch * filters * channels * _products(axes)
    parts = max(min(work // SMALLEST_PART, threads), 1)
    few = batch * rows * columns <= RUN
    for least in (parts, 1) if few and given else (1,):
        bounds = filter_bounds(filters, dtype, least)
        shares = _shares(batch * rows, columns, bounds, parts)
        once = few and shares[0] == 1
        if once:
            break
    return Division(seen, panels, bounds, shares, once)


def correlate_bytes(axes, steps, size, channels, shape, dtype):
    """Bytes of packed filters, of the sums of all threads, and of where these belong.

    Takes what `division` takes, for filters that are given.
    """
    threads = numba.get_num_threads()
    _, (deep, by_tap), bounds, shares, once = division(
        axes, steps, size, channels, shape, dtype, threads, True
    )
    lanes, taps = vector.lanes_of(dtype), _all_taps(axes)
    rows, columns = -(-shape[0] * shape[2] // shares[0]), shape[3]
    outputs = -(-rows // min(max((rows * columns + RUN // 2) // RUN, 1), rows)) * columns
    weights, depth = bounds[-1] * channels * taps, channels * taps
    if once:
        panel = min(deep * lanes * taps, depth) * min(VECTORS * lanes, bounds[-1])
        weights = prod(shares) * panel
    sums = (outputs + lanes) * VECTORS * lanes * dtype.itemsize
    places = 2 * 8 * outputs * (taps if by_tap else 1)
    return int(weights) * dtype.itemsize + prod(shares) * (sums + places)
