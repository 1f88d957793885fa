"""Sums of ``conv2d_blocked`` in registers: compiled for a width of filters when a layer has it."""

from functools import cache

import numpy as np
from numba import njit
from numba.extending import register_jitable

from convgrad.kernels import vector
from convgrad.kernels.address import address_of
from convgrad.kernels.convolution.conv2d_blocked_layout import block_count
from convgrad.kernels.convolution.conv2d_blocked_weights import halves

_MOST, _SOME, _FEW = 6, 4, 2
"""Outputs whose sums stay in registers, with up to four vectors of filters, or two of 16."""


@register_jitable(forceinline=True)
def _set_tile(
    pixels,
    outputs,
    at,
    run,
    shifts,
    groups,
    panel,
    weights,
    first,
    sums,
    add,
    tile,
    vectors,
    halves,
):
    """Set the sums of some outputs over a panel of channels and some taps, or add to them.

    Tuples say by their length how large a tile is: ``tile`` has a place for each sum, ``vectors``
    for each vector of filters, ``halves`` if only half of the last one is there.
    """
    lanes, wide, half = vector.width(pixels), len(vectors), len(halves)
    (seen, places), (offsets, channels) = outputs, groups
    step = wide * lanes - half * lanes // 2
    across, pitch = shifts.shape[1], shifts.size * step
    total = vector.zero_tile(pixels, lanes, len(tile))
    if add:
        total = vector.load_scattered(sums, places, at, total, wide)
    for group in range(panel[0], panel[1]):
        deep = min(lanes, channels - group * lanes)
        following = offsets[min(group + 1, len(offsets) - 1)] - offsets[group]
        for row in range(run[2], run[3]):
            here = first + group * lanes * pitch + (row * across + run[4]) * step
            for column in range(run[4], run[5]):
                shift = offsets[group] + shifts[row, column]
                for i in range(len(tile) // wide):
                    vector.prefetch(pixels, seen[at + i] + shift + following, 1)
                total = vector.add_gathered(
                    total, pixels, seen, at, shift, weights, here, pitch, deep, wide, half
                )
                here += step
    vector.store_scattered(sums, places, at, total, wide)


@cache
def _sums_with(count, half):
    """Make the function that sets the sums of all runs of outputs with a block of filters.

    Parameters
    ----------
    count, half : int
        Vectors of filters in the block; 1 if only half of the last one is there, else 0.
    """
    most, some, few = ((0,) * (outputs * count) for outputs in (_MOST, _SOME, _FEW))
    columns = (0,) * count, (0,) * half

    # Unless tiles are inlined, each takes 100 ns to count references to the arrays.
    @njit(cache=True)
    def set_sums(pixels, outputs, runs, shifts, groups, panel, weights, first, sums, add):
        for number in range(len(runs)):
            at, run = runs[number, 0], runs[number]
            while at < run[1]:
                own = pixels, outputs, at, run, shifts, groups, panel, weights, first, sums, add
                left = run[1] - at
                if left <= _FEW:
                    _set_tile(*own, few, *columns)
                    at += _FEW
                elif left <= _SOME or _MOST < left <= 2 * _SOME:
                    _set_tile(*own, some, *columns)
                    at += _SOME
                else:
                    _set_tile(*own, most, *columns)
                    at += _MOST

    return set_sums


def addresses_of(dtype, filters, bounds, writeable):
    """Of the functions that set sums, one for each block of filters.

    Parameters
    ----------
    dtype : dtype
    filters : int
    writeable : bool
        Whether the array of pixels is: to Numba this is another type.

    Returns
    -------
    ndarray, shape (blocks, 2)
    """
    counts = [block_count(size, dtype) for size in np.diff(bounds).tolist()]
    last = [0] * (len(counts) - 1) + [halves(filters, dtype)]
    pixels, numbers = np.empty(0, dtype), np.empty(0, np.int64)
    pixels.flags.writeable = writeable
    table, floats = np.empty((0, 0), np.int64), np.empty(0, dtype)
    own = pixels, (numbers, numbers), table, table, (numbers, 0), (0, 0), floats, 0, floats, True
    return np.array([address_of(_sums_with(*kind), *own) for kind in zip(counts, last)])
