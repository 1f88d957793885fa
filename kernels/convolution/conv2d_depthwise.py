"""Depthwise `conv2d` with Numba: lanes are channels, of one image or of several."""

from math import prod

import numba
import numpy as np
from numba import njit, prange
from numba.extending import register_jitable

from convgrad.kernels import vector
from convgrad.kernels.address import address_of, call
from convgrad.kernels.convolution.conv2d_blocked_outputs import unpack_row
from convgrad.kernels.convolution.geometry import output_sides
from convgrad.kernels.lines import zeros
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

_EIGHT, _FOUR = (0,) * 8, (0,) * 4
"""Pixels whose sums stay in registers, and share each weight."""
_RUN = 128
"""About so many outputs are worked on together, and turned round to planes."""
_SMALLEST_PART = 1 << 15
"""Outputs, about 10 us of work: less is not worth waking a thread."""


@njit(cache=True)
def pack_channels(filters, channels, taps, weights):
    """Set weights (filters of a channel, taps, channels), the first channels again at the end."""
    each, pitch = len(filters) // (channels * taps), channels + vector.width(filters)
    for tap in range(each * taps):
        for channel in range(channels):
            weights[tap * pitch + channel] = filters[channel * each * taps + tap]
        for place in range(tap * pitch + channels, (tap + 1) * pitch):
            weights[place] = weights[place - channels]


@njit(cache=True)
def fill_row(images, seen, plane, count, pixels, to):
    """Copy ``count`` pixels of a row, of as many planes as lanes."""
    lanes = vector.width(images)
    for x in range(0, count, lanes):
        if count - x >= lanes:
            tile = vector.load_tile(images, seen + x, plane, lanes, lanes)
            vector.store_tile(pixels, to + x * lanes, lanes, vector.transpose(tile))
        else:
            tile = vector.load_rows(images, seen + x, plane, lanes, lanes, 1, count - x)
            tile = vector.transpose(tile)
            vector.store_rows(pixels, to + x * lanes, lanes, tile, 1, count - x)


@njit(cache=True)
def fill_rows(images, at, plane, sides, rows, before, pixels, ring):
    """Fill rows of pixels that come round: one takes the place of another needed no longer.

    Parameters
    ----------
    images : ndarray, 1-D
    at, plane : int
        Where the first of as many planes as lanes begins, and from plane to plane.
    sides : (int, int)
        Of a plane.
    rows : (int, int)
        First row, and the one after the last; ``before`` of them are zeros above the planes.
    pixels : ndarray, 1-D
    ring : (int, int, int)
        Where the first pixel of the first row goes, from row to row, and rows that there are.
    """
    lanes, (tall, wide), (to, pitch, around) = vector.width(images), sides, ring
    for y in range(rows[0], rows[1]):
        seen, row = y - before, to + y % around * pitch
        if 0 <= seen < tall:
            fill_row(images, at + seen * wide, plane, wide, pixels, row)
        else:
            for i in range(row, row + wide * lanes):
                pixels[i] = 0


@register_jitable(forceinline=True)
def _set_tile(pixels, at, places, weights, first, sums, to, steps, tile, columns, apart):
    """Set the sums of some pixels; ``tile``, ``columns`` and ``apart`` are as long as they say."""
    lanes, (pitch, dilation) = vector.width(pixels), steps
    total = vector.zero_tile(pixels, lanes, len(tile))
    for place in places:
        if len(apart) == 1 and dilation == 1:  # Taps side by side see pixels side by side.
            w = vector.load_tile(weights, first, pitch, lanes, len(columns))
            total = vector.add_toeplitz(total, pixels, place + at, lanes, w)
        else:
            for column in range(len(columns)):
                seen = place + at + column * dilation * lanes
                x = vector.load_tile(pixels, seen, len(apart) * lanes, lanes, len(tile))
                w = vector.load_tile(weights, first + column * pitch, 0, lanes, 1)
                total = vector.add_outer(total, w, x)
        first += len(columns) * pitch
    vector.store_tile(sums, to, lanes, total)


@register_jitable(forceinline=True)
def _set_row(pixels, places, weights, first, sums, to, count, steps, columns, apart):
    """Set the sums of a row of outputs, rounded up to whole tiles."""
    lanes, x = vector.width(pixels), 0
    while x < count:
        at, own = x * len(apart) * lanes, to + x * lanes
        if count - x > len(_FOUR):
            _set_tile(pixels, at, places, weights, first, sums, own, steps, _EIGHT, columns, apart)
            x += len(_EIGHT)
        else:
            _set_tile(pixels, at, places, weights, first, sums, own, steps, _FOUR, columns, apart)
            x += len(_FOUR)


