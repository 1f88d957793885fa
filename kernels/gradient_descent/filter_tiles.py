"""Filter fit with Numba: residuals and gradient of a block of samples in register tiles."""

from math import prod

import numpy as np
from numba import njit, prange
from numba.extending import register_jitable

from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain
from convgrad.kernels.vector import (
    add_outer,
    add_toeplitz,
    broadcast_tile,
    load_tile,
    register_bytes,
    store,
    store_tile,
    totals,
    width,
    zero_tile,
)

_OUTPUTS = 20 if register_bytes() == 64 else 10
"""Vectors of outputs in a tile; 4 taps and a vector of samples fill up 32 or 16 registers."""
_RUN = 1024
"""Bytes of one row of an image that are worked on together: ten rows and more fit into L1."""
_TILES = 12
"""Tiles of a series that are worked on together."""
_COLUMNS, _LONE_COLUMNS = 4, 8
"""Columns of taps whose gradient is one tile: with three rows of them 12 sums, or of one row 8."""
_SMALLEST_PARTITION = 1 << 18
"""Multiplications of one pass, about 10 us of work: less is not worth waking a thread."""
_MOST_PARTITIONS = 64


# Inlined by Numba into branches of a loop, it would count references to the samples there: a call,
# for which the whole tile leaves the registers.
@register_jitable(forceinline=True)
def _add_taps(tile, samples, seen, pitch, weights, place, apart, taps):
    """Add ``len(taps)`` taps that are rows apart, the first of them at ``place``."""
    lanes, last = width(samples), len(taps) - 1
    factors = broadcast_tile(weights, place + last * apart, -apart, lanes, len(taps))
    return add_toeplitz(tile, samples, seen - last * pitch, pitch, factors)


@njit(cache=True)
def _add_predictions(samples, seen, pitch, weights, apart, columns, residuals, at, step, tiles):
    """Add what the filter makes of the samples to tiles of residuals, ``step`` apart.

    Vectors of a tile are a pitch apart, and so is what taps see that are rows of the filter,
    ``apart`` weights, apart.
    """
    lanes = width(samples)
    for number in range(tiles):
        here, there = at + number * step, seen + number * step
        tile = load_tile(residuals, here, pitch, lanes, _OUTPUTS)
        for column in range(columns):
            place, first = column, there - column
            left = (weights.size - column + apart - 1) // apart
            while left > 3:
                tile = _add_taps(tile, samples, first, pitch, weights, place, apart, (0, 0, 0, 0))
                place, first, left = place + 4 * apart, first - 4 * pitch, left - 4
            if left == 3:
                tile = _add_taps(tile, samples, first, pitch, weights, place, apart, (0, 0, 0))
            elif left == 2:
                tile = _add_taps(tile, samples, first, pitch, weights, place, apart, (0, 0))
            elif left == 1:
                tile = _add_taps(tile, samples, first, pitch, weights, place, apart, (0,))
        store_tile(residuals, here, pitch, tile)


@njit(cache=True, inline="always")
def _set_sums(residuals, at, samples, seen, pitch, rows, length, high, across, sums, size):
    """Set ``sums`` to the gradient of ``high`` x ``across`` taps, in all ``size`` (constants).

    Each vector of samples meets the residuals of so many rows, and each of those the samples
    of so many columns.
    """
    lanes = width(samples)
    tile = zero_tile(samples, lanes, size)
    for row in range(rows):
        here, there = at + row * pitch, seen + row * pitch
        for i in range(0, length, lanes):
            left = load_tile(residuals, here + i, pitch, lanes, high)
            tile = add_outer(tile, load_tile(samples, there + i, -1, lanes, across), left)
    store(sums, 0, totals(tile))


@njit(cache=True)
def _add_gradient(residuals, at, samples, seen, pitch, rows, length, apart, columns, gradient):
    """Add the gradient of all taps; around residuals there are two vectors or rows of zeros."""
    sums = np.empty(12, samples.dtype)
    high = (gradient.size + apart - 1) // apart
    row = 0
    while row < high:
        joint = min(high - row, 3) if high - row != 4 else 2
        across = _COLUMNS if joint > 1 else _LONE_COLUMNS
        # One row of zeros more, or one vector, than taps of the tile are rows apart.
        here, there = at - (joint - 1) * pitch, seen - (row + joint - 1) * pitch
        more = (joint - 1) * pitch if rows == 1 else 0
        lines = rows if rows == 1 else rows + joint - 1
        for column in range(0, columns, across):
            first = there - column
            if joint == 3:
                _set_sums(
                    residuals, here, samples, first, pitch, lines, length + more, 3, 4, sums, 12
                )
            elif joint == 2:
                _set_sums(
                    residuals, here, samples, first, pitch, lines, length + more, 2, 4, sums, 8
                )
            else:
                _set_sums(
                    residuals, here, samples, first, pitch, lines, length + more, 1, 8, sums, 8
                )
            for i in range(joint):
                for j in range(min(across, columns - column)):
                    tap = (row + i) * apart + column + j
                    if tap < gradient.size:
                        gradient[tap] += sums[j * joint + i]
        row += joint


