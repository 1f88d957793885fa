"""Direct 2-D convolution with filters of rank 1: down the columns, then along the rows."""

from math import gcd, prod

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.address import address_of, call
from convgrad.kernels.convolution.convolve_stripes import numba_stripes
from convgrad.kernels.convolution.geometry import convolve_window, window_shape
from convgrad.kernels.lines import LINE, room, zeros
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

_VECTORS = {64: 12, 32: 10, 16: 8}[vector.register_bytes()]
"""Sums of a tile, side by side or one below the other: with 4 taps and a sample they fill 16
registers. Of 32 they leave some, as tiles twice as long would be cut short by most borders."""
_BYTES = vector.datapath_bytes()
"""Bytes of a vector."""
_WIDEST = 1 << 14
"""Bytes of a row of sums at most: as many rows as a tile is high stay in the L2 cache."""
_STRIP, _NARROW, _AHEAD = 72, 1 << 12, 8
"""Rows of outputs whose samples are copied at once, bytes of a row of these at most, for a strip to
stay in the L2 cache, and how many rows ahead samples come into it."""
_WAYS, _PERIOD = 8, 1 << 12
"""Rows that are so many bytes apart share so many lines of the L1 cache."""
_SMALLEST_PART = 1 << 19
"""Multiplications, about 15 us of work: less is not worth waking a thread."""


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
def _across(sums, at, pitches, taps, result, to, rows, count):
    """Set rows of ``count`` outputs, at least a tile of them.

    Taps that lie a whole vector apart meet the same vectors of sums, up to four of them. The last
    tile of a row may overlap the one before.
    """
    lanes = vector.lanes_in(_BYTES, sums)
    unit = _VECTORS * lanes
    groups = (taps.size - 1) // (4 * lanes)
    left = taps.size - groups * 4 * lanes
    runs = (left + lanes - 1) // lanes
    more = left - (runs - 1) * lanes
    tiles = (count + unit - 1) // unit
    for number in range(rows * tiles):
        row, place = number // tiles, min(number % tiles * unit, count - unit)
        seen = at + row * pitches[0] + place
        tile = vector.zero_tile(sums, lanes, _VECTORS)
        # What is left over comes first: branches do not have to hand registers on then.
        if runs == 1:
            tile = _add_columns(tile, sums, seen, taps, 0, more, lanes, 1)
        elif runs == 2:
            tile = _add_columns(tile, sums, seen, taps, 0, more, lanes, 2)
            tile = _add_columns(tile, sums, seen, taps, more, lanes, lanes, 1)
        elif runs == 3:
            tile = _add_columns(tile, sums, seen, taps, 0, more, lanes, 3)
            tile = _add_columns(tile, sums, seen, taps, more, lanes, lanes, 2)
        else:
            tile = _add_columns(tile, sums, seen, taps, 0, more, lanes, 4)
            tile = _add_columns(tile, sums, seen, taps, more, lanes, lanes, 3)
        for group in range(groups):
            first = left + group * 4 * lanes
            tile = _add_columns(tile, sums, seen, taps, first, first + lanes, lanes, 4)
        vector.store_tile(result, to + row * pitches[1] + place, lanes, tile)


@njit(inline="always")
def _add_rows(tile, signal, at, pitch, taps, first, lanes, count):
    factors = vector.broadcast_tile(taps, first, 1, lanes, count)
    return vector.add_toeplitz(tile, signal, at + first * pitch, pitch, factors)


