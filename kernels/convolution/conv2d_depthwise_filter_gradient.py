"""Filter gradient of depthwise `conv2d` with Numba: lanes are channels."""

from math import prod

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.address import address_of, call
from convgrad.kernels.convolution.conv2d_depthwise import fill_row, fill_rows
from convgrad.kernels.lines import zeros
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

_RUN = 128
"""About so many outputs are met together: their pixels and gradients stay in L1."""
_SMALLEST_STRIPE = 1 << 16
"""Outputs, 10 us of work and more: less is not worth a sum of its own, or a thread."""
_ENOUGH_ITEMS = 16


@njit(cache=True)
def _add_row(pixels, at, slopes, begin, count, stride, step, sums, first, columns):
    """Add to the sums of a row of taps what ``count`` outputs contribute to each."""
    lanes = vector.width(pixels)
    total = vector.load_tile(sums, first, lanes, lanes, len(columns))
    for x in range(count):
        slope = vector.load_tile(slopes, begin + x * lanes, 0, lanes, 1)
        seen = vector.load_tile(pixels, at + x * stride, step, lanes, len(columns))
        total = vector.add_outer(total, slope, seen)
    vector.store_tile(sums, first, lanes, total)


@njit(cache=True)
def _add_planes(images, sides, padding, taps, stride, slopes, items, columns, partial):
    """Set the gradients of some blocks of planes, as many as lanes.

    Parameters
    ----------
    images : ndarray, 1-D
    sides : (int, int)
        Of an image.
    padding : (int, int, int)
        Zeros above, to the left and to the right.
    taps : (int, int)
        Rows of a filter, and dilation.
    stride : int
    slopes : ndarray, shape (batch, filters, height, width)
        Output gradients.
    items : (int, int)
        First item, and the one after the last: stripes of rows of a block.
    columns : tuple
        As long as a row of taps.
    partial : ndarray, shape (stripes, filters of a channel, taps, planes)
    """
    lanes, (tall, wide), (rows, dilation) = vector.width(images), sides, taps
    stripes, each, size, planes = partial.shape
    height, across = slopes.shape[2:]
    plane, flat, written = height * across, slopes.reshape(-1), partial.reshape(-1)
    together, reach = min(max(_RUN // across, 1), height), (rows - 1) * dilation + 1
    around, row_pitch = (together - 1) * stride + reach, (padding[1] + wide + padding[2]) * lanes
    pixels = zeros(around * row_pitch, images)
    gradients = zeros(together * across * lanes, images)
    # What a few outputs add up to is added to what all have: errors grow with both, not with all.
    sums = zeros(size * lanes, images)
    totals = np.empty(each * size * lanes, images.dtype)
    ring = padding[1] * lanes, row_pitch, around
    for item in range(items[0], items[1]):
        # The last block overlaps the one before: the same sums, to the bit.
        first, stripe = min(item // stripes * lanes, planes - lanes), item % stripes
        low, high = stripe * height // stripes, (stripe + 1) * height // stripes
        filled = 0
        totals[:] = 0
        for top in range(low, high, together):
            some = min(together, high - top)
            seen = max(filled, top * stride), (top + some - 1) * stride + reach
            own = first * tall * wide, tall * wide, (tall, wide)
            fill_rows(images, *own, seen, padding[0], pixels, ring)
            filled = seen[1]
            for number in range(each):
                place = (first * each + number) * plane + top * across
                fill_row(flat, place, each * plane, some * across, gradients, 0)
                sums[:] = 0
                for i in range(rows):
                    place = i * len(columns) * lanes
                    for row in range(some):
                        y = (top + row) * stride + i * dilation
                        at, met = y % around * row_pitch, row * across * lanes
                        steps = stride * lanes, dilation * lanes
                        _add_row(pixels, at, gradients, met, across, *steps, sums, place, columns)
                for i in range(size * lanes):
                    totals[number * size * lanes + i] += sums[i]
        for tap in range(each * size):
            total = vector.load(totals, tap * lanes, lanes)
            vector.store(written, (stripe * each * size + tap) * planes + first, total)


@njit(cache=True, parallel=True)
def _add_planes_shared(
    add_planes, images, sides, padding, taps, stride, slopes, items, parts, columns, partial
):
    for part in prange(parts):
        own = np.int64(part) * items // parts, (np.int64(part) + 1) * items // parts
        call(add_planes, (images, sides, padding, taps, stride, slopes, own, columns, partial))


def _stripes(planes, sides, lanes):
    """Parts of a block's rows, by sizes alone, so that results do not depend on threads."""
    blocks = -(-planes // lanes)
    enough = min(-(-_ENOUGH_ITEMS // blocks), planes * prod(sides) // _SMALLEST_STRIPE)
    return blocks, max(min(enough, sides[0]), 1)


def _serves(images, output_gradient, *, groups, **_):
    if groups < images.shape[1]:
        return "its filters see one channel each"
    lanes = vector.lanes_of(images.dtype)
    return None if prod(images.shape[:2]) >= lanes else f"it takes {lanes} channels at a time"


def _workspace(images, output_gradient, *, filter_size, stride, padding, **options):
    """Gradients of stripes and images, and for each thread rows of pixels and of gradients."""
    lanes, planes = vector.lanes_of(images.dtype), prod(images.shape[:2])
    sides, size = output_gradient.shape[2:], prod(filter_size)
    _, stripes = _stripes(planes, sides, lanes)
    together = min(max(_RUN // sides[1], 1), sides[0])
    rows = (together - 1) * stride + (filter_size[0] - 1) * options["dilation"] + 1
    own = rows * (images.shape[3] + sum(padding[1])) + together * sides[1] + size
    each = output_gradient.shape[1] // images.shape[1]
    shared = stripes * each * size * planes
    threads = numba.get_num_threads()
    return (shared + threads * (own + each * size) * lanes) * images.itemsize


@kernel(
    "conv2d_filter_gradient",
    family="numba",
    name="numba_depthwise",
    serves=_serves,
    workspace=_workspace,
)
def filter_gradient_depthwise(
    images, output_gradient, *, filter_size, stride, padding, dilation, groups
):
    """Sums with channels as lanes: a row of taps in registers.

    Planes of as many channels as lanes, those of the next image where one has no more, are turned
    round as ``numba_depthwise`` turns them, and output gradients too. A gradient meets the pixels
    of a row of taps: 3 multiply-adds for 4 loads at 3 taps. Images and gradients are read once.
    Sums run in a fixed order: over a run of outputs, over these, and over stripes and images.
    Work is split over blocks of channels, and rows where these are few. For layers whose filters
    see a channel each, any number of filters for it, and at least a vector of channels in all
    images.
    """
    (batch, channels), sides = images.shape[:2], output_gradient.shape[2:]
    each, planes = output_gradient.shape[1] // channels, batch * channels
    blocks, stripes = _stripes(planes, sides, vector.lanes_of(images.dtype))
    partial = np.empty((stripes, each, prod(filter_size), planes), images.dtype)
    margins, taps = (padding[0][0], *padding[1]), (filter_size[0], dilation)
    arguments = plain(images).reshape(-1), images.shape[2:], margins, taps, stride
    arguments += (plain(output_gradient),)
    columns, items = (0,) * filter_size[1], blocks * stripes
    most = max(output_gradient.size // _SMALLEST_STRIPE, 1)
    parts = min(most, items, numba.get_num_threads())
    if parts == 1:
        _add_planes(*arguments, (0, items), columns, partial)
    else:
        add_planes = address_of(_add_planes, *arguments, (0, items), columns, partial)
        _add_planes_shared(add_planes, *arguments, items, parts, columns, partial)
    total = partial.reshape(stripes, each, -1, batch, channels).sum(axis=(0, 3))
    shape = each * channels, 1, *filter_size
    return np.ascontiguousarray(total.transpose(2, 0, 1)).reshape(shape)
