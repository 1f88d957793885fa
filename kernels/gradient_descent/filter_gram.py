"""Filter fit from the normal equations, compiled: lagged products once, then steps of k x k."""

from math import prod

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels.gradient_descent.filter_gram_descent import JOINT_ROWS, descend
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain
from convgrad.kernels.vector import (
    add_outer,
    datapath_bytes,
    lanes_in,
    lanes_of,
    load_tile,
    prefetch,
    register_bytes,
    store,
    totals,
    zero_tile,
)

_SERIES_RUN, _IMAGE_RUN = 4096, 1024
"""Bytes of one row that are worked on together."""
_STRIPE = 8
"""Rows of an image that are worked on together: 24 kB of them, and of what they meet, in L1."""
_BYTES = datapath_bytes()
"""Bytes of a vector. Every load of a whole register of 64 bytes would cross a cache line."""
_JOINT_LAGS = 8 if register_bytes() == 64 else 6
"""Lags of a tile: with two left sides 16 or 12 sums, which 32 or 16 registers hold."""
_TILE = 32
"""Rows and columns of a matrix that are transposed together."""
_SMALLEST_PARTITION = 1 << 19
"""Products, about 10 us of work: less is not worth waking a thread."""
_MOST_PARTITIONS = 64


@njit(cache=True, inline="always")
def _set_tile(left, at, pair, down, right, seen, up, rows, length, lags, sums, sums_size):
    """Set ``sums`` to the products of two left sides with so many lags of the right one."""
    lanes = lanes_in(_BYTES, left)
    tile = zero_tile(left, lanes, sums_size)
    for row in range(rows):
        here, there = at + row * down, seen + row * up
        for i in range(0, length, lanes):
            sides = load_tile(left, here + i, pair, lanes, 2)
            tile = add_outer(tile, load_tile(right, there + i, -1, lanes, lags), sides)
    store(sums, 0, totals(tile))


@njit(cache=True)
def _add_lags(left, at, pair, down, right, seen, up, rows, length, count, first_sums, second_sums):
    """Add to ``first_sums[lag]`` the products of a left side with the right one, so much earlier.

    Left sides start at ``at`` and ``at + pair``, their rows lie ``down`` apart, those of the right
    one ``up``; at lag 0 it starts at ``seen``. Whole vectors are read: to be padded with zeros.
    An even number of lags is summed: of the right side one sample more is read.
    """
    sums = np.empty(2 * _JOINT_LAGS, left.dtype)
    tiles = (count + _JOINT_LAGS - 1) // _JOINT_LAGS
    for number in range(tiles):
        lag, stop = number * count // tiles, (number + 1) * count // tiles
        lags, there = stop - lag, seen - lag
        if lags > 6:
            _set_tile(left, at, pair, down, right, there, up, rows, length, 8, sums, 16)
        elif lags > 4:
            _set_tile(left, at, pair, down, right, there, up, rows, length, 6, sums, 12)
        elif lags > 2:
            _set_tile(left, at, pair, down, right, there, up, rows, length, 4, sums, 8)
        else:
            _set_tile(left, at, pair, down, right, there, up, rows, length, 2, sums, 4)
        for i in range(lags):
            first_sums[lag + i] += sums[2 * i]
            second_sums[lag + i] += sums[2 * i + 1]


@njit(cache=True)
def _copy(image, top, first, rows, columns, kept, copy, pitch):
    """Copy a box of samples from (top, first) on into rows a pitch apart, zeros around them.

    Of the image only ``kept`` rows and columns count.
    """
    left = min(max(-first, 0), pitch)
    right = max(min(kept[1] - first, columns), left)
    for row in range(rows):
        line = copy[row * pitch : (row + 1) * pitch]
        if top + row < 0 or top + row >= kept[0]:
            line[:] = 0
        else:
            line[:left] = 0
            samples, middle = image[top + row, first + left :], line[left:right]
            for i in range(right - left):
                middle[i] = samples[i]
            line[right:] = 0


