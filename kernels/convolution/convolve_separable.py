"""Direct 2-D convolution with filters of rank 1: along the rows, then down the columns."""

from math import prod

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.address import address_of, call
from convgrad.kernels.convolution.convolve_stripes import numba_stripes
from convgrad.kernels.convolution.geometry import convolve_window, window_shape
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

_VECTORS = {64: 12, 32: 10, 16: 8}[vector.register_bytes()]
"""Sums of a tile, side by side or one below the other: with 4 taps and a sample they fill 16
registers. Of 32 they leave some, as tiles twice as long would be cut short by most borders."""
_BYTES = vector.datapath_bytes()
"""Bytes of a vector."""
_TILES = 8 * vector.register_bytes() // _BYTES
"""Tiles side by side in a block of columns: 2.5 kB a row of sums, 6 kB where registers are 64."""
_STRIP = 60 // _VECTORS * _VECTORS
"""Rows of sums after which those that are still needed move back to the top."""
_PITCH = _TILES * _VECTORS * _BYTES + 64
"""Bytes from one row of sums to the next: an odd number of cache lines, so that rows below each
other lie in different sets of the cache; known to the compiler, which needs no registers for it."""
_SMALLEST_PART = 1 << 19
"""Multiplications, about 15 us of work: less is not worth waking a thread."""
_SHARED_LINE = 1 << 13
"""Multiplications that could be done while two threads write to the same cache line of a row."""


@njit(cache=True)
def rank_one(taps):
    """Factors of a filter, flipped, if two passes with them are as good as one with the taps.

    Cross approximation (Bebendorf, 2000): the row and the column of the largest tap, the row
    divided by it, are the factors of a matrix of rank 1, with no rounding but that of their own.
    An SVD would find the same in k times as many operations. Every tap has to agree, to as many
    roundings as two passes save, and to no more than rank is told by (``max(sides) * eps``):
    the result keeps the bound of the direct sum. What has underflowed may differ by the smallest
    normal number.

    Parameters
    ----------
    taps : ndarray, shape (rows, columns)

    Returns
    -------
    found : bool
        False, too, for taps that are not finite, all zero, or in too few rows or columns.
    down, across : ndarray
        Flipped factors of the columns and of the rows; those of the rows are at most 1.
    """
    rows, columns = taps.shape
    high, wide, most = 0, 0, abs(taps[0, 0])
    for i in range(rows):
        for j in range(columns):
            if abs(taps[i, j]) > most:
                high, wide, most = i, j, abs(taps[i, j])
    down, across = np.empty(rows, taps.dtype), np.empty(columns, taps.dtype)
    eps, tiny = np.finfo(taps.dtype).eps, np.finfo(taps.dtype).tiny
    close = min(max(rows, columns), (rows * columns - rows - columns) / 2) * eps
    if close <= 0 or not most * eps >= tiny:
        return False, down, across
    found = True
    for j in range(columns):
        across[columns - 1 - j] = taps[high, j] / taps[high, wide]
    for i in range(rows):
        down[rows - 1 - i] = taps[i, wide]
        for j in range(columns):
            tap, product = taps[i, j], down[rows - 1 - i] * across[columns - 1 - j]
            found &= abs(product - tap) <= close * abs(tap) + tiny
    return found, down, across


@njit(inline="always")
def _add_columns(tile, source, at, taps, first, stop, lanes, runs):
    """Add the taps ``first`` to ``stop``, and as many in each of the next runs of ``lanes``."""
    for column in range(first, stop):
        factors = vector.broadcast_tile(taps, column, lanes, lanes, runs)
        tile = vector.add_toeplitz(tile, source, at + column, lanes, factors)
    return tile