@njit(cache=True)
def _copy(image, top, first, rows, columns, copy, pitch):
    """Copy a box of samples from (top, first) on into rows a pitch apart, zeros around them."""
    left = min(max(-first, 0), pitch)
    right = max(min(image.shape[1] - first, columns), left)
    for row in range(rows):
        line = copy[row * pitch : (row + 1) * pitch]
        if top + row < 0 or top + row >= image.shape[0]:
            line[:] = 0
        else:
            line[:left] = 0
            samples, middle = image[top + row, first + left :], line[left:right]
            for i in range(right - left):
                middle[i] = samples[i]
            line[right:] = 0


@njit(cache=True)
def _series_gradient(signal, targets, weights, tiles, part, parts, gradient):
    """Set ``gradient`` to that of one part of a series, some tiles at a time.

    The vectors of a series are taken for the rows of an image, and so are those of the filter.
    """
    lanes = width(signal)
    columns = min(lanes, weights.size)
    zero, one = np.int64(0), np.int64(1)
    run = tiles * _OUTPUTS * lanes
    before = (weights.size + lanes - 1) // lanes * lanes + _LONE_COLUMNS
    samples = np.empty(before + run, signal.dtype)
    residuals = np.zeros(run + 4 * lanes, signal.dtype)
    here = residuals[2 * lanes : 2 * lanes + run]
    blocks = (signal.shape[1] + run - 1) // run
    gradient[:] = 0
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        first = block * run
        _copy(signal, zero, first - before, one, before + run, samples, before + run)
        _copy(targets, zero, first, one, run, here, run)
        for i in range(run):
            here[i] = -here[i]
        _add_predictions(
            *(samples, before, lanes, weights, lanes, columns, residuals, 2 * lanes),
            *(_OUTPUTS * lanes, tiles),
        )
        here[min(signal.shape[1] - first, run) :] = 0
        _add_gradient(
            *(residuals, 2 * lanes, samples, before, lanes, 1, run, lanes, columns, gradient)
        )


