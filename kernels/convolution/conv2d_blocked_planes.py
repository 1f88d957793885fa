"""Planes for `conv2d_blocked_filter_gradient`: a vector of channels for a pixel, and zeros."""

import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.convolution import conv2d_blocked_channels_last as channels_last
from convgrad.kernels.convolution.conv2d_blocked_layout import block_count
from convgrad.kernels.convolution.conv2d_numba_planes import channel_length, plane_numbers
from convgrad.kernels.validation import plain

_SLACK = 14
"""Pixels at the end, for runs that are rounded up."""
_SMALLEST_COPY = 1 << 15
"""Elements, a few microseconds of copying: less is not worth waking a thread."""


@njit(cache=True)
def _store_pixels(square, lanes, count, to, stride, planes, length, x, blocked):
    """Write the vectors of ``count`` pixels from column x on to the planes that they belong to."""
    for i in range(count):
        plane = planes[(x + i) % stride]
        if plane >= 0:
            at = to + (plane * length + (x + i) // stride) * lanes
            vector.store(blocked, at, vector.load(square, i * lanes, lanes))


@njit(cache=True)
def _fill_block(images, number, layout, rows, columns, blocked):
    """Fill the planes of one block of channels of one image, with zeros around the pixels.

    Parameters
    ----------
    number : int
        Of the block, among those of all images.
    layout : (int, int, int, int, int)
        Zeros above and to the left, stride, pitch, length.
    rows, columns : ndarray
        Planes by the remainder of row and column; -1 where none is needed.
    blocked : ndarray
        As ``conv2d_numba_planes`` has planes, with a vector of channels for a pixel.
    """
    lanes = vector.width(images)
    channels, height, across = images.shape[1:]
    top, left, stride, pitch, length = layout
    blocks = (channels + lanes - 1) // lanes
    image, first = number // blocks, number % blocks * lanes
    count = columns.max() + 1
    size = (rows.max() + 1) * count * length * lanes
    begin = number * size
    if stride > 1 or top > 0 or left > 0 or pitch != across or length > height * across:
        for i in range(begin, begin + size):
            blocked[i] = 0
    flat, plane = images.reshape(-1), height * across
    square = np.zeros(lanes * lanes, images.dtype)
    for y in range(height):
        kind, row = rows[(y + top) % stride], (y + top) // stride
        if kind < 0 or row * pitch >= length:
            continue
        to = begin + (kind * count * length + row * pitch) * lanes
        width = min(across, (length - row * pitch) * stride - left)
        seen = ((image * channels + first) * height + y) * across
        for x in range(0, width, lanes):
            some, own = min(lanes, width - x), to + (x + left) * lanes
            if first + lanes > channels:
                for i in range(some):
                    for lane in range(channels - first):
                        square[i * lanes + lane] = flat[seen + lane * plane + x + i]
            elif some == lanes:
                tile = vector.transpose(vector.load_tile(flat, seen + x, plane, lanes, lanes))
                if stride == 1:
                    vector.store_tile(blocked, own, lanes, tile)
                    continue
                vector.store_tile(square, 0, lanes, tile)
            else:
                tile = vector.load_rows(flat, seen + x, plane, lanes, lanes, 1, some)
                vector.store_tile(square, 0, lanes, vector.transpose(tile))
            if stride == 1:
                for i in range(0, some * lanes, lanes):
                    vector.store(blocked, own + i, vector.load(square, i, lanes))
            else:
                _store_pixels(square, lanes, some, to, stride, columns, length, x + left, blocked)


@njit(cache=True)
def _fill_blocks(images, layout, rows, columns, count, blocked):
    for number in range(count):
        _fill_block(images, number, layout, rows, columns, blocked)


@njit(cache=True, parallel=True)
def _fill_blocks_shared(images, layout, rows, columns, count, blocked):
    for number in prange(count):
        _fill_block(images, np.int64(number), layout, rows, columns, blocked)


def lay_out(images, layout):
    """Planes of all images with a vector of channels for a pixel; see `_fill_block`."""
    batch, channels, height, across = images.shape
    last = images.transpose(0, 2, 3, 1)
    fills, seen = (_fill_blocks, _fill_blocks_shared), images
    if last.flags.carray and not images.flags.carray:
        fills, seen = (channels_last.fill_blocks, channels_last.fill_blocks_shared), last
    elif layout.stride == 1 and layout.before == (0, 0) and layout.pitch == across:
        # No zeros between rows: an image is one row.
        seen = plain(images).reshape(batch, channels, 1, height * across)
        layout = layout._replace(pitch=max(height * across, layout.length))
    count = len(images) * block_count(images.shape[1], images.dtype)
    blocked = np.empty(laid_out_elements(images, layout), images.dtype)
    blocked[-_SLACK * vector.lanes_of(images.dtype) :] = 0
    integers = *layout.before, layout.stride, layout.pitch, layout.length
    fills[blocked.size >= _SMALLEST_COPY](
        plain(seen), integers, *plane_numbers(layout), count, blocked
    )
    return blocked


def laid_out_elements(images, layout):
    """Elements that `lay_out` allocates."""
    lanes = vector.lanes_of(images.dtype)
    count = len(images) * block_count(images.shape[1], images.dtype)
    return count * channel_length(layout) * lanes + _SLACK * lanes
