"""Input gradient of depthwise `conv2d` with Numba: lanes are channels."""

from math import prod

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.address import address_of, call
from convgrad.kernels.convolution.conv2d_blocked_outputs import unpack_row
from convgrad.kernels.convolution.conv2d_depthwise import fill_rows, pack_channels
from convgrad.kernels.lines import zeros
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

_EIGHT, _FOUR = (0,) * 8, (0,) * 4
"""Pixels whose sums stay in registers, and share each weight."""
_RUN = 128
"""About so many pixels are worked on together, and turned round to planes."""
_SMALLEST_PART = 1 << 15
"""Pixels, about 10 us of work: less is not worth waking a thread."""


@njit(cache=True)
def _set_tile(slopes, at, places, weights, taps, sums, to, apart, tile):
    """Set the sums of some pixels, ``apart`` in the sums; ``tile`` is as long as there are."""
    lanes = vector.width(slopes)
    total = vector.zero_tile(slopes, lanes, len(tile))
    for number in range(len(places)):
        w = vector.load_tile(weights, taps[number], 0, lanes, 1)
        x = vector.load_tile(slopes, at + places[number], lanes, lanes, len(tile))
        total = vector.add_outer(total, w, x)
    vector.store_tile(sums, to, apart, total)


@njit(cache=True)
def _set_row(slopes, places, weights, taps, sums, to, count, apart):
    """Set the sums of ``count`` pixels that the same taps reach, rounded up to whole tiles."""
    lanes, x = vector.width(slopes), 0
    while x < count:
        at, own = x * lanes, to + x * apart
        if count - x > len(_FOUR):
            _set_tile(slopes, at, places, weights, taps, sums, own, apart, _EIGHT)
            x += len(_EIGHT)
        else:
            _set_tile(slopes, at, places, weights, taps, sums, own, apart, _FOUR)
            x += len(_FOUR)


@njit(cache=True)
def _reached(pixel, taps, before, stride, dilation, margin, found):
    """Taps that reach a pixel along an axis, and the outputs that they reach it from.

    Output o sees pixel ``o * stride + tap * dilation - before``. Sets rows of ``found``: tap, and
    the output, counted from ``margin`` before the first; returns how many there are.
    """
    count = 0
    for tap in range(taps):
        from_ = pixel + before - tap * dilation
        if from_ % stride == 0:
            found[count, 0], found[count, 1] = tap, from_ // stride + margin
            count += 1
    return count


