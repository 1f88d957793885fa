"""Filter gradient of `conv2d` with Numba: tiles of filters and taps in registers."""

from math import prod

import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.address import address_of, call
from convgrad.kernels.convolution.conv2d_numba_planes import (
    Layout,
    forward_layout,
    laid_out_elements,
    lay_out,
    tap_offsets,
)
from convgrad.kernels.registry import kernel

_FILTERS = 8 if vector.register_bytes() == 64 else 4
_ALL, _HALF = (0,) * _FILTERS, (0,) * (_FILTERS // 2)
_TAPS = 3
"""Filters and taps whose sums stay in registers, with the pixels and gradients that they meet."""
_RUN_BYTES = 2048
"""Pixels of one tap that are summed at a time: runs of gradients and what they meet fit L1."""
_BLOCK_TAPS = 24
"""Taps, whole tiles of them, that a run of gradients meets while it is in the cache."""
_VECTOR = vector.lanes_of("float32")
"""Runs are rounded up to a multiple, so that no output is left over for part of a vector."""
_SMALLEST_PARTITION = 1 << 17
"""Multiplications, a few microseconds of work: less is not worth waking a thread."""
_MOST_PARTITIONS = 256
_ENOUGH_ITEMS = 64


@njit(cache=True)
def _add_tile(pixels, tap0, tap1, tap2, slopes, pitch, length, sums, filters, tile):
    """Set ``sums[filter, tap]`` to what a run of some filters' output gradients contributes.

    Tap t meets the run that begins at ``pixels[tap<t>]``; gradients of filter f begin at
    ``slopes[f * pitch]``. ``filters`` and ``tile`` are as long as there are filters, and sums.
    """
    lanes = vector.width(pixels)
    total, whole = vector.zero_tile(pixels, lanes, len(tile)), length // lanes * lanes
    for i in range(0, whole, lanes):
        x0, x1 = vector.load(pixels, tap0 + i, lanes), vector.load(pixels, tap1 + i, lanes)
        x = x0, x1, vector.load(pixels, tap2 + i, lanes)
        total = vector.add_outer(total, vector.load_tile(slopes, i, pitch, lanes, len(filters)), x)
    if whole < length:
        left = length - whole
        x0 = vector.load_first(pixels, tap0 + whole, lanes, left)
        x1 = vector.load_first(pixels, tap1 + whole, lanes, left)
        x = x0, x1, vector.load_first(pixels, tap2 + whole, lanes, left)
        own = vector.load_rows(slopes, whole, pitch, lanes, len(filters), 1, left)
        total = vector.add_outer(total, own, x)
    vector.store(sums, 0, vector.totals(total))


@njit(cache=True)
def _add_taps(pixels, offsets, slopes, pitch, length, scratch, sums, filters, tile):
    """Add to ``sums[filter, tap]``, three taps at a time; a last one may be met thrice."""
    last = len(offsets) - 1
    for tap in range(0, len(offsets), _TAPS):
        tap0, tap1 = offsets[tap], offsets[min(tap + 1, last)]
        tap2 = offsets[min(tap + 2, last)]
        _add_tile(pixels, tap0, tap1, tap2, slopes, pitch, length, scratch, filters, tile)
        for i in range(len(filters)):
            for j in range(min(_TAPS, len(offsets) - tap)):
                sums[i, tap + j] += scratch[i * _TAPS + j]


@njit(cache=True)
def _add_items(flat, slopes, offsets, counts, pitches, run, items, partial):
    """Do some items of work: the runs of one share of the outputs, for some filters and taps.

    Parameters
    ----------
    flat, offsets : ndarray
        Planes, and where in those of a group the taps' pixels lie for the first output.
    slopes : ndarray
        Output gradients, one filter after another, in rows as far apart as those of the planes.
    counts : (int, int, int, int)
        Images, groups, runs of outputs of an image, and their length in all.
    pitches : (int, int, int)
        From group to group of the planes; from filter to filter of the output gradients; from
        the beginning of one run to the next.
    run : int
        Elements of a run.
    partial : ndarray, shape (shares, filters, taps of a group)
        Set by the items, each its own part.
    """
    batch, groups, runs, outputs = counts
    group_pitch, pitch, step = pitches
    shares, filters, taps = partial.shape
    count = filters // groups
    blocks = (count + _FILTERS - 1) // _FILTERS
    tap_blocks = (taps + _BLOCK_TAPS - 1) // _BLOCK_TAPS
    furthest = 0
    for offset in offsets:
        furthest = max(furthest, offset)
    sums = np.empty((_FILTERS, _BLOCK_TAPS), flat.dtype)
    scratch = np.empty(_FILTERS * _TAPS, flat.dtype)
    for item in range(items[0], items[1]):
        tap_block, block = item % tap_blocks, item // tap_blocks % blocks
        group = item // (tap_blocks * blocks) % groups
        share = item // (tap_blocks * blocks * groups)
        some_taps = slice(tap_block * _BLOCK_TAPS, min((tap_block + 1) * _BLOCK_TAPS, taps))
        some_offsets = offsets[some_taps]
        joint = min(_FILTERS, count - block * _FILTERS)
        first = group * count + block * _FILTERS
        sums[:] = 0
        for number in range(share * batch * runs // shares, (share + 1) * batch * runs // shares):
            image, start = number // runs, number % runs * step
            pixels = flat[(image * groups + group) * group_pitch + start :]
            length = min(run, outputs - start, len(pixels) - furthest)
            own = slopes[(image * filters + first) * pitch + start :]
            shared = pixels, some_offsets
            if joint == _FILTERS:
                _add_taps(*shared, own, pitch, length, scratch, sums, _ALL, _ALL + _ALL + _ALL)
            else:
                half = len(_HALF) if joint >= len(_HALF) else 0
                if half:
                    tile = _HALF + _HALF + _HALF
                    _add_taps(*shared, own, pitch, length, scratch, sums, _HALF, tile)
                for i in range(half, joint):
                    one = own[i * pitch :]
                    _add_taps(*shared, one, pitch, length, scratch, sums[i:], (0,), (0, 0, 0))
        for i in range(joint):
            target = partial[share, first + i, some_taps]
            for tap in range(len(target)):
                target[tap] = sums[i, tap]


@njit(cache=True, parallel=True)
def _gradient(add_items, flat, slopes, offsets, counts, pitches, run, items, parts, partial):
    """Do all items in parts of equal size."""
    for part in prange(parts):
        own = np.int64(part) * items // parts, (np.int64(part) + 1) * items // parts
        call(add_items, (flat, slopes, offsets, counts, pitches, run, own, partial))


def _layouts(image_size, filter_size, sides, stride, padding, dilation):
    """Lay out images, and output gradients in rows as far apart.

    They are filled up to whole vectors, unless they can be taken as they lie.

    Returns
    -------
    rows, columns : Axis
    images, gradients : Layout
    """
    *axes, images = forward_layout(image_size, filter_size, sides, stride, padding, dilation)
    outputs = (sides[0] - 1) * images.pitch + sides[1]
    length = outputs if images.pitch == sides[1] else -(-outputs // _VECTOR) * _VECTOR
    return *axes, images, Layout((0, 0), ((0,), (0,)), 1, images.pitch, length)


def _cut(batch, outputs, itemsize, filters, groups, taps):
    """Cut the work, by its sizes alone, so that results do not depend on threads.

    Returns
    -------
    run : int
        Outputs of a run, as equal as can be.
    shares : int
        Shares of all outputs with a gradient each; more than one where filters are few.
    items : int
    """
    runs = -(-outputs * itemsize // _RUN_BYTES)
    run = -(-outputs // (runs * _VECTOR)) * _VECTOR
    items = groups * -(-filters // groups // _FILTERS) * -(-taps // _BLOCK_TAPS)
    work = batch * outputs * filters * taps
    most = min(batch * -(-outputs // run), work // _SMALLEST_PARTITION + 1)
    shares = min(-(-_ENOUGH_ITEMS // items), most)
    return run, shares, items * shares


def _workspace(images, output_gradient, *, filter_size, stride, padding, dilation, groups):
    """Planes of images and output gradients, and the shares of the gradient."""
    (batch, filters), sides = output_gradient.shape[:2], output_gradient.shape[2:]
    *_, layout, slope_layout = _layouts(
        images.shape[2:], filter_size, sides, stride, padding, dilation
    )
    planes = laid_out_elements(images.shape, layout)
    planes += laid_out_elements(output_gradient.shape, slope_layout)
    taps = images.shape[1] // groups * prod(filter_size)
    _, shares, _ = _cut(batch, slope_layout.length, images.itemsize, filters, groups, taps)
    partial = shares * filters * taps if shares > 1 else 0
    return (planes + partial) * images.itemsize


@kernel("conv2d_filter_gradient", family="numba", workspace=_workspace)
def numba_parallel(images, output_gradient, *, filter_size, stride, padding, dilation, groups):
    """Sums over runs of outputs in register tiles, 8 filters x 3 taps (4 on 16 registers).

    A vector of outputs' gradients of each filter meets the pixels of each tap: 24 multiply-adds
    for 11 loads (register blocking; Goto and van de Geijn, 2008), and one addition of lanes a run.
    As many flops as the definition, and a few percent more for places between rows, where the
    gradient is filled with zeros. Images are copied once to where their zeros are
    (`conv2d_numba_planes`), unless they need none. Work is split over filters and taps, and over
    images and rows where these are few.
    """
    (batch, filters), sides = output_gradient.shape[:2], output_gradient.shape[2:]
    rows, columns, layout, slope_layout = _layouts(
        images.shape[2:], filter_size, sides, stride, padding, dilation
    )
    flat, channel_length = lay_out(images, layout)
    slopes, slope_pitch = lay_out(output_gradient, slope_layout)
    per_group = images.shape[1] // groups
    offsets = tap_offsets(per_group, channel_length, rows, columns, layout)
    outputs = slope_layout.length
    run, shares, items = _cut(batch, outputs, flat.itemsize, filters, groups, len(offsets))
    work = batch * outputs * filters * len(offsets)
    parts = max(min(work // _SMALLEST_PARTITION, _MOST_PARTITIONS, items), 1)

    def gradient(runs, run, step):
        partial = np.empty((shares, filters, len(offsets)), flat.dtype)
        counts = batch, groups, runs, outputs
        pitches = per_group * channel_length, slope_pitch, step
        work_on = flat, slopes, offsets, counts, pitches, run
        if parts == 1:
            _add_items(*work_on, (0, items), partial)
        else:
            add_items = address_of(_add_items, *work_on, (0, items), partial)
            _gradient(add_items, *work_on, items, parts, partial)
        return partial.sum(axis=0) if shares > 1 else partial[0]

    result = gradient(-(-outputs // run), run, run)
    if not np.isfinite(result.min()) or not np.isfinite(result.max()):
        # Zeros between rows make NaN of an infinite pixel that they meet: go row by row instead.
        result = gradient(rows.count, columns.count, layout.pitch)
    return result.reshape(filters, per_group, *filter_size)