@njit(cache=True)
def _across(source, at, ahead, taps, sums, to, tiles):
    """Set tiles of sums along a row, one behind the other.

    Taps that lie a whole vector apart meet the same vectors of samples, up to four of them. What
    lies ``ahead`` of the samples comes into the cache for later.
    """
    lanes = vector.lanes_in(_BYTES, source)
    groups = (taps.size - 1) // (4 * lanes)
    left = taps.size - groups * 4 * lanes
    runs = (left + lanes - 1) // lanes
    more = left - (runs - 1) * lanes
    for number in range(tiles):
        seen = at + number * _VECTORS * lanes
        tile = vector.zero_tile(source, lanes, _VECTORS)
        for i in range(0, _VECTORS * lanes, vector.lanes_in(64, source)):
            vector.prefetch(source, seen + ahead + i, 2)
        # What is left over comes first: branches do not have to hand registers on then.
        if runs == 1:
            tile = _add_columns(tile, source, seen, taps, 0, more, lanes, 1)
        elif runs == 2:
            tile = _add_columns(tile, source, seen, taps, 0, more, lanes, 2)
            tile = _add_columns(tile, source, seen, taps, more, lanes, lanes, 1)
        elif runs == 3:
            tile = _add_columns(tile, source, seen, taps, 0, more, lanes, 3)
            tile = _add_columns(tile, source, seen, taps, more, lanes, lanes, 2)
        else:
            tile = _add_columns(tile, source, seen, taps, 0, more, lanes, 4)
            tile = _add_columns(tile, source, seen, taps, more, lanes, lanes, 3)
        for group in range(groups):
            first = left + group * 4 * lanes
            tile = _add_columns(tile, source, seen, taps, first, first + lanes, lanes, 4)
        vector.store_tile(sums, to + number * _VECTORS * lanes, lanes, tile)


@njit(inline="always")
def _add_rows(tile, sums, at, taps, first, lanes, count):
    pitch = vector.lanes_in(_PITCH, sums)
    for i in range(count):  # rows lie too far apart for the processor to foresee the next line
        vector.prefetch(sums, at + (first + i) * pitch + vector.lanes_in(64, sums), 1)
    factors = vector.broadcast_tile(taps, first, 1, lanes, count)
    return vector.add_toeplitz(tile, sums, at + first * pitch, pitch, factors)


