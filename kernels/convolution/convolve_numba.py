"""Direct convolution with Numba: tiles of outputs, runs of a row in cache, taps in eights."""

from functools import lru_cache
from math import prod

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels.convolution.convolve_loops import as_volumes, loops_compiled
from convgrad.kernels.convolution.geometry import layout
from convgrad.kernels.registry import kernel

_TILE = (4, 16, 1024)
"""Largest planes, rows and columns of outputs that are worked on together.

A run of 1024 outputs stays in the L1 cache, and what a tile of an image sees in L2. More rows
share the copying of what lies around a tile.
"""
_SMALLEST_PARTITION = 1 << 17
"""Multiplications, about 10 us of work: less is not worth waking a thread."""
_MOST_PARTITIONS = 256
_FASTMATH = {"reassoc", "contract", "nsz"}


@njit(cache=True, fastmath=_FASTMATH)
def _add_taps(run, source, weights, offsets):
    """Set a run of outputs; tap t multiplies the samples from ``source[offsets[t]]`` on.

    Eight taps go together: they share each load and store of the outputs. What is left over
    goes by four, two and one.
    """
    length, tap = len(run), 0
    for i in range(length):
        run[i] = 0
    while tap + 8 <= len(weights):
        w0, w1, w2, w3 = weights[tap], weights[tap + 1], weights[tap + 2], weights[tap + 3]
        w4, w5, w6, w7 = weights[tap + 4], weights[tap + 5], weights[tap + 6], weights[tap + 7]
        x0, x1 = source[offsets[tap] :], source[offsets[tap + 1] :]
        x2, x3 = source[offsets[tap + 2] :], source[offsets[tap + 3] :]
        x4, x5 = source[offsets[tap + 4] :], source[offsets[tap + 5] :]
        x6, x7 = source[offsets[tap + 6] :], source[offsets[tap + 7] :]
        for i in range(length):
            run[i] += ((w0 * x0[i] + w1 * x1[i]) + (w2 * x2[i] + w3 * x3[i])) + (
                (w4 * x4[i] + w5 * x5[i]) + (w6 * x6[i] + w7 * x7[i])
            )
        tap += 8
    if len(weights) & 4:
        w0, w1, w2, w3 = weights[tap], weights[tap + 1], weights[tap + 2], weights[tap + 3]
        x0, x1 = source[offsets[tap] :], source[offsets[tap + 1] :]
        x2, x3 = source[offsets[tap + 2] :], source[offsets[tap + 3] :]
        for i in range(length):
            run[i] += (w0 * x0[i] + w1 * x1[i]) + (w2 * x2[i] + w3 * x3[i])
        tap += 4
    if len(weights) & 2:
        w0, w1 = weights[tap], weights[tap + 1]
        x0, x1 = source[offsets[tap] :], source[offsets[tap + 1] :]
        for i in range(length):
            run[i] += w0 * x0[i] + w1 * x1[i]
        tap += 2
    if len(weights) & 1:
        w0, x0 = weights[tap], source[offsets[tap] :]
        for i in range(length):
            run[i] += w0 * x0[i]


@njit(cache=True)
def _copy_padded(signal, lo, shape, pitches, scratch):
    """Copy the box of ``shape`` from index ``lo`` of the signal, zeros where it sticks out."""
    planes, rows, columns = signal.shape
    left = min(max(-lo[2], 0), shape[2])
    right = max(min(columns - lo[2], shape[2]), left)
    for plane in range(shape[0]):
        for row in range(shape[1]):
            p, r = lo[0] + plane, lo[1] + row
            first = plane * pitches[0] + row * pitches[1]
            target = scratch[first : first + shape[2]]
            if p < 0 or p >= planes or r < 0 or r >= rows:
                target[:] = 0
            else:
                for column in range(left):
                    target[column] = 0
                for column in range(left, right):
                    target[column] = signal[p, r, lo[2] + column]
                for column in range(right, shape[2]):
                    target[column] = 0


@njit(cache=True)
def _offsets(shape, pitches):
    """Distances of all taps from the first, in an array of these pitches."""
    planes, rows, columns = shape
    offsets = np.empty(planes * rows * columns, np.int64)
    for tap in range(len(offsets)):
        plane, row = tap // (rows * columns), tap // columns % rows
        offsets[tap] = plane * pitches[0] + row * pitches[1] + tap % columns
    return offsets


