"""`conv2d` with filters as lanes, over images with channels together."""

from functools import lru_cache

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.address import address_of, call
from convgrad.kernels.convolution.conv2d_blocked_layout import laid_out_elements, lay_out, sampled
from convgrad.kernels.convolution.conv2d_blocked_outputs import sort_outputs, write_outputs
from convgrad.kernels.convolution.conv2d_blocked_plan import RUN, correlate_bytes, division
from convgrad.kernels.convolution.conv2d_blocked_tiles import addresses_of
from convgrad.kernels.convolution.conv2d_blocked_weights import (
    VECTORS,
    address_of_packing,
    given,
    pack,
)
from convgrad.kernels.convolution.conv2d_numba_planes import PLANS, Axis
from convgrad.kernels.convolution.geometry import output_sides
from convgrad.kernels.registry import kernel


@njit(cache=True)
def _set_part(
    pixels,
    axes,
    pitches,
    shifts,
    panels,
    groups,
    weights,
    pack_groups,
    apart,
    blocks,
    share,
    own,
    result,
):
    """Set some rows of outputs, of one image after the other, with some of the filters.

    Parameters
    ----------
    pixels : ndarray
    axes : (ndarray, ndarray)
        From `reached`, for rows and for columns.
    pitches, apart
        See `sort_outputs`.
    shifts : ndarray, shape (rows of taps, columns of taps)
        How far from the first what a tap sees lies.
    panels : (int, bool)
        Vectors of channels that are summed over at a time, and whether by single taps.
    groups : (ndarray, int)
        Where the vectors of channels begin, and the number of channels.
    weights : (ndarray, ndarray, ndarray)
        As in `Weights`; those that are given, only for as many outputs as are worked on together.
    pack_groups : (int, int)
        Address of what packs a block of filters.
    blocks : (ndarray, ndarray)
        From `filter_bounds` and `addresses_of`.
    share : (int, int)
        First block of filters, and the one after the last.
    own : (int, int)
        First row, and the one after the last.
    result : ndarray, shape (batch, filters, height, width)
    """
    lanes, (packed, filters, turned), (bounds, addresses) = vector.width(pixels), weights, blocks
    sides, count, depth = result.shape[2:], own[1] - own[0], groups[1] * shifts.size
    deep, by_tap = panels
    turns = min(max((count * sides[1] + RUN // 2) // RUN, 1), count)
    most = (count + turns - 1) // turns
    often = len(axes[0]) * len(axes[1]) if by_tap else 1
    most_runs = len(axes[0]) * len(axes[1])
    seen = np.empty(most * sides[1] * often + most_runs, np.int64)
    places = np.empty_like(seen)
    runs = np.empty((most_runs, 6), np.int64)
    sums = np.empty((most * sides[1] + lanes) * VECTORS * lanes, pixels.dtype)
    square = np.empty(lanes * lanes, pixels.dtype)
    # Packed where they are used, filters need not go to memory and come back.
    panel = min(deep * lanes * shifts.size, depth) * min(VECTORS * lanes, bounds[-1])
    room = np.empty(panel if filters.size else 0, pixels.dtype)
    for turn in range(turns):
        rows = own[0] + turn * count // turns, own[0] + (turn + 1) * count // turns
        number = sort_outputs(axes[0], axes[1], rows, sides, apart, pitches, seen, places, runs)
        for block in range(share[0], share[1]):
            first, end = bounds[block], bounds[block + 1]
            wide = (end - first + lanes - 1) // lanes
            if by_tap:
                sums[: (rows[1] - rows[0]) * sides[1] * wide * lanes] = 0
            for begin in range(0, len(groups[0]), deep):
                some = begin, min(begin + deep, len(groups[0]))
                here, start = packed, first * depth
                if filters.size:
                    here, start = room, -begin * lanes * shifts.size * (end - first)
                    call(pack_groups, (filters, turned, (first, end), some, start, room))
                add, outputs = by_tap or begin > 0, (seen, places)
                task = pixels, outputs, runs[:number], shifts, groups, some, here, start, sums, add
                call((addresses[block, 0], addresses[block, 1]), task)
            write_outputs(sums, wide, first // lanes, rows, square, result)


@njit(cache=True, parallel=True)
def _set_parts(
    set_part,
    pixels,
    axes,
    pitches,
    shifts,
    panels,
    groups,
    weights,
    pack_groups,
    apart,
    blocks,
    parts,
    result,
):
    rows, count = result.shape[0] * result.shape[2], len(blocks[1])
    for part in prange(parts[0] * parts[1]):
        i, j = np.int64(part) // parts[1], np.int64(part) % parts[1]
        own = i * rows // parts[0], (i + 1) * rows // parts[0]
        share = j * count // parts[1], (j + 1) * count // parts[1]
        seen = pixels, axes, pitches, shifts, panels, groups
        call(set_part, (*seen, weights, pack_groups, apart, blocks, share, own, result))


@lru_cache(PLANS)
def _plan(axes, steps, size, pitches, channels, shape, dtype, threads, writeable, given):
    """What `_set_part` takes besides arrays, in parts, and the `Division` of the work.

    Parameters
    ----------
    axes, steps, size
        See `correlate`.
    pitches : (int, int, int)
        Of the pixels.
    channels, shape, dtype, threads, given
        See `division`.
    writeable : bool
        See `addresses_of`.
    """
    (step, apart), (image, row, pixel) = steps, pitches
    down, beside = ([shift for axis in along for shift in axis.shifts] for along in axes)
    shifts = np.add.outer(np.multiply(down, row), np.multiply(beside, pixel))
    divided = division(axes, steps, size, channels, shape, dtype, threads, given)
    blocks = divided.bounds, addresses_of(dtype, shape[1], divided.bounds, writeable)
    pixels = divided.seen, (image, row * step, pixel * step), shifts, divided.panels
    return pixels, (apart, blocks), divided


def correlate(pixels, size, channels, weights, axes, steps, result):
    """Set the outputs.

    Parameters
    ----------
    pixels : Pixels
    size : (int, int)
        Rows and columns of an image.
    channels : int
    weights : Weights
    axes : (tuple of Axis, tuple of Axis)
        For rows and for columns, with shifts from the first pixel; taps of all axes in this order.
    steps
        See `division`.
    result : ndarray, shape (batch, filters, height, width)
    """
    own = channels, result.shape, result.dtype, numba.get_num_threads()
    writeable = pixels.flat.flags.writeable
    seen, outputs, divided = _plan(
        axes, steps, size, pixels.pitches, *own, writeable, weights.filters.size > 0
    )
    shares = divided.shares
    if weights.filters.size and not divided.once:
        weights = pack(weights)
    packing = tuple(weights), address_of_packing(weights)
    task = pixels.flat, *seen, (pixels.groups, channels), *packing, *outputs
    if shares == (1, 1):
        _set_part(*task, (0, len(divided.bounds) - 1), (0, len(result) * result.shape[2]), result)
    else:
        _set_parts(address_of(_set_part, *task, shares, shares, result), *task, shares, result)


def serves(images, filters, *, groups, **_):
    """Say why layers of several groups are not served."""
    return None if groups == 1 else "its blocks are of all channels: one group only"


@lru_cache(PLANS)
def _geometry(size, filter_size, stride, padding, dilation):
    """Sides of the outputs, axes of these, how far apart pixels are laid out, and how many."""
    sides = output_sides(size, filter_size, stride, padding, dilation)
    axes = tuple(
        (
            Axis(
                0, count, range(taps), (), tuple(range(-before, taps * dilation - before, dilation))
            ),
        )
        for count, taps, (before, _) in zip(sides, filter_size, padding)
    )
    step = sampled(filter_size, stride, padding)
    return sides, axes, step, tuple(-(-side // step) for side in size)


def _workspace(images, filters, *, stride, padding, dilation, **_):
    """Images laid out, packed weights, and sums."""
    own = images.shape[2:], filters.shape[2:], stride, padding, dilation
    sides, axes, step, size = _geometry(*own)
    layer = filters.shape[1], (len(images), len(filters), *sides), images.dtype
    laid_out = laid_out_elements(images, step) * images.itemsize
    return laid_out + correlate_bytes(axes, (stride // step, 1), size, *layer)


def _run(images, filters, *, stride, padding, dilation, groups, out, weights):
    own = images.shape[2:], filters.shape[2:], stride, padding, dilation
    sides, axes, step, size = _geometry(*own)
    if out is None:
        out = np.empty((len(images), len(filters), *sides), images.dtype)
    pixels, steps = lay_out(images, step), (stride // step, 1)
    correlate(pixels, size, filters.shape[1], weights, axes, steps, out)
    return out


def _keep(filters, **options):
    weights = pack(given(filters))
    return lambda images, out=None: _run(images, filters, out=out, weights=weights, **options)


@kernel("conv2d", family="numba", serves=serves, workspace=_workspace, prepare=_keep)
def numba_blocked(images, filters, *, stride, padding, dilation, groups, out=None):
    """Direct sums with filters as lanes: 6 outputs x 4 vectors of filters in registers.

    Images and filters are copied so that a vector of channels lies together (the blocked layout of
    Georganas et al., 2018), images that lie channels last are read as they lie. A tile of 6 outputs
    takes, for each channel of a tap, 4 loads of weights and 6 broadcasts for 24 multiply-adds (2
    for 12 on 16 registers). Its outputs may lie anywhere, as each has an address of its own; they
    are sorted by the taps that see pixels, and no other taps are taken: as many flops as the
    definition, but for the last tile of a kind and the lanes of the last filters, which take half a
    vector where that is enough. What is left over goes to tiles of 4 and 2. So there are no
    zeros around images, and none between rows. Where few outputs are of a kind, they are sorted by
    single taps, of many channels at a time. Sums are turned round to planes at last, and run in an
    order that the shapes decide. Work is split over rows of all images, or over blocks of filters;
    if outputs are few, each thread packs some channels of a block just before it uses them.
    Prepared, filters are kept packed.
    For layers of some ten channels and filters, small images too; no groups.
    """
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return _run(images, filters, out=out, weights=given(filters), **options)