@njit(cache=True)
def _fetch(image, top, first, rows, columns):
    """Bring a box of samples into L2. Addresses beyond the image do no harm."""
    for row in range(rows):
        start = (top + row) * image.shape[1] + first
        for i in range(0, columns, lanes_in(64, image)):
            prefetch(image, start + i, 2)


@njit(cache=True)
def _whole(length, lanes):
    """So many lanes, rounded up to whole vectors."""
    return (length + lanes - 1) // lanes * lanes


@njit(cache=True)
def _add_part(signal, targets, taps, stripe, run, part, parts, pull, products):
    """Add one part of the samples to ``pull`` (lags of y x) and ``products`` (lags of x x)."""
    (height, across), (rows, columns) = taps, signal.shape
    core = (rows - height + 1, columns - across + 1)
    lanes = lanes_in(_BYTES, signal)
    pitch = _whole(run, lanes)
    wide = pitch + 2 * (across - 1)
    left = np.empty((2 * stripe + 2) * pitch, signal.dtype)
    right = np.empty((stripe + height) * wide, signal.dtype)
    runs = (columns + run - 1) // run
    stripes = (rows + stripe - 1) // stripe
    blocks = runs * stripes
    behind = np.empty((2, max(across - 1, 1)), signal.dtype)
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        top, first = block // runs * stripe, block % runs * run
        count = min(stripe, rows - top)
        length = min(run, columns - first)
        # Rows of targets, a row of zeros, rows of the core, a row of zeros.
        x_rows = (count + 1) * pitch
        _copy(targets, top, first, count, length, targets.shape, left, pitch)
        left[count * pitch : x_rows] = 0
        _copy(signal, top, first, count, length, core, left[x_rows:], pitch)
        left[x_rows + count * pitch : x_rows + x_rows] = 0
        seen_rows = count + height
        _copy(
            signal,
            top - height,
            first - across + 1,
            seen_rows,
            wide,
            signal.shape,
            right,
            wide,
        )
        length = _whole(length, lanes)
        # While these are summed, what the next block copies comes closer.
        later = (block + 1) // runs * stripe, (block + 1) % runs * run
        _fetch(targets, *later, stripe, run)
        _fetch(signal, *later, stripe, run)
        for lag in range(height):
            there = (height - lag) * wide + across - 1
            _add_lags(
                *(left, 0, x_rows, pitch, right, there, wide, count, length, across),
                *(pull[lag], products[lag, across - 1 :]),
            )
        for lag in range(1, height if across > 1 else 1, 2):
            behind[:] = 0
            there = (height - lag - 1) * wide + 2 * (across - 1)
            _add_lags(
                *(left, x_rows - pitch, pitch, pitch, right, there, wide, count + 1, length),
                *(across - 1, behind[0], behind[1]),
            )
            for i in range(across - 1):
                products[lag, i] += behind[0, i]
                if lag + 1 < height:
                    products[lag + 1, i] += behind[1, i]


@njit(cache=True)
def _sum_parts(pulls, products):
    for part in range(1, len(pulls)):
        for lag in range(pulls.shape[1]):
            for i in range(pulls.shape[2]):
                pulls[0, lag, i] += pulls[part, lag, i]
            for i in range(products.shape[2]):
                products[0, lag, i] += products[part, lag, i]


@njit(cache=True)
def _lagged_products(signal, targets, taps, stripe, run, pulls, products):
    _add_part(signal, targets, taps, stripe, run, 0, 1, pulls[0], products[0])


@njit(cache=True, parallel=True)
def _lagged_products_shared(signal, targets, taps, stripe, run, pulls, products):
    """Add up the parts in order: the result does not depend on who computed them."""
    parts = len(pulls)
    for part in prange(parts):
        _add_part(
            *(signal, targets, taps, stripe, run, np.int64(part), parts),
            *(pulls[part], products[part]),
        )
    _sum_parts(pulls, products)