@njit(cache=True)
def _convolve_tiles(signal, weights, taps, start, tile, first_tile, last_tile, result):
    """Set the outputs of some tiles, numbered along columns first."""
    planes, rows, columns = result.shape
    across = (columns + tile[2] - 1) // tile[2]
    down = (rows + tile[1] - 1) // tile[1]
    seen = (tile[0] + taps[0] - 1, tile[1] + taps[1] - 1, tile[2] + taps[2] - 1)
    signal_pitches = (signal.shape[1] * signal.shape[2], signal.shape[2])
    scratch_pitches = (seen[1] * seen[2], seen[2])
    signal_offsets = _offsets(taps, signal_pitches)
    scratch_offsets = _offsets(taps, scratch_pitches)
    flat = signal.reshape(signal.size)
    scratch = np.empty(0, signal.dtype)
    for number in range(first_tile, last_tile):
        p = number // (across * down) * tile[0]
        r = number // across % down * tile[1]
        c = number % across * tile[2]
        size = (min(tile[0], planes - p), min(tile[1], rows - r), min(tile[2], columns - c))
        lo = (p + start[0] - taps[0] + 1, r + start[1] - taps[1] + 1, c + start[2] - taps[2] + 1)
        box = (size[0] + taps[0] - 1, size[1] + taps[1] - 1, size[2] + taps[2] - 1)
        inside = True
        for axis in range(3):
            inside &= lo[axis] >= 0 and lo[axis] + box[axis] <= signal.shape[axis]
        if inside:
            source, offsets, pitches = flat, signal_offsets, signal_pitches
            base = lo[0] * pitches[0] + lo[1] * pitches[1] + lo[2]
        else:
            if len(scratch) == 0:
                scratch = np.empty(seen[0] * seen[1] * seen[2], signal.dtype)
            _copy_padded(signal, lo, box, scratch_pitches, scratch)
            source, offsets, pitches, base = scratch, scratch_offsets, scratch_pitches, 0
        for plane in range(size[0]):
            for row in range(size[1]):
                first = base + plane * pitches[0] + row * pitches[1]
                run = result[p + plane, r + row, c : c + size[2]]
                _add_taps(run, source[first:], weights, offsets)


@njit(cache=True, parallel=True)
def _convolve_parts(signal, weights, taps, start, tile, tiles, parts, result):
    """Set all outputs, the parts in parallel."""
    for part in prange(parts):
        first, last = np.int64(part * tiles // parts), np.int64((part + 1) * tiles // parts)
        _convolve_tiles(signal, weights, taps, start, tile, first, last, result)


@njit(cache=True)
def _convolve(signal, taps, start, tile, tiles, parts, result):
    """Set the result, unless a tap is not finite: then return False, as padding would spread it."""
    weights = taps.reshape(taps.size)[::-1].copy()
    for weight in weights:
        if not np.isfinite(weight):
            return False
    if parts == 1:
        _convolve_tiles(signal, weights, taps.shape, start, tile, np.int64(0), tiles, result)
    else:
        _convolve_parts(signal, weights, taps.shape, start, tile, tiles, parts, result)
    return True


@lru_cache(4096)
def _blocking(shape, taps_size):
    """Sides of a tile, number of tiles, and number of parts that threads share.

    All of it follows from the sizes alone, so that no result depends on threads.
    """
    counts = [-(-n // most) for n, most in zip(shape, _TILE)]
    tile = tuple(-(-n // count) for n, count in zip(shape, counts))
    tiles = prod(-(-n // side) for n, side in zip(shape, tile))
    work = prod(shape) * taps_size
    return tile, tiles, max(min(work // _SMALLEST_PARTITION, _MOST_PARTITIONS, tiles), 1)


def _workspace(signal, taps, *, mode):
    """The reversed taps, and for each thread two tables of offsets and what a tile sees."""
    *operands, shape = layout(signal.shape, taps.shape, mode).volumes
    sides = min(operands, key=prod)
    tile, _, parts = _blocking(shape, prod(sides))
    seen = 0 if mode == "valid" else prod(n + k - 1 for n, k in zip(tile, sides))
    threads = min(parts, numba.get_num_threads())
    return (prod(sides) + threads * seen) * signal.itemsize + threads * 2 * 8 * prod(sides)


@kernel("convolve", family="numba", workspace=_workspace)
def numba_parallel(signal, taps, *, mode, out=None):
    """Direct sums over tiles of outputs, a run of one row at a time, eight taps in each pass.

    2 n k flops, spread over all threads; about one load a multiplication. A tile that sees
    beyond the border works on a padded copy of what it sees, the others on the signal itself.
    The shorter operand takes the part of the taps. For up to some hundred taps in 1-D, filters
    of up to about 20 x 20 in 2-D; beyond, an FFT needs less.
    """
    signal, taps, result, start, out = as_volumes(signal, taps, mode, out)
    if taps.size > signal.size:
        signal, taps = taps, signal
    if not _convolve(signal, taps, start, *_blocking(result.shape, taps.size), result):
        loops_compiled(signal, taps, start, result)
    return out
