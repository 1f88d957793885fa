"""How the work of blocked layers is divided: over threads, blocks of filters and channels."""

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numba
import numpy as np

from convgrad.kernels import vector
from convgrad.kernels.convolution.conv2d_blocked_outputs import reached, reached_by_tap
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
    """From `reached` or `reached_by_tap`, for rows and for columns."""
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


def _filled(axes, batch):
    """Share of the work of tiles that counts, if outputs are sorted by all taps that they see.

    A tile of two waits for its weights as long as one of four takes.
    """
    outputs, taps = (
        np.outer(*(axis[:, end] - axis[:, end - 1] for axis in axes)) for end in (1, 3)
    )
    work = np.maximum(batch * outputs + batch * outputs % 2, 4) * taps
    return (batch * outputs * taps).sum() / max(work.sum(), 1)


def _order(ranges, batch, channels, filters, dtype):
    """Outputs of both axes that see pixels by the same taps, or by one; and ``panels`` of these.

    By single taps more of few outputs are alike, but their sums are loaded and stored for each.

    Parameters
    ----------
    ranges : sequence of tuple
        What `reached` takes.
    batch, channels, filters : int
    dtype : dtype
    """
    lanes, axes = vector.lanes_of(dtype), tuple(reached(*one) for one in ranges)
    vectors, depth = min(filters / lanes, VECTORS), min(channels, _DEEP)
    taps = prod(len(shifts) for _, _, shifts, _ in ranges)
    listed = batch * taps * prod(count for count, *_ in ranges)
    if listed <= _LISTED and _filled(axes, batch) < depth / (depth + _REST / vectors):
        return tuple(reached_by_tap(*one) for one in ranges), (_DEEP // lanes, True)
    return axes, (max(_PANEL // (taps * lanes * VECTORS * vector.register_bytes()), 1), False)


@lru_cache(PLANS)
def division(axes, step, size, channels, shape, dtype, threads, given):
    """Divide the sums over taps that axes reach.

    Parameters
    ----------
    axes : (Axis, Axis)
        For rows and for columns.
    step : int
        Pixels from what one output sees to what the next does.
    size : (int, int)
        Rows and columns of an image.
    channels : int
    shape : (int, int)
        Images and filters.
    dtype : dtype
    threads : int
    given : bool
        Whether filters are still to be packed: their blocks may then be as many as threads.

    Returns
    -------
    Division
    """
    (rows, columns), (batch, filters) = axes, shape
    ranges = [(axis.count, step, axis.shifts, n) for axis, n in zip(axes, size)]
    seen, panels = _order(ranges, batch, channels, filters, dtype)
    taps = prod(len(axis.shifts) for axis in axes)
    work = batch * filters * rows.count * columns.count * channels * taps
    parts = max(min(work // SMALLEST_PART, threads), 1)
    few = batch * rows.count * columns.count <= RUN
    for least in (parts, 1) if few and given else (1,):
        bounds = filter_bounds(filters, dtype, least)
        shares = _shares(batch * rows.count, columns.count, bounds, parts)
        once = few and shares[0] == 1
        if once:
            break
    return Division(seen, panels, bounds, shares, once)


def correlate_bytes(axes, step, size, channels, shape, dtype):
    """Bytes of packed filters, of the sums of all threads, and of where these belong.

    Takes what `division` takes, for filters that are given.
    """
    threads = numba.get_num_threads()
    _, (deep, by_tap), bounds, shares, once = division(
        axes, step, size, channels, shape, dtype, threads, True
    )
    lanes, taps = vector.lanes_of(dtype), prod(len(axis.shifts) for axis in axes)
    rows, columns = -(-shape[0] * axes[0].count // shares[0]), axes[1].count
    outputs = -(-rows // min(max((rows * columns + RUN // 2) // RUN, 1), rows)) * columns
    weights, depth = bounds[-1] * channels * taps, channels * taps
    if once:
        panel = min(deep * lanes * taps, depth) * min(VECTORS * lanes, bounds[-1])
        weights = prod(shares) * panel
    sums = (outputs + lanes) * VECTORS * lanes * dtype.itemsize
    places = 2 * 8 * outputs * (taps if by_tap else 1)
    return int(weights) * dtype.itemsize + prod(shares) * (sums + places)
