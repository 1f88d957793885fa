"""Planes of `conv2d_blocked_planes` from images that lie channels last: vectors are as asked."""

import numpy as np
from numba import njit, prange

from convgrad.kernels import vector


@njit(cache=True)
def _fill_block(images, number, layout, rows, columns, blocked):
    """As ``conv2d_blocked_planes._fill_block``, from images (batch, height, width, channels)."""
    lanes = vector.width(images)
    height, across, channels = images.shape[1:]
    top, left, stride, pitch, length = layout
    blocks = (channels + lanes - 1) // lanes
    image, first = number // blocks, number % blocks * lanes
    count = columns.max() + 1
    size = (rows.max() + 1) * count * length * lanes
    begin = number * size
    for i in range(begin, begin + size, lanes):
        vector.store(blocked, i, vector.zero_tile(images, lanes, 1)[0])
    flat = images.reshape(-1)
    for y in range(height):
        kind, row = rows[(y + top) % stride], (y + top) // stride
        if kind < 0 or row * pitch >= length:
            continue
        to = begin + (kind * count * length + row * pitch) * lanes
        for x in range(min(across, (length - row * pitch) * stride - left)):
            plane = columns[(x + left) % stride]
            if plane < 0:
                continue
            at = to + (plane * length + (x + left) // stride) * lanes
            seen = ((image * height + y) * across + x) * channels + first
            if first + lanes <= channels:
                vector.store(blocked, at, vector.load(flat, seen, lanes))
            else:
                pixel = vector.load_first(flat, seen, lanes, channels - first)
                vector.store(blocked, at, pixel)


@njit(cache=True)
def fill_blocks(images, layout, rows, columns, count, blocked):
    """Fill the planes of all ``count`` blocks of channels of all images."""
    for number in range(count):
        _fill_block(images, number, layout, rows, columns, blocked)


@njit(cache=True, parallel=True)
def fill_blocks_shared(images, layout, rows, columns, count, blocked):
    """The same, by all threads."""
    for number in prange(count):
        _fill_block(images, np.int64(number), layout, rows, columns, blocked)