@njit(cache=True)
def _copy_edges(lines, kept, before, left, right, pitch, wide, sums):
    """Copy the last lines, as far as they are kept, and as many before them, zeros around."""
    zero, count, others = np.int64(0), sums.shape[0], sums.shape[1]
    _copy(lines, zero, zero, count + 1, pitch, (min(count, lines.shape[0]), kept), left, pitch)
    _copy(lines, zero, -before, others, wide, lines.shape, right[1:], wide)


@njit(cache=True)
def _add_edge_pair(left, right, pitch, wide, seen, t, first, sums):
    """Add products of lines t and t + 1 with the earlier ones."""
    count, others, lags = sums.shape
    spare = np.empty(lags, sums.dtype)
    for u in range(first, min(t + count + 2, others)):
        second = sums[t + 1, u] if t + 1 < count else spare
        _add_lags(
            *(left, t * pitch, pitch, pitch, right, seen + u * wide, wide, 1, pitch),
            *(lags, sums[t, u], second),
        )


@njit(cache=True, parallel=True)
def _add_edge_pairs(left, right, pitch, wide, seen, nearest, sums):
    for pair in prange((sums.shape[0] + 1) // 2):
        t = 2 * np.int64(pair)
        _add_edge_pair(left, right, pitch, wide, seen, t, t if nearest else 0, sums)


@njit(cache=True)
def _series_curvature(signal, products, whole, curvature):
    """Set the upper triangle of ``A^T A``: row t from row t + 1 by the products of one sample."""
    taps = products.size
    last = np.zeros(2 * taps, signal.dtype)
    for i in range(min(2 * taps, signal.size)):
        last[i] = signal[signal.size - 1 - i]
    if whole:
        for t in range(taps - 1):
            for lag in range(taps):
                products[lag] -= last[t] * last[t + lag]
    for t in range(taps - 1, -1, -1):
        if t < taps - 1:
            for lag in range(taps):
                products[lag] += last[t] * last[t + lag]
        row = curvature[t, t:taps]
        for lag in range(taps - t):
            row[lag] = products[lag]


@njit(cache=True)
def _add_row(corner, wide, across, row, lag, below, box):
    """Add one row of samples to the boxes of all entries of this lag; see `_image_curvature`."""
    line = below[row, row + lag].copy()
    first = box[across - 1]
    for i in range(2 * across - 1):
        first[i] += line[i]
    for t in range(across - 2, -1, -1):
        sample = corner[row * wide + across + t]
        here = (row + lag) * wide + t + 1
        others, sums = corner[here : here + 2 * across - 1], box[t]
        for i in range(2 * across - 1):
            line[i] += sample * others[i]
            sums[i] += line[i]


@njit(cache=True)
def _start_boxes(products, across, lag, beside, box):
    """Set the boxes that end before the last rows, and add columns of samples one by one."""
    for i in range(2 * across - 1):
        box[across - 1, i] = products[i]
    for t in range(across - 2, -1, -1):
        for i in range(2 * across - 1):
            box[t, i] = box[t + 1, i]
        for i in range(across - 1 if lag == 0 else across - 1 - t, 2 * across - 1):
            box[t, i] += beside[t, t + i - across + 1, lag]


@njit(cache=True)
def _set_rows(curvature, across, row, other, box):
    """Set what two rows of the filter have with each other."""
    for t in range(across):
        here, sums = curvature[row * across + t, other * across :], box[t, across - 1 - t :]
        for i in range(across):
            here[i] = sums[i]


@njit(cache=True)
def _add_shared(curvature, across, row, other, shared):
    """Add what all entries of a lag share to what two rows of the filter have with each other."""
    for t in range(across):
        here, sums = curvature[row * across + t, other * across :], shared[across - 1 - t :]
        for i in range(across):
            here[i] += sums[i]


@njit(cache=True)
def _set_lag(corner, taps, products, whole, below, beside, curvature, lag):
    """Set what rows of the filter have with each other that are ``lag`` apart.

    An entry is the sum of its lagged products over a box of samples that ends the later, the
    earlier its taps. It starts with the box that all entries of this lag share; columns of
    samples are added for earlier taps of a row, then rows for earlier rows. Nothing cancels,
    unless ``whole`` products are given: those of the shared box are what the rest leaves of them,
    and are added when that is known.
    """
    height, across = taps
    wide = 4 * across
    box = np.empty((across, 2 * across - 1), curvature.dtype)
    shared = np.zeros(2 * across - 1, curvature.dtype)
    if not whole:
        for i in range(2 * across - 1):
            shared[i] = products[lag, i]
    _start_boxes(shared, across, lag, beside, box)
    for row in range(height - 1, -1, -1):
        if row < height - 1:
            _add_row(corner, wide, across, row, lag, below, box)
        if row + lag < height:
            _set_rows(curvature, across, row, row + lag, box)
    if whole:
        for i in range(2 * across - 1):
            shared[i] = products[lag, i] - box[max(across - 1 - i, 0), i]
        for row in range(height - lag):
            _add_shared(curvature, across, row, row + lag, shared)


@njit(cache=True, parallel=True)
def _image_curvature(corner, taps, products, whole, below, beside, curvature):
    """Set the upper triangle of ``A^T A``; ``corner`` holds the last samples, the last first."""
    for lag in prange(taps[0]):
        _set_lag(corner, taps, products, whole, below, beside, curvature, np.int64(lag))


@njit(cache=True)
def _mirror(curvature, taps):
    """Copy the upper triangle into the lower one, in tiles that stay in the cache."""
    for top in range(0, taps, _TILE):
        for first in range(top, taps, _TILE):
            for row in range(top, min(top + _TILE, taps)):
                for column in range(max(first, row + 1), min(first + _TILE, taps)):
                    curvature[column, row] = curvature[row, column]


def as_image(array):
    """A series is an image of one row."""
    return plain(array).reshape(-1, array.shape[-1])


def _cut(shape, taps, itemsize):
    """(Rows, columns) of samples that are worked on together, and parts that threads share."""
    rows, columns = shape
    most = (_SERIES_RUN if rows == 1 else _IMAGE_RUN) // itemsize
    stripe, run = min(rows, _STRIPE), -(-columns // -(-columns // most))
    blocks = -(-rows // stripe) * -(-columns // run)
    parts = 3 * prod(shape) * prod(taps) // _SMALLEST_PARTITION
    return (stripe, run), max(min(parts, _MOST_PARTITIONS, blocks), 1)


def lagged_products(signal, targets, taps):
    """Sum products of all lags of the taps: ``A^T y``, and those of the signal with itself.

    Returns
    -------
    pull : ndarray, shape ``taps``
    products : ndarray, shape (height, 2 width - 1)
        Lags along rows from ``1 - width`` on; of the later sample only those count that all
        taps see, ``1 - taps`` from the end.
    """
    (stripe, run), parts = _cut(signal.shape, taps, signal.itemsize)
    pulls = np.zeros((parts, *taps), signal.dtype)
    products = np.zeros((parts, taps[0], 2 * taps[1] - 1), signal.dtype)
    lags = _lagged_products if parts == 1 else _lagged_products_shared
    lags(signal, targets, taps, stripe, run, pulls, products)
    return pulls[0], products[0]


def _set_edges(lines, kept, before, ahead, nearest, sums):
    """Set ``sums[t, u, lag]``: products of line t, as far as it is kept, with an earlier line u.

    Lines are numbered from the last one on; lags run from ``-ahead`` to ``before``. Line u is at
    least t, if ``nearest``, and at most ``len(sums)`` later.
    """
    lanes = lanes_of(sums.dtype)
    pitch = _padded(lines.shape[1], lanes)
    wide = pitch + before + ahead
    left = np.empty((len(sums) + 1) * pitch, sums.dtype)
    right = np.zeros(1 + sums.shape[1] * wide, sums.dtype)
    _copy_edges(lines, kept, before, left, right, pitch, wide, sums)
    _add_edge_pairs(left, right, pitch, wide, 1 + before + ahead, nearest, sums)


def gram_matrix(signal, taps, products, *, whole=False):
    """``A^T A`` from the `lagged_products`, padded with zeros to whole vectors."""
    (height, across), size = taps, prod(taps)
    # An odd number of vectors a row: columns do not fall into few sets of the cache.
    lanes = lanes_of(signal.dtype)
    pitch = _padded(size + lanes, 2 * lanes) - lanes
    curvature = np.zeros((_padded(size, JOINT_ROWS), pitch), signal.dtype)
    if signal.shape[0] == 1:
        _series_curvature(signal[0], products[0, across - 1 :], whole, curvature)
    else:
        below = np.zeros((height - 1, 2 * height - 2, 2 * across - 1), signal.dtype)
        beside = np.zeros((across - 1, 2 * across - 2, height), signal.dtype)
        kept = [n - k + 1 for n, k in zip(signal.shape, taps)]
        if height > 1:
            _set_edges(signal[::-1], kept[1], across - 1, across - 1, True, below)
        if across > 1:
            _set_edges(signal.T[::-1], kept[0], height - 1, 0, False, beside)
        corner = np.zeros((2 * height, 4 * across), signal.dtype)
        last = signal[::-1, ::-1][: 2 * height, : 3 * across]
        corner[: last.shape[0], across : across + last.shape[1]] = last
        _image_curvature(corner.ravel(), taps, products, whole, below, beside, curvature)
    _mirror(curvature, size)
    return curvature


def _padded(size, multiple):
    return -(-size // multiple) * multiple


def gram_workspace(shape, taps, itemsize):
    """Bytes of what `gram_matrix` and `descend` allocate: k^2 numbers, lines at two borders."""
    (rows, columns), (height, across), size = shape, taps, prod(taps)
    numbers = size * (size + 5)
    if rows > 1:
        numbers += 2 * (height - 1) ** 2 * (2 * across - 1) + 2 * (across - 1) ** 2 * height
        numbers += max(3 * height * (columns + across), 3 * across * (rows + height))
    return numbers * itemsize


def _workspace(signal, targets, *, taps, **_):
    """`gram_workspace`, a set of products a part, and for each thread the samples of a block."""
    shape, sides = (1, *signal.shape)[-2:], (1, *taps)[-2:]
    (stripe, run), parts = _cut(shape, sides, signal.itemsize)
    products = parts * 3 * prod(sides)
    block = 2 * (stripe + 1) * run + (stripe + sides[0]) * (run + 2 * sides[1])
    block *= min(parts, numba.get_num_threads())
    return gram_workspace(shape, sides, signal.itemsize) + (products + block) * signal.itemsize


@kernel("fit_filter", family="numba", algorithm="gram", workspace=_workspace)
def numba_gram(signal, targets, *, taps, iterations, step, l2, l1, weights):
    """``A^T A`` and ``A^T y`` once, from lagged products in register tiles; then steps of k x k.

    A maps a filter to the first outputs of its convolution with the signal. All of ``A^T A``
    follows from the products of the signal with itself, one sum for each lag, and from its last
    samples: entries of one lag differ by those alone, and are had from each other by additions,
    so that nothing cancels and the border is exact (the covariance method of linear prediction;
    Makhoul, 1975). 4 n k flops for a series, as much as one step of the
    definition, and 6 n k for an image, which has lags of both signs; 2 k^2 a step.

    Six lags times two left sides, targets and samples or two rows of samples, are 12 sums of a
    vector each, in the registers over a whole block: a load of samples serves two multiply-adds,
    where two can be loaded and two be added in a cycle. 16 registers hold that; 32 hold eight
    lags, of which 16 taps leave no tile in part empty. Signal and targets are read once, in blocks
    that stay in L1 whose number the sizes decide: results do not depend on the number of threads.
    While one is summed, the samples of the next come into L2.
    k^2 numbers are held. It is another algorithm than the definition's: the condition number is
    squared. For filters of up to some hundred taps, and from two iterations on; beyond, an FFT
    needs less.
    """
    sides = (1, *taps)[-2:]
    signal, targets = as_image(signal), as_image(targets)
    pull, products = lagged_products(signal, targets, sides)
    curvature = gram_matrix(signal, sides, products)
    return descend(curvature, pull, weights, iterations, step, l2, l1)