@njit(cache=True)
def _set_planes(images, shape, padding, taps, weights, items, columns, apart, result):
    """Set the outputs of some blocks of planes, as many as lanes.

    Parameters
    ----------
    images : ndarray, 1-D
    shape : (int, int, int)
        Channels, and sides, of an image.
    padding : (int, int, int)
        Zeros above, to the left and to the right.
    taps : (int, int)
        Rows of a filter, and dilation.
    weights : ndarray, 1-D
        From `pack_channels`.
    items : (int, int, int)
        First item, and the one after the last; a block makes so many items, stripes of rows.
    columns, apart : tuple
        As long as a row of taps, and the stride: each has code of its own.
    result : ndarray, shape (batch, filters, height, width)
    """
    lanes, (channels, tall, wide) = vector.width(images), shape
    stride, (rows, dilation), (begin, end, stripes) = len(apart), taps, items
    height, across = result.shape[2:]
    each, planes, plane = result.shape[1] // channels, len(images) // (tall * wide), height * across
    steps, flat = (channels + lanes, dilation), result.reshape(-1)
    together, reach = min(max(_RUN // across, 1), height), (rows - 1) * dilation + 1
    around, row_pitch = (together - 1) * stride + reach, (padding[1] + wide + padding[2]) * lanes
    pixels = zeros(around * row_pitch + len(_EIGHT) * stride * lanes, images)
    sums = zeros((together * across + len(_EIGHT) + lanes) * lanes, images)
    square, places = np.empty(lanes * lanes, images.dtype), np.empty(rows, np.int64)
    ring = padding[1] * lanes, row_pitch, around
    for item in range(begin, end):
        # The last block overlaps the one before: the same sums, to the bit.
        first, stripe = min(item // stripes * lanes, planes - lanes), item % stripes
        low, high = stripe * height // stripes, (stripe + 1) * height // stripes
        filled = 0
        for top in range(low, high, together):
            some = min(together, high - top)
            seen = max(filled, top * stride), (top + some - 1) * stride + reach
            own = first * tall * wide, tall * wide, (tall, wide)
            fill_rows(images, *own, seen, padding[0], pixels, ring)
            filled = seen[1]
            for number in range(each):
                weight = number * rows * len(columns) * steps[0] + first % channels
                for row in range(some):
                    for i in range(rows):
                        y = (top + row) * stride + i * dilation
                        places[i] = y % around * row_pitch
                    at = row * across * lanes
                    task = pixels, places, weights, weight, sums, at, across, steps
                    _set_row(*task, columns, apart)
                place, size = (first * each + number) * plane + top * across, (lanes, each * plane)
                unpack_row(sums, 0, lanes, some * across, size, square, flat, place)


@njit(cache=True, parallel=True)
def _set_planes_shared(
    set_planes, images, shape, padding, taps, weights, items, parts, columns, apart, result
):
    for part in prange(parts):
        begin, end = np.int64(part) * items[0] // parts, (np.int64(part) + 1) * items[0] // parts
        own = begin, end, items[1]
        call(set_planes, (images, shape, padding, taps, weights, own, columns, apart, result))


def _serves(images, filters, **_):
    if filters.shape[1] > 1:
        return "its filters see one channel each"
    lanes = vector.lanes_of(images.dtype)
    return None if prod(images.shape[:2]) >= lanes else f"it takes {lanes} channels at a time"


def _weights_elements(images, filters):
    channels = images.shape[1]
    return filters.size // channels * (channels + vector.lanes_of(images.dtype))


def _workspace(images, filters, *, stride, padding, dilation, **_):
    """Packed weights, and for each thread some rows of pixels and sums."""
    taps = filters.shape[2:]
    sides = output_sides(images.shape[2:], taps, stride, padding, dilation)
    together = min(max(_RUN // sides[1], 1), sides[0])
    rows = (together - 1) * stride + (taps[0] - 1) * dilation + 1
    pixels = rows * (images.shape[3] + sum(padding[1])) + len(_EIGHT) * stride
    sums = together * sides[1] + len(_EIGHT)
    own = (pixels + sums) * vector.lanes_of(images.dtype)
    return (_weights_elements(images, filters) + numba.get_num_threads() * own) * images.itemsize


@kernel("conv2d", family="numba", serves=_serves, workspace=_workspace)
def numba_depthwise(images, filters, *, stride, padding, dilation, groups, out=None):
    """Direct sums with channels as lanes: 8 pixels in registers.

    Planes of as many channels as lanes, those of the next image where one has no more, are turned
    round row by row, as far as a run of outputs needs them, and stay in L1 with their zeros; sums
    are turned back. A row of taps at stride 1 loads each pixel once for all of them, 12 loads
    and 5 of weights for 40 multiply-adds at 5 taps (a Toeplitz tile, as ``numba_toeplitz``), and
    else a pixel for each. Lanes and outputs are not lost at any side or stride, but for rows
    that are rounded up to 4 pixels. Images and result are read and written once. Sums run in a
    fixed order. Work is split over blocks of channels, and rows where these are few. For layers
    whose filters see a channel each, any number of filters for it, and at least a vector of
    channels in all images.
    """
    (batch, channels, *size), taps = images.shape, filters.shape[2:]
    sides = output_sides(size, taps, stride, padding, dilation)
    if out is None:
        out = np.empty((batch, len(filters), *sides), images.dtype)
    weights = np.empty(_weights_elements(images, filters), images.dtype)
    pack_channels(plain(filters).reshape(-1), channels, prod(taps), weights)
    zeros, shape = (padding[0][0], *padding[1]), images.shape[1:]
    arguments = plain(images).reshape(-1), shape, zeros, (taps[0], dilation), weights
    codes = (0,) * taps[1], (0,) * stride
    blocks = -(-batch * channels // vector.lanes_of(images.dtype))
    parts = max(min(out.size // _SMALLEST_PART, numba.get_num_threads()), 1)
    stripes = min(parts, sides[0]) if blocks % parts and blocks < 8 * parts else 1
    items, parts = blocks * stripes, min(parts, blocks * stripes)
    if parts == 1:
        _set_planes(*arguments, (0, items, stripes), *codes, out)
    else:
        set_planes = address_of(_set_planes, *arguments, (0, items, stripes), *codes, out)
        _set_planes_shared(set_planes, *arguments, (items, stripes), parts, *codes, out)
    return out
