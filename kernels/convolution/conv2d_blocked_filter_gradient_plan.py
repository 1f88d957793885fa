"""How the filter gradient of ``numba_blocked`` cuts its work: pieces of outputs, taps, tiles."""

from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from convgrad.kernels import vector
from convgrad.kernels.convolution.conv2d_blocked_filter_gradient_tiles import (
    ROWS,
    VECTORS,
    address_with,
)
from convgrad.kernels.convolution.conv2d_blocked_layout import block_count
from convgrad.kernels.convolution.conv2d_blocked_weights import halves
from convgrad.kernels.convolution.conv2d_numba_planes import PLANS

_RUN = 128
"""About so many outputs are summed at a time: what two vectors and a few rows see fits L1."""


def _taps_of(size, sides, taps, stride, before, dilation):
    """Along one axis: for each tap the outputs from, to, that see pixels, and its shift."""
    shifts = np.arange(taps) * dilation - before
    low = np.clip(-(shifts // stride), 0, sides)
    return low, np.clip((size - 1 - shifts) // stride + 1, low, sides), shifts


def _cut(count, size):
    """Cut so many steps of so many outputs: ends of parts of about a run."""
    parts = min(-(-count * size // _RUN), count)
    ends = [count * part // parts for part in range(parts + 1)]
    return list(zip(ends, ends[1:]))


def pieces_of(images, sides):
    """Cut the outputs of all images: images from, to, rows from, to, columns from, to."""
    columns = _cut(sides[1], 1)
    rows = _cut(sides[0], sides[1] // len(columns))
    pieces = product(_cut(images, prod(sides) // len(columns) // len(rows)), rows, columns)
    return [sum(piece, ()) for piece in pieces]


def _row_blocks(count, most):
    """Cut rows into blocks: first row, and rows; a block of two would wait for its own sums."""
    blocks = [(first, min(most, count - first)) for first in range(0, count, most)]
    if most == 8 and len(blocks) > 1 and blocks[-1][1] <= 2:
        first = blocks[-2][0]
        blocks[-2:] = (first, 6), (first + 6, count - first - 6)
    return blocks


def tiles(left, right, dtype):
    """Cut a product of so many channels by so many into tiles.

    Yields
    ------
    first row, rows : int
    first column, columns : int
    kind : (int, int, int)
        See `address_with`.
    """
    lanes, half = vector.lanes_of(dtype), halves(right, dtype)
    most, whole = min(ROWS, lanes), block_count(right, dtype) - half
    groups = [(first, min(VECTORS, whole - first), 0) for first in range(0, whole, VECTORS)]
    groups += [(whole, 1, 1)] * half
    for first, rows in _row_blocks(left, most):
        for start, vectors, halved in groups:
            columns = min(vectors * lanes, right - start * lanes)
            yield first, rows, start * lanes, columns, (rows + rows % 2, vectors, halved)


@lru_cache(PLANS)
def is_turned(filters, channels, dtype):
    """Whether fewer lanes and rows are idle with filters in the lanes."""

    def filled(left, right):
        lanes = vector.lanes_of(dtype)
        return sum(
            rows * (vectors * lanes >> half)
            for *_, (rows, vectors, half) in tiles(left, right, dtype)
        )

    return filled(channels, filters) < filled(filters, channels)


@lru_cache(PLANS)
def plan_of(sides, size, filter_size, stride, padding, dilation, shape, turned, pitches, kind):
    """What ``_set_part`` takes besides arrays and its part.

    Parameters
    ----------
    sides, size, filter_size : (int, int)
        Of outputs, images and filters.
    shape : (int, int, int)
        Images, and channels of what lies left and right.
    turned : bool
        Whether images lie left.
    pitches : tuple of (int, int, int, int)
        Of either: from vector to vector of channels, from image to image, and between rows and
        pixels.
    kind : (dtype, (bool, bool))
        See `address_with`.
    """
    (images, left, right), lanes = shape, vector.lanes_of(kind[0])
    (left_pitch, *left_pitches), (right_pitch, *right_pitches) = pitches
    pixel_pitches = left_pitches if turned else right_pitches
    by_axis = []
    for i in range(2):
        low, high, shifts = _taps_of(
            size[i], sides[i], filter_size[i], stride, padding[i][0], dilation
        )
        by_axis.append(list(zip(low, high, shifts * pixel_pitches[1 + i])))
        pixel_pitches[1 + i] *= stride
    taps = [
        (*rows[:2], *columns[:2], *np.roll([0, rows[2] + columns[2]], turned))
        for rows, columns in product(*by_axis)
    ]
    steps = (
        prod(filter_size) * (1 if turned else right),
        prod(filter_size) * (left if turned else 1),
    )
    items, addresses, targets, place = [], [], [], 0
    for first, rows, start, columns, tile in tiles(left, right, kind[0]):
        width = tile[1] * lanes >> tile[2]
        at = [row // lanes * left_pitch + row % lanes for row in (first, first + tile[0] // 2)]
        items.append((*at, start // lanes * right_pitch, right_pitch, place, tile[0] * width))
        addresses.append(address_with(tile, *kind))
        targets.append((first * steps[0] + start * steps[1], rows, columns, width))
        place += len(taps) * tile[0] * width
    tables = (
        (left_pitches, right_pitches),
        pieces_of(images, sides),
        taps,
        items,
        addresses,
        targets,
    )
    return *(np.array(table, np.int64) for table in tables), steps