@njit(cache=True)
def _set_planes(slopes, each, weights, taps, geometry, items, result):
    """Set the gradients of some blocks of planes, as many as lanes.

    Parameters
    ----------
    slopes : ndarray, shape (batch, filters, height, width)
        Output gradients.
    each : int
        Filters of a channel.
    weights : ndarray, 1-D
        From `pack_channels`.
    taps : (int, int)
        Sides of a filter.
    geometry : (int, int, int, int)
        Zeros above and to the left of an image, stride, dilation.
    items : (int, int, int)
        First item, and the one after the last; a block makes so many items, stripes of rows.
    result : ndarray, shape (batch, channels, height, width)
    """
    lanes, (channels, height, width) = vector.width(slopes), result.shape[1:]
    (top_zeros, left_zeros, stride, dilation), (begin, end, stripes) = geometry, items
    (tall, wide), (rows, columns), planes = slopes.shape[2:], taps, len(result) * channels
    flat, written, plane = slopes.reshape(-1), result.reshape(-1), height * width
    together, reach = min(max(_RUN // width, 1), height), (rows - 1) * dilation
    left = max(-((left_zeros - (columns - 1) * dilation) // stride), 0)
    across = left + max((width - 1 + left_zeros) // stride + 1, wide)
    around, pitch = (together - 1 + reach) // stride + 2, across * lanes
    ring = zeros(each * around * pitch + len(_EIGHT) * lanes, slopes)
    sums = zeros((together * width + len(_EIGHT) * stride + lanes) * lanes, slopes)
    square = np.empty(lanes * lanes, slopes.dtype)
    down, along = np.empty((rows, 2), np.int64), np.empty((columns, 2), np.int64)
    places = np.empty(each * rows * columns, np.int64)
    own_taps = np.empty(each * rows * columns, np.int64)
    for item in range(begin, end):
        # The last block overlaps the one before: the same sums, to the bit.
        first, stripe = min(item // stripes * lanes, planes - lanes), item % stripes
        low, high = stripe * height // stripes, (stripe + 1) * height // stripes
        filled = -((reach - low - top_zeros) // stride)
        for top in range(low, high, together):
            some = min(together, high - top)
            last = (top + some - 1 + top_zeros) // stride
            seen = max(filled, last + 1 - around), last + 1
            for number in range(each):
                own = (first * each + number) * tall * wide, each * tall * wide, (tall, wide)
                to_ring = number * around * pitch + left * lanes, pitch, around
                fill_rows(flat, *own, seen, 0, ring, to_ring)
            filled = last + 1
            for row in range(some):
                count = _reached(top + row, rows, top_zeros, stride, dilation, 0, down)
                for x in range(min(stride, width)):
                    beside = _reached(x, columns, left_zeros, stride, dilation, left, along)
                    met = 0
                    for number in range(each):
                        for i in range(count):
                            line = (number * around + down[i, 1] % around) * pitch
                            for j in range(beside):
                                tap = (number * rows + down[i, 0]) * columns + along[j, 0]
                                own_taps[met] = tap * (channels + lanes) + first % channels
                                places[met] = line + along[j, 1] * lanes
                                met += 1
                    at, pixels = (row * width + x) * lanes, (width - x + stride - 1) // stride
                    reaching = places[:met], weights, own_taps[:met]
                    _set_row(ring, *reaching, sums, at, pixels, stride * lanes)
            size, place = (lanes, plane), first * plane + top * width
            unpack_row(sums, 0, lanes, some * width, size, square, written, place)


@njit(cache=True, parallel=True)
def _set_planes_shared(set_planes, slopes, each, weights, taps, geometry, items, parts, result):
    for part in prange(parts):
        begin, end = np.int64(part) * items[0] // parts, (np.int64(part) + 1) * items[0] // parts
        call(set_planes, (slopes, each, weights, taps, geometry, (begin, end, items[1]), result))


def _serves(output_gradient, filters, *, groups, **_):
    if filters.shape[1] > 1:
        return "its filters see one channel each"
    lanes = vector.lanes_of(filters.dtype)
    return (
        None if len(output_gradient) * groups >= lanes else f"it takes {lanes} channels at a time"
    )


def _weights_elements(filters, groups):
    return filters.size // groups * (groups + vector.lanes_of(filters.dtype))


def _workspace(output_gradient, filters, *, image_size, stride, dilation, groups, **_):
    """Packed weights, and for each thread some rows of gradients and sums."""
    rows = filters.shape[2]
    together = min(max(_RUN // image_size[1], 1), image_size[0])
    around = (together - 1 + (rows - 1) * dilation) // stride + 2
    across = max(output_gradient.shape[3], image_size[1] // stride + 1)
    own = len(filters) // groups * around * across + together * image_size[1]
    elements = numba.get_num_threads() * own * vector.lanes_of(filters.dtype)
    return (_weights_elements(filters, groups) + elements) * filters.itemsize


@kernel(
    "conv2d_input_gradient",
    family="numba",
    name="numba_depthwise",
    serves=_serves,
    workspace=_workspace,
)
def input_gradient_depthwise(
    output_gradient, filters, *, image_size, stride, padding, dilation, groups, out=None
):
    """Sums with channels as lanes: 8 pixels in registers that the same taps reach.

    Output gradients of as many channels as lanes are turned round row by row, as far as a run of
    pixels needs them, and sums are turned back, as in ``numba_depthwise``. Pixels a stride apart
    are reached by the same taps: as many flops as the definition. A tap loads a gradient for each
    pixel. Sums run in a fixed order. Work is split over blocks of channels, and rows where these
    are few. For layers whose filters see a channel each, any number of filters for it, and at
    least a vector of channels in all images.
    """
    batch, each = len(output_gradient), len(filters) // groups
    if out is None:
        out = np.empty((batch, groups, *image_size), filters.dtype)
    weights = np.empty(_weights_elements(filters, groups), filters.dtype)
    taps = filters.shape[2:]
    pack_channels(plain(filters).reshape(-1), groups, prod(taps), weights)
    geometry = padding[0][0], padding[1][0], stride, dilation
    arguments = plain(output_gradient), each, weights, taps, geometry
    blocks = -(-batch * groups // vector.lanes_of(filters.dtype))
    parts = max(min(out.size // _SMALLEST_PART, numba.get_num_threads()), 1)
    stripes = min(parts, image_size[0]) if blocks % parts and blocks < 8 * parts else 1
    items, parts = blocks * stripes, min(parts, blocks * stripes)
    if parts == 1:
        _set_planes(*arguments, (0, items, stripes), out)
    else:
        set_planes = address_of(_set_planes, *arguments, (0, items, stripes), out)
        _set_planes_shared(set_planes, *arguments, (items, stripes), parts, out)
    return out