@njit(inline="always")
def _down_with(few, signal, at, pitch, taps, sums, to, apart, count):
    """`_down`, for a number of taps that is ``few`` more than a multiple of four."""
    lanes = vector.lanes_in(_BYTES, sums)
    for number in range((count + lanes - 1) // lanes):
        place = min(number * lanes, count - lanes)
        for i in range(_VECTORS // 2):  # two vectors a line: every other row at a time
            row = taps.size - 1 + _VECTORS + 2 * i + number % 2
            vector.prefetch(signal, at + place + row * pitch, 2)
        tile = vector.zero_tile(sums, lanes, _VECTORS)
        tile = _add_rows(tile, signal, at + place, pitch, taps, 0, lanes, few)
        for group in range((taps.size - few) // 4):
            tile = _add_rows(tile, signal, at + place, pitch, taps, few + 4 * group, lanes, 4)
        vector.store_tile(sums, to + place, apart, tile)


@njit(cache=True)
def _down(signal, at, pitch, taps, sums, to, apart, count):
    """Set ``_VECTORS`` rows of ``count`` sums, at least a vector of them.

    Four neighbouring taps share the loads of samples. The last vector may overlap the one before.
    The rows that the next tiles see first come into the cache meanwhile.
    """
    few = (taps.size - 1) % 4 + 1
    if few == 1:
        _down_with(1, signal, at, pitch, taps, sums, to, apart, count)
    elif few == 2:
        _down_with(2, signal, at, pitch, taps, sums, to, apart, count)
    elif few == 3:
        _down_with(3, signal, at, pitch, taps, sums, to, apart, count)
    else:
        _down_with(4, signal, at, pitch, taps, sums, to, apart, count)


@njit(inline="always")
def _down_tiles(vectors, signal, at, pitch, taps, first, stop, sums, to, count):
    """Set a row of sums, so many vectors at a time, with the taps ``first`` to ``stop``."""
    lanes = vector.lanes_in(_BYTES, sums)
    for number in range((count + vectors * lanes - 1) // (vectors * lanes)):
        place = min(number * vectors * lanes, count - vectors * lanes)
        tile = vector.zero_tile(sums, lanes, vectors)
        for i in range(first, stop):
            factors = vector.broadcast_tile(taps, i, 1, lanes, 1)
            tile = vector.add_toeplitz(tile, signal, at + place + i * pitch, lanes, factors)
        vector.store_tile(sums, to + place, lanes, tile)


@njit(cache=True)
def _down_row(signal, row, column, taps, sums, to, count):
    """Set one row of sums, which may see rows beyond the image."""
    (rows, columns), source = signal.shape, signal.reshape(signal.size)
    first, stop, at = max(-row, 0), min(rows - row, taps.size), row * columns + column
    if count >= _VECTORS * vector.lanes_in(_BYTES, sums):
        _down_tiles(_VECTORS, source, at, columns, taps, first, stop, sums, to, count)
    else:
        _down_tiles(1, source, at, columns, taps, first, stop, sums, to, count)


@njit(cache=True)
def _copy(source, at, pitch, target, apart, rows, count):
    """Copy rows of ``count`` samples, at least a vector of them."""
    lanes = vector.lanes_in(_BYTES, source)
    for i in range(rows):
        for number in range((count + lanes - 1) // lanes):
            place = min(number * lanes, count - lanes)
            if number % 2 == 0:
                vector.prefetch(source, at + place + (i + _AHEAD) * pitch, 2)
            seen = vector.load(source, at + i * pitch + place, lanes)
            vector.store(target, i * apart + place, seen)


@njit(inline="always")
def _box(shape, grid, part):
    """First row and the one after the last, and columns, of one part of a grid."""
    (rows, columns), (high, wide) = shape, (part // grid[1], part % grid[1])
    vertical = high * rows // grid[0], (high + 1) * rows // grid[0]
    return *vertical, wide * columns // grid[1], (wide + 1) * columns // grid[1]


@njit(cache=True)
def _convolve_part(signal, down, across, start, grid, crowded, part, result):
    """Set one part of a grid of so many by so many.

    Where rows are ``crowded`` in few sets of the L1 cache, columns go down copies of them.
    """
    (rows, columns), flat = signal.shape, signal.reshape(signal.size)
    row, bottom, begin, stop = _box(result.shape, grid, part)
    lanes, line = vector.lanes_in(_BYTES, signal), LINE // signal.itemsize
    unit, above, count = _VECTORS * lanes, down.size - 1, stop - begin
    left = begin + start[1] - across.size + 1  # first column that the outputs see
    low, high = max(left, 0), min(max(stop + start[1], lanes), columns)
    low = min(low, high - lanes)  # a vector at least
    margin = line + (left - low) % line  # Sums of the first column begin a line.
    pitch = ((margin + across.size + max(count, unit)) // line // 2 * 2 + 3) * line
    sums = zeros(_VECTORS * pitch, signal)
    wide = ((high - low) // line // 2 * 2 + 3) * line
    source, source_pitch, strip, strip_end = flat, columns, 0, 0
    if crowded:
        source, source_pitch = room((_STRIP + above) * wide, signal), wide
    short, outputs = np.empty(_VECTORS * unit, signal.dtype), result.reshape(result.size)
    # Rows of outputs from the first that sees no row above the signal to the last.
    inner = max(above - start[0], row), rows - start[0]
    while row < bottom:
        end = inner[0] if row < inner[0] else inner[1] if row < inner[1] else bottom
        end = min(end, bottom)
        whole = inner[0] <= row < inner[1] and end - inner[0] >= _VECTORS
        if whole:
            row = min(row, end - _VECTORS)  # again what the last tiles set, where they end too low
        done = min(end - row, _VECTORS)
        seen, at = row + start[0] - above, margin + low - left
        if whole:
            place = seen * columns + low
            if crowded:
                if row + done > strip_end:
                    strip, strip_end = row, min(row + _STRIP, end)
                    height = strip_end - strip + above
                    _copy(flat, place, columns, source, wide, height, high - low)
                place = (row - strip) * wide
            _down(source, place, source_pitch, down, sums, at, pitch, high - low)
        else:
            for i in range(done):
                _down_row(signal, seen + i, low, down, sums, i * pitch + at, high - low)
        to, apart = row * result.shape[1] + begin, result.shape[1]
        target, place = (outputs, to) if count >= unit else (short, 0)
        pitches = pitch, apart if count >= unit else unit
        _across(sums, margin, pitches, across, target, place, done, max(count, unit))
        for i in range(done if count < unit else 0):
            for j in range(count):
                outputs[to + i * apart + j] = short[i * unit + j]
        row += done


@njit(cache=True, parallel=True)
def _convolve_shared(convolve_part, signal, down, across, start, grid, crowded, result):
    for part in prange(grid[0] * grid[1]):
        call(convolve_part, (signal, down, across, start, grid, crowded, np.int64(part), result))


def _is_crowded(columns, rows, itemsize):
    """Whether the lines of a column of a tile, with the rows that it sees, push each other out."""
    sets = _PERIOD // gcd(columns * itemsize, _PERIOD)
    return _VECTORS + rows - 1 > _WAYS * sets


def _grid(shape, sides, itemsize, crowded, threads):
    """Parts of the rows and of the columns, and by how many threads they are shared."""
    threads = max(min(threads, prod(shape) * sum(sides) // _SMALLEST_PART), 1)
    high = min(threads, -(-shape[0] // _VECTORS))
    widest = _NARROW if crowded else _WIDEST
    wide = max(threads // high, -(-shape[1] * itemsize // widest))
    return (high, min(wide, shape[1])), threads


def _outputs(signal, taps, mode):
    return window_shape(convolve_window(signal.shape, taps.shape, mode))


def _fits(signal, taps, mode):
    """Whether the filter fits into the image, and a vector into a row of it."""
    inside = all(k <= n for n, k in zip(signal.shape, taps.shape))
    return inside and signal.shape[1] >= _BYTES // signal.itemsize


def _serves(signal, taps, *, mode):
    return None if signal.ndim == 2 else "its two passes are those of an image"


def _workspace(signal, taps, *, mode):
    """Both factors; for each thread rows of sums, and a copy of what a row sees at a border.

    Where the filter is not of rank 1, or does not fit, it is what `numba_stripes` needs.
    """
    if not _fits(signal, taps, mode):
        return numba_stripes.workspace(signal, taps, mode=mode)
    shape, threads = _outputs(signal, taps, mode), numba.get_num_threads()
    crowded = _is_crowded(signal.shape[1], len(taps), signal.itemsize)
    threads = _grid(shape, taps.shape, signal.itemsize, crowded, threads)[1]
    row = min(shape[1] * signal.itemsize, _NARROW if crowded else _WIDEST) + 256
    row += taps.shape[1] * signal.itemsize
    room = _VECTORS * (row + _VECTORS * _BYTES) + crowded * (_STRIP + len(taps)) * row
    return sum(taps.shape) * signal.itemsize + threads * room


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
    crowded = _is_crowded(signal.shape[1], len(taps), signal.itemsize)
    grid, threads = _grid(out.shape, taps.shape, out.itemsize, crowded, numba.get_num_threads())
    arguments = signal, down, across, start, grid, crowded
    if threads > 1:
        convolve_part = address_of(_convolve_part, *arguments, 0, out)
        _convolve_shared(convolve_part, *arguments, out)
        return out
    for part in range(prod(grid)):
        _convolve_part(*arguments, part, out)
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
    """Filters of rank 1 as two passes: down the columns, then along the rows of what that gives.

    Whether a filter is the product of a column and a row is found in every call, by its largest
    tap's row and column (cross approximation; Bebendorf, 2000), in a few flops a tap. It has to be
    exact to rounding, tap by tap: other filters, and those larger than the image, go to
    `numba_stripes`. Results keep the bound of the direct sum, but for underflow: a tap below the
    smallest normal number may be lost.

    2 n (height + width) flops, n outputs. Both passes are Toeplitz products of register tiles (see
    `numba_toeplitz`): 10 vectors of sums share the loads of samples with 4 taps (12 on 32
    registers), neighbours down the columns and taps a vector apart along the rows. The columns
    come first: as many rows of sums as a tile is high stay in the L2 cache, zeros left and right
    of them, so that no tile along the rows meets a border; the signal is read and the result
    written once. Rows that see a border of the image are summed one by one. Samples come into the
    cache as many rows before they are summed as are summed together. Where rows are as long as a
    power of two, their samples share few sets of the L1 cache, and are copied first. Sums run in a
    fixed order, however many threads there are. For filters from about 5 x 5. With less than two
    vectors of taps a row, a load serves one product only along the rows; images beyond the cache
    wait for the memory.
    """
    taps = plain(taps)
    return _filter(signal, taps, rank_one(taps), mode, out)