@njit(inline="always")
def _down_with(few, sums, at, taps, result, to, columns, count):
    """`_down`, for a number of taps that is ``few`` more than a multiple of four."""
    lanes = vector.lanes_in(_BYTES, sums)
    for number in range((count + lanes - 1) // lanes):
        place = min(number * lanes, count - lanes)
        tile = vector.zero_tile(sums, lanes, _VECTORS)
        tile = _add_rows(tile, sums, at + place, taps, 0, lanes, few)
        for group in range((taps.size - few) // 4):
            tile = _add_rows(tile, sums, at + place, taps, few + 4 * group, lanes, 4)
        vector.store_tile(result, to + place, columns, tile)


@njit(cache=True)
def _down(sums, at, taps, result, to, columns, count):
    """Set ``_VECTORS`` rows of ``count`` outputs, at least a vector of them.

    Four neighbouring taps share the loads of sums. The last vector may overlap the one before.
    """
    few = (taps.size - 1) % 4 + 1
    if few == 1:
        _down_with(1, sums, at, taps, result, to, columns, count)
    elif few == 2:
        _down_with(2, sums, at, taps, result, to, columns, count)
    elif few == 3:
        _down_with(3, sums, at, taps, result, to, columns, count)
    else:
        _down_with(4, sums, at, taps, result, to, columns, count)


@njit(cache=True)
def _copy(signal, row, first, size, copy):
    """Copy samples of a row from column ``first`` on, zeros where there are none.

    Vectors are written whole: the copy has room for one more.
    """
    lanes, columns = vector.lanes_in(_BYTES, signal), signal.shape[1]
    left, at = min(max(-first, 0), size), row * columns + first
    zeros = vector.broadcast(copy.dtype.type(0), lanes)
    for i in range(0, left, lanes):
        vector.store(copy, i, zeros)
    for i in range(left, size, lanes):
        vector.store(copy, i, vector.load_first(signal, at + i, lanes, columns - first - i))


@njit(cache=True)
def _sum_row(signal, row, left, first, last, tiles, across, copy, sums, to):
    """Set a row of sums; tiles ``first`` to ``last`` see no border, the others work on copies."""
    unit = _VECTORS * vector.lanes_in(_BYTES, signal)
    if row < 0 or row >= signal.shape[0]:
        for i in range(tiles * unit):
            sums[to + i] = 0
        first, last, tiles = 0, 0, 0
    flat = signal.reshape(signal.size)
    for side in range(3):
        begin, end = ((0, first), (first, last), (last, tiles))[side]
        if begin == end:
            continue
        source, at = flat, row * signal.shape[1] + left + begin * unit
        ahead = _VECTORS * signal.shape[1]
        if side != 1:
            source, at, ahead = copy, 0, 0
            _copy(signal, row, left + begin * unit, (end - begin) * unit + across.size - 1, copy)
        _across(source, at, ahead, across, sums, to + begin * unit, end - begin)


@njit(cache=True)
def _convolve_box(signal, down, across, start, box, result):
    """Set rows ``box[0]`` to ``box[1]`` of columns ``box[2]`` to ``box[3]``."""
    pitch, line = vector.lanes_in(_PITCH, signal), 64 // signal.itemsize
    unit, before = _VECTORS * vector.lanes_in(_BYTES, signal), down.size - 1
    left, count, columns = box[2] + start[1] - across.size + 1, box[3] - box[2], result.shape[1]
    tiles = (count + unit - 1) // unit
    first = min(max((unit - 1 - left) // unit, 0), tiles)
    last = max(min((signal.shape[1] - left - across.size + 1) // unit, tiles), first)
    room = max(first, tiles - last) * unit + across.size - 1
    copy = np.empty(room + vector.lanes_in(_BYTES, signal), signal.dtype)
    sums = np.empty((before + _STRIP) * pitch + line, signal.dtype)
    sums = sums[-(sums.ctypes.data // signal.itemsize) % line :]
    outputs = result.reshape(result.size)
    top, filled = 0, 0  # Row of sums that the outputs see first, and rows that there are.
    for row in range(box[0], box[1], _VECTORS):
        if top == _STRIP:
            for i in range(before * pitch):
                sums[i] = sums[top * pitch + i]
            top, filled = 0, before
        rows = min(box[1] - row, _VECTORS)
        while filled < top + before + rows:
            seen = row + start[0] - before + filled - top
            _sum_row(signal, seen, left, first, last, tiles, across, copy, sums, filled * pitch)
            filled += 1
        to = row * columns + box[2]
        target, at, apart = outputs, to, columns
        if rows < _VECTORS:
            target, at, apart = np.empty(_VECTORS * count, signal.dtype), 0, count
        _down(sums, top * pitch, down, target, at, apart, count)
        for i in range(rows if rows < _VECTORS else 0):
            for j in range(count):
                outputs[to + i * columns + j] = target[i * count + j]
        top += _VECTORS


@njit(cache=True)
def _convolve_part(signal, down, across, start, grid, part, result):
    """Set one part of a grid of so many by so many; borders are those of tiles."""
    lanes, (rows, columns) = vector.lanes_in(_BYTES, signal), result.shape
    strips, unit = (rows + _VECTORS - 1) // _VECTORS, _VECTORS * lanes
    tiles, (high, wide) = (columns + unit - 1) // unit, (part // grid[1], part % grid[1])
    begin = min(wide * tiles // grid[1] * unit, columns - lanes)
    end = columns
    if wide + 1 < grid[1]:  # the last part is left a vector at least
        end = min((wide + 1) * tiles // grid[1] * unit, columns - lanes)
    top = high * strips // grid[0] * _VECTORS
    bottom = min((high + 1) * strips // grid[0] * _VECTORS, rows)
    _convolve_box(signal, down, across, start, (top, bottom, begin, end), result)


@njit(cache=True, parallel=True)
def _convolve_shared(convolve_part, signal, down, across, start, grid, result):
    for part in prange(grid[0] * grid[1]):
        call(convolve_part, (signal, down, across, start, grid, np.int64(part), result))


def _grid(shape, sides, itemsize, threads):
    """Parts of the rows and of the columns, and by how many threads they are shared.

    Parts of the rows sum again what the one above has summed, those of the columns may be
    unlike, and meet in a cache line of each row: whichever loses less.
    """
    height, width = sides
    unit = _VECTORS * _BYTES // itemsize
    strips, tiles = -(-shape[0] // _VECTORS), -(-shape[1] // unit)
    threads = max(min(threads, prod(shape) * sum(sides) // _SMALLEST_PART), 1)
    again = (threads - 1) * (height - 1) * width / (shape[0] * sum(sides))
    unlike = -(-tiles // threads) * threads / tiles - 1
    shared = _SHARED_LINE * threads / (shape[1] * sum(sides))
    if threads <= strips and again <= unlike + shared:
        return (threads, -(-tiles // _TILES)), threads
    threads = min(threads, tiles)
    return (1, threads * -(-tiles // (threads * _TILES))), threads


def _outputs(signal, taps, mode):
    return window_shape(convolve_window(signal.shape, taps.shape, mode))


def _fits(signal, taps, mode):
    """Whether the filter fits into the image, and a vector into a row of outputs."""
    inside = all(k <= n for n, k in zip(signal.shape, taps.shape))
    return inside and _outputs(signal, taps, mode)[1] >= _BYTES // signal.itemsize


def _serves(signal, taps, *, mode):
    return None if signal.ndim == 2 else "its two passes are those of an image"


def _workspace(signal, taps, *, mode):
    """Both factors; for each thread rows of sums, and a copy of what a row sees at a border.

    Where the filter is not of rank 1, or does not fit, it is what `numba_stripes` needs.
    """
    if not _fits(signal, taps, mode):
        return numba_stripes.workspace(signal, taps, mode=mode)
    shape, threads = _outputs(signal, taps, mode), numba.get_num_threads()
    threads = _grid(shape, taps.shape, signal.itemsize, threads)[1]
    sums = (taps.shape[0] - 1 + _STRIP) * _PITCH + 64
    copy = (_TILES * _VECTORS + 1) * _BYTES + taps.shape[1] * signal.itemsize
    return sum(taps.shape) * signal.itemsize + threads * (sums + copy)


def _filter(signal, taps, factors, mode, out):
    """Convolve with the result of `rank_one`."""
    found, down, across = factors
    if not found or not _fits(signal, taps, mode):
        return numba_stripes.function(signal, taps, mode=mode, out=out)
    window = convolve_window(signal.shape, taps.shape, mode)
    if out is None:
        out = np.empty(window_shape(window), signal.dtype)
    signal = plain(signal)
    start = window[0].start, window[1].start
    grid, threads = _grid(out.shape, taps.shape, out.itemsize, numba.get_num_threads())
    if threads > 1:
        convolve_part = address_of(_convolve_part, signal, down, across, start, grid, 0, out)
        _convolve_shared(convolve_part, signal, down, across, start, grid, out)
        return out
    for part in range(prod(grid)):
        _convolve_part(signal, down, across, start, grid, part, out)
    return out


def _keep_factors(taps, *, mode):
    """Keep the factors of the taps."""
    taps = taps.copy()  # The compiled functions know arrays that may be written to.
    factors = rank_one(taps)

    def call(signal, out=None):
        return _filter(signal, taps, factors, mode, out)

    return call


@kernel(
    "convolve",
    family="numba",
    algorithm="separable",
    serves=_serves,
    workspace=_workspace,
    prepare=_keep_factors,
)
def separable(signal, taps, *, mode, out=None):
    """Filters of rank 1 as two passes: along the rows, then down the columns of what that gives.

    Whether a filter is the product of a column and a row is found in every call, by its largest
    tap's row and column (cross approximation; Bebendorf, 2000), in a few flops a tap. It has to be
    exact to rounding, tap by tap: other filters, and those larger than the image, go to
    `numba_stripes`. Results keep the bound of the direct sum, but for underflow: a tap below the
    smallest normal number may be lost.

    2 n (height + width) flops, n outputs. Both passes are Toeplitz products of register tiles (see
    `numba_toeplitz`): 10 vectors of sums share the loads of samples with 4 taps (12 on 32
    registers), taps a vector apart along the rows and neighbours down the columns. Rows of sums
    stay in the L2 cache, a block of columns wide and as high as the filter and a strip more: the
    signal is read and the result written once. Samples come into the cache as many rows before
    they are summed as are summed together. Tiles at a border see a copy with zeros. Sums run in a
    fixed order, however many threads there are. For filters from about 5 x 5. With less than two
    vectors of taps a row, a load serves one product only along the rows; images beyond the cache
    wait for the memory.
    """
    taps = plain(taps)
    return _filter(signal, taps, rank_one(taps), mode, out)