@njit(cache=True)
def _image_gradient(signal, targets, weights, sides, run, part, parts, gradient):
    """Set ``gradient`` to that of one part of an image, a tile of rows at a time."""
    lanes = width(signal)
    height, across = sides
    outputs, before = np.int64(_OUTPUTS), across + _LONE_COLUMNS
    length = (run + lanes - 1) // lanes * lanes
    pitch = before + length
    samples = np.empty((height - 1 + _OUTPUTS) * pitch, signal.dtype)
    residuals = np.zeros((_OUTPUTS + 4) * pitch, signal.dtype)
    here = residuals[2 * pitch :]
    runs = (signal.shape[1] + run - 1) // run
    blocks = (signal.shape[0] + _OUTPUTS - 1) // _OUTPUTS * runs
    gradient[:] = 0
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        top, first = block // runs * _OUTPUTS, block % runs * run
        left = top - height + 1, first - before
        _copy(signal, left[0], left[1], height - 1 + outputs, pitch, samples, pitch)
        _copy(targets, top, first, outputs, min(run, signal.shape[1] - first), here, pitch)
        for i in range(_OUTPUTS * pitch):
            here[i] = -here[i]
        seen = (height - 1) * pitch + before
        _add_predictions(
            *(samples, seen, pitch, weights, across, across, residuals, 2 * pitch),
            *(lanes, length // lanes),
        )
        rows = min(_OUTPUTS, signal.shape[0] - top)
        columns = min(run, signal.shape[1] - first)
        for row in range(rows):
            here[row * pitch + columns : (row + 1) * pitch] = 0
        here[rows * pitch :] = 0
        _add_gradient(
            *(residuals, 2 * pitch, samples, seen, pitch, rows, length, across, across, gradient)
        )


@njit(cache=True)
def _step(weights, gradients, step, l2, threshold):
    """Sum the parts' gradients in order, and take a step with soft thresholding."""
    for part in range(1, len(gradients)):
        for tap in range(len(weights)):
            gradients[0, tap] += gradients[part, tap]
    for tap in range(len(weights)):
        weight = weights[tap]
        weight -= step * (gradients[0, tap] + l2 * weight)
        if abs(weight) <= threshold:
            weights[tap] = 0
        elif weight > 0:
            weights[tap] = weight - threshold
        else:
            weights[tap] = weight + threshold


@njit(cache=True, parallel=True)
def _descend_series(signal, targets, weights, tiles, gradients, iterations, step, l2, threshold):
    parts = len(gradients)
    for _ in range(iterations):
        if parts == 1:
            first, one = np.int64(0), np.int64(1)
            _series_gradient(signal, targets, weights, tiles, first, one, gradients[0])
        else:
            for part in prange(parts):
                _series_gradient(
                    signal, targets, weights, tiles, np.int64(part), parts, gradients[part]
                )
        _step(weights, gradients, step, l2, threshold)


@njit(cache=True, parallel=True)
def _descend_image(
    signal, targets, weights, sides, run, gradients, iterations, step, l2, threshold
):
    parts = len(gradients)
    for _ in range(iterations):
        if parts == 1:
            first, one = np.int64(0), np.int64(1)
            _image_gradient(signal, targets, weights, sides, run, first, one, gradients[0])
        else:
            for part in prange(parts):
                _image_gradient(
                    signal, targets, weights, sides, run, np.int64(part), parts, gradients[part]
                )
        _step(weights, gradients, step, l2, threshold)


def _blocks(shape, itemsize):
    """Tiles of a block of a series, or columns of one of an image; and blocks in all."""
    rows, columns = shape
    if rows == 1:
        tile = _OUTPUTS * register_bytes() // itemsize
        tiles = min(-(-columns // tile), _TILES)
        return tiles, -(-columns // (tiles * tile))
    runs = -(-columns * itemsize // _RUN)
    return -(-columns // runs), runs * -(-rows // _OUTPUTS)


def _partitions(shape, taps, itemsize):
    """Parts of the samples: decided by the sizes alone, so that no result depends on threads."""
    blocks = _blocks(shape, itemsize)[1]
    return max(min(prod(shape) * prod(taps) // _SMALLEST_PARTITION, _MOST_PARTITIONS, blocks), 1)


def _workspace(signal, targets, *, taps, **_):
    """A gradient a part, and for each thread the samples and the residuals of a block."""
    shape, (height, across) = (1, *signal.shape)[-2:], (1, *taps)[-2:]
    parts = _partitions(shape, (height, across), signal.itemsize)
    block = _blocks(shape, signal.itemsize)[0]
    lanes = register_bytes() // signal.itemsize
    if shape[0] == 1:
        samples = across + 2 * block * _OUTPUTS * lanes
    else:
        samples = (height + 2 * _OUTPUTS) * (across + block + lanes + _LONE_COLUMNS)
    return (parts * (height * across + samples)) * signal.itemsize


@kernel("fit_filter", family="numba", workspace=_workspace)
def numba_tiles(signal, targets, *, taps, iterations, step, l2, l1, weights):
    """Residuals and gradient of a block of samples while it is in L1, both in register tiles.

    4 n k flops a step. Residuals are tiles of 10 vectors (20 where registers are 32), rows of an
    image below each other: 4 taps that are rows apart share the loads of samples, 13 for 40
    multiply-adds (register blocking; Goto and van de Geijn, 2008). The gradient of 3 rows x 4
    columns of taps is 12 sums over a whole block, a load of samples meets 3 residuals. A series
    is seen as an image whose rows are vectors, and so is its filter: taps a vector apart meet
    the same vectors of samples.

    Blocks are copied with zeros around them, so that nothing else knows the border. Signal and
    targets are read once a step. Blocks make a fixed number of parts with a gradient each, added
    in order: the same result on any number of threads. The bound is that of sums in any order.
    From some tens of taps on; with fewer the copies cost as much as the sums, with hundreds an
    FFT needs less, and from two iterations on the normal equations.
    """
    sides = (1, *taps)[-2:]
    signal, targets = (plain(array).reshape(-1, array.shape[-1]) for array in (signal, targets))
    result = weights.copy()
    block = _blocks(signal.shape, signal.itemsize)[0]
    parts = _partitions(signal.shape, sides, signal.itemsize)
    gradients = np.empty((parts, result.size), signal.dtype)
    factors = (signal.dtype.type(factor) for factor in (step, l2, step * l1))
    if len(signal) == 1:
        _descend_series(signal, targets, result.ravel(), block, gradients, iterations, *factors)
    else:
        _descend_image(
            signal, targets, result.ravel(), sides, block, gradients, iterations, *factors
        )
    return result
