"""Depthwise `conv2d` with Numba: one channel at a time, laid out with its zeros in L1."""

from functools import lru_cache
from math import prod

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.convolution.conv2d_numba_planes import (
    channel_length,
    forward_layout,
    plane_numbers,
    tap_offsets,
)
from convgrad.kernels.convolution.geometry import output_sides
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

_FOUR, _ONE = (0,) * 4, (0,)
"""Vectors of outputs whose sums stay in registers, and share the broadcast of a weight."""
_SMALLEST_PART = 1 << 15
"""Outputs, about 10 us of work: less is not worth waking a thread."""


@njit(cache=True)
def _copy_apart(images, seen, stride, planes, to, count):
    """Copy so many pixels that lie a stride apart."""
    lanes = vector.width(images)
    if stride > 2:
        for i in range(count):
            planes[to + i] = images[seen + i * stride]
        return
    for i in range(0, count, lanes):
        at, some = seen + i * stride, min(lanes, count - i)
        if stride == 1:
            pixels = vector.load_first(images, at, lanes, some)
        else:
            low = vector.load_first(images, at, lanes, 2 * some - 1)
            high = vector.load_first(images, at + lanes, lanes, 2 * some - 1 - lanes)
            pixels = vector.unzip(low, high)[0]
        vector.store_first(planes, to + i, pixels, some)


@njit(cache=True)
def _fill(images, first, size, layout, rows, columns, planes):
    """Copy the pixels of a channel to where they lie in its planes; zeros are there already."""
    height, across = size
    top, left, stride, pitch, length = layout
    count = columns.max() + 1
    for number in range(stride * stride):
        kind, other = number // stride, number % stride
        if rows[kind] < 0 or columns[other] < 0:
            continue
        # The first row and pixel of these remainders, and where they go.
        y, x = (kind - top) % stride, (other - left) % stride
        place = (y + top) // stride * pitch + (x + left) // stride
        start = (rows[kind] * count + columns[other]) * length
        wide = (across - x + stride - 1) // stride
        while y < height and place < length:
            to, seen, some = start + place, first + y * across + x, min(wide, length - place)
            _copy_apart(images, seen, stride, planes, to, some)
            y, place = y + stride, place + pitch


@njit(cache=True)
def _set_sums(planes, at, offsets, weights, first, sums, tile):
    lanes = vector.width(planes)
    total = vector.zero_tile(planes, lanes, len(tile))
    for tap in range(len(offsets)):
        x = vector.load_tile(planes, at + offsets[tap], lanes, lanes, len(tile))
        w = vector.broadcast_tile(weights, first + tap, 0, lanes, 1)
        total = vector.add_outer(total, w, x)
    vector.store_tile(sums, at, lanes, total)


@njit(cache=True)
def _set_channels(images, shape, layout, rows, columns, offsets, weights, items, result):
    """Set the outputs of some channels, of one image after the other.

    Parameters
    ----------
    images : ndarray, 1-D
    shape : (int, int, int)
        Channels, and sides, of an image.
    layout : (int, int, int, int, int)
        Zeros above and to the left, stride, pitch and length of a plane.
    rows, columns : ndarray
        Planes by the remainder of row and column; -1 where none is needed.
    offsets : ndarray
        Where in the planes the taps' pixels lie for the first output.
    weights : ndarray, 1-D
    items : (int, int)
        First channel, and the one after the last.
    result : ndarray, shape (batch, filters, height, width)
    """
    lanes, (channels, tall, wide) = vector.width(images), shape
    pitch, length = layout[3], layout[4]
    filters, height, across = result.shape[1:]
    flat, plane = result.reshape(-1), height * across
    outputs = (height - 1) * pitch + across
    room = len(_FOUR) * lanes
    planes = np.zeros((rows.max() + 1) * (columns.max() + 1) * length + room, images.dtype)
    sums = np.empty(outputs + room, images.dtype)
    for item in range(items[0], items[1]):
        image, channel = item // channels, item % channels
        _fill(images, item * tall * wide, (tall, wide), layout, rows, columns, planes)
        for number in range(channel * filters // channels, (channel + 1) * filters // channels):
            first, at = number * len(offsets), 0
            while outputs - at > 2 * lanes:
                _set_sums(planes, at, offsets, weights, first, sums, _FOUR)
                at += len(_FOUR) * lanes
            while at < outputs:
                _set_sums(planes, at, offsets, weights, first, sums, _ONE)
                at += lanes
            start = (image * filters + number) * plane
            for row in range(height):
                for x in range(0, across, lanes):
                    some, place = vector.load(sums, row * pitch + x, lanes), start + row * across
                    if across - x >= lanes:
                        vector.store(flat, place + x, some)
                    else:
                        vector.store_first(flat, place + x, some, across - x)


@njit(cache=True, parallel=True)
def _set_channels_shared(
    images, shape, layout, rows, columns, offsets, weights, items, parts, result
):
    for part in prange(parts):
        own = part * items // parts, (part + 1) * items // parts
        _set_channels(images, shape, layout, rows, columns, offsets, weights, own, result)


def _serves(images, filters, **_):
    return None if filters.shape[1] == 1 else "its filters see one channel each"


def _workspace(images, filters, *, stride, padding, dilation, **_):
    """For each thread the planes and sums of a channel."""
    size, filter_size = images.shape[2:], filters.shape[2:]
    sides = output_sides(size, filter_size, stride, padding, dilation)
    *_, layout = forward_layout(size, filter_size, sides, stride, padding, dilation)
    own = channel_length(layout) + sides[0] * layout.pitch
    return numba.get_num_threads() * own * images.itemsize


@lru_cache(256)
def _plan(size, filter_size, sides, stride, padding, dilation):
    """What `_set_channels` has to know of a layer, but for its channels; it takes as long."""
    *axes, layout = forward_layout(size, filter_size, sides, stride, padding, dilation)
    offsets = tap_offsets(1, channel_length(layout), *axes, layout)
    integers = *layout.before, stride, layout.pitch, layout.length
    return integers, *plane_numbers(layout), offsets


@kernel("conv2d", family="numba", serves=_serves, workspace=_workspace)
def numba_depthwise(images, filters, *, stride, padding, dilation, groups, out=None):
    """Direct sums of one channel at a time, 4 vectors of outputs in registers.

    A channel is copied to where its zeros are, a plane for each remainder of rows and columns
    modulo the stride (`conv2d_numba_planes`), in L1 or L2 and over the channel before, so that
    zeros are written once; a tap then takes 4 loads and a broadcast for 4 multiply-adds. Runs of
    outputs cross rows, and those between two rows are dropped. Images and result are read and
    written once. Sums run in a fixed order. Work is split over images and channels. For layers
    whose filters see a channel each, any number of filters for it.
    """
    size, filter_size = images.shape[2:], filters.shape[2:]
    sides = output_sides(size, filter_size, stride, padding, dilation)
    if out is None:
        out = np.empty((len(images), len(filters), *sides), images.dtype)
    plan = _plan(size, filter_size, sides, stride, padding, dilation)
    pixels, weights = plain(images).reshape(-1), plain(filters).reshape(-1)
    arguments = pixels, images.shape[1:], *plan, weights
    items = prod(images.shape[:2])
    parts = max(min(out.size // _SMALLEST_PART, numba.get_num_threads(), items), 1)
    if parts == 1:
        _set_channels(*arguments, (0, items), out)
    else:
        _set_channels_shared(*arguments, items, parts, out)
    return out
