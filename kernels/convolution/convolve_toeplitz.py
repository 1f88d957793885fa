"""Direct 1-D convolution with Numba: tiles of outputs in registers, as Toeplitz products."""

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels.convolution.convolve_loops import as_volumes, loops_compiled
from convgrad.kernels.convolution.geometry import window_along
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain
from convgrad.kernels.vector import (
    add_toeplitz,
    broadcast_tile,
    lanes_in,
    register_bytes,
    store_tile,
    zero_tile,
)

_WIDE = register_bytes()
_NARROW = min(_WIDE, 32)
"""Bytes of a vector for many taps, and for few.

Half a register of 64 bytes sees twice as many runs of taps, so that a load of samples serves twice
as many of them, and crosses the border of a cache line half as often.
"""
_OUTPUTS = {64: 20, 32: 10, 16: 8}[_WIDE]
"""Vectors of outputs in a tile; with 4 or 8 of taps and one of samples they fill the registers."""
_SMALLEST_PART = 1 << 21
"""Bytes of products, up to 10 us of work. A thread that is awake gains from half of it on; one that
sleeps takes some 30 us to wake, whatever it is given.
"""
_STORING = 8
"""Taps that cost as much as loading and storing an output."""


@njit(cache=True, inline="always")
def _add_columns(tile, samples, seen, taps, last, first, stop, lanes, runs):
    """Add taps ``first`` to ``stop`` of each of so many runs; taps go backwards from ``last``."""
    for column in range(first, stop):
        factors = broadcast_tile(taps, last - column, -lanes, lanes, runs)
        tile = add_toeplitz(tile, samples, seen + column, lanes, factors)
    return tile


@njit(cache=True, inline="always")
def _finish(tile, samples, seen, taps, left, result, at, lanes, runs, whole_runs):
    """Add the ``left`` taps, so many runs of which the last may be cut short; store the tile."""
    last, more = left - 1, left - whole_runs * lanes
    tile = _add_columns(tile, samples, seen, taps, last, 0, more, lanes, runs)
    tile = _add_columns(tile, samples, seen, taps, last, more, lanes, lanes, whole_runs)
    store_tile(result, at, lanes, tile)


@njit(cache=True)
def _four_runs(samples, seen, taps, result, at, tiles):
    """Set tiles of outputs in a row; four runs of taps share the loads of samples."""
    lanes = lanes_in(_NARROW, samples)
    for number in range(tiles):
        tile = zero_tile(samples, lanes, _OUTPUTS)
        here = number * _OUTPUTS * lanes
        left, first, to = taps.size, seen + here, at + here
        while left > 4 * lanes:
            tile = _add_columns(tile, samples, first, taps, left - 1, 0, lanes, lanes, 4)
            left, first = left - 4 * lanes, first + 4 * lanes
        runs = (left + lanes - 1) // lanes
        if runs == 1:
            tile = _add_columns(tile, samples, first, taps, left - 1, 0, left, lanes, 1)
            store_tile(result, to, lanes, tile)
        elif runs == 2:
            _finish(tile, samples, first, taps, left, result, to, lanes, 2, 1)
        elif runs == 3:
            _finish(tile, samples, first, taps, left, result, to, lanes, 3, 2)
        elif runs == 4:
            _finish(tile, samples, first, taps, left, result, to, lanes, 4, 3)


@njit(cache=True)
def _eight_runs(samples, seen, taps, result, at, tiles):
    """Set tiles of outputs in a row; eight runs of taps share the loads of samples."""
    lanes = lanes_in(_WIDE, samples)
    for number in range(tiles):
        tile = zero_tile(samples, lanes, _OUTPUTS)
        here = number * _OUTPUTS * lanes
        left, first, to = taps.size, seen + here, at + here
        while left > 8 * lanes:
            tile = _add_columns(tile, samples, first, taps, left - 1, 0, lanes, lanes, 8)
            left, first = left - 8 * lanes, first + 8 * lanes
        runs = (left + lanes - 1) // lanes
        if runs == 1:
            tile = _add_columns(tile, samples, first, taps, left - 1, 0, left, lanes, 1)
            store_tile(result, to, lanes, tile)
        elif runs == 2:
            _finish(tile, samples, first, taps, left, result, to, lanes, 2, 1)
        elif runs == 3:
            _finish(tile, samples, first, taps, left, result, to, lanes, 3, 2)
        elif runs == 4:
            _finish(tile, samples, first, taps, left, result, to, lanes, 4, 3)
        elif runs == 5:
            _finish(tile, samples, first, taps, left, result, to, lanes, 5, 4)
        elif runs == 6:
            _finish(tile, samples, first, taps, left, result, to, lanes, 6, 5)
        elif runs == 7:
            _finish(tile, samples, first, taps, left, result, to, lanes, 7, 6)
        elif runs == 8:
            _finish(tile, samples, first, taps, left, result, to, lanes, 8, 7)


@njit(cache=True)
def _copy_padded(signal, first, scratch):
    """Copy the samples from index ``first`` on, zeros where there are none."""
    left = min(max(-first, 0), scratch.size)
    right = max(min(signal.size - first, scratch.size), left)
    for i in range(left):
        scratch[i] = 0
    for i in range(left, right):
        scratch[i] = signal[first + i]
    for i in range(right, scratch.size):
        scratch[i] = 0


@njit(cache=True, inline="always")
def _set_tiles(set_row, size, signal, taps, start, part, parts, result):
    """Set one part of all tiles and return True; with a tap that is not finite, set none.

    Tiles inside are set in one row, each that crosses a border by way of copies.
    """
    for tap in taps:
        if not np.isfinite(tap):
            return False
    length = _OUTPUTS * lanes_in(size, signal)
    tiles = (result.size + length - 1) // length
    before = start - taps.size + 1
    inside = max((length - 1 - before) // length, 0)
    outside = min(result.size, signal.size - start) // length
    scratch = np.empty(0, signal.dtype)
    tile, stop = part * tiles // parts, (part + 1) * tiles // parts
    while tile < stop:
        at, count = tile * length, 1
        direct = inside <= tile < outside
        if direct:
            count = min(outside, stop) - tile
            samples, seen, target, to = signal, at + before, result, at
        else:
            if scratch.size == 0:
                scratch = np.empty(2 * length + taps.size - 1, signal.dtype)
            _copy_padded(signal, at + before, scratch[length:])
            samples, seen, target, to = scratch, length, scratch, 0
        set_row(samples, seen, taps, target, to, count)
        if not direct:
            cut = result[at : at + length]
            for i in range(cut.size):
                cut[i] = scratch[i]
        tile += count
    return True


@njit(cache=True)
def _few_taps(signal, taps, start, part, parts, result):
    return _set_tiles(_four_runs, _NARROW, signal, taps, start, part, parts, result)


@njit(cache=True)
def _many_taps(signal, taps, start, part, parts, result):
    return _set_tiles(_eight_runs, _WIDE, signal, taps, start, part, parts, result)


@njit(cache=True, parallel=True)
def _few_taps_shared(signal, taps, start, parts, result):
    done = np.empty(parts, np.bool_)
    for part in prange(parts):
        done[part] = _few_taps(signal, taps, start, np.int64(part), parts, result)
    return done[0]


@njit(cache=True, parallel=True)
def _many_taps_shared(signal, taps, start, parts, result):
    done = np.empty(parts, np.bool_)
    for part in prange(parts):
        done[part] = _many_taps(signal, taps, start, np.int64(part), parts, result)
    return done[0]


def _few(taps_size, itemsize):
    """Whether narrow vectors serve: there are none wider, or fewer than two runs in wide ones."""
    return _NARROW == _WIDE or taps_size * itemsize < 2 * _WIDE


def _serves(signal, taps, *, mode):
    return None if signal.ndim == 1 else "its tiles are rows of samples: 1-D only"


def _workspace(signal, taps, *, mode):
    """What a tile at a border sees, and its outputs; for two threads, as there are two borders."""
    taps_size = min(signal.size, taps.size)
    vector = _NARROW if _few(taps_size, signal.itemsize) else _WIDE
    return 2 * (2 * _OUTPUTS * vector + (taps_size - 1) * signal.itemsize)


@kernel("convolve", family="numba", serves=_serves, workspace=_workspace)
def numba_toeplitz(signal, taps, *, mode, out=None):
    """Direct sums of a series, a tile of outputs in registers as a Toeplitz matrix times samples.

    2 n k flops, spread over all threads. Taps that lie a whole vector apart meet the same vectors
    of samples, one output vector later each: 20 vectors of outputs and up to 8 of such taps share
    27 loads (10 and 4 where registers are 16; after the register tile of a matrix product, Goto
    and van de Geijn, 2008). Fewer than two vectors of taps go in vectors of 32 bytes, four
    runs at a time. Signal and result are read and written once; a tile that sees or reaches beyond
    the border works on a copy. Sums run in a fixed order, with the bound of a sum of k terms. The
    shorter operand takes the part of the taps. For all sizes up to some hundred taps; beyond, an
    FFT needs less.
    """
    start, stop = window_along(signal.size, taps.size, mode)
    if out is None:
        out = np.empty(stop - start, signal.dtype)
    signal, taps = plain(signal), plain(taps)
    if taps.size > signal.size:
        signal, taps = taps, signal
    few = _few(taps.size, taps.itemsize)
    products = out.nbytes * (taps.size + _STORING)
    # A part for each thread: three parts would take two threads as long as four. Small series do
    # not even ask for their number.
    parts = products // _SMALLEST_PART
    if parts > 1 and (parts := min(parts, numba.get_num_threads())) > 1:
        convolve = _few_taps_shared if few else _many_taps_shared
        done = convolve(signal, taps, start, parts, out)
    else:
        done = (_few_taps if few else _many_taps)(signal, taps, start, 0, 1, out)
    if not done:
        *volumes, first, _ = as_volumes(signal, taps, mode, out)
        loops_compiled(*volumes[:2], first, volumes[2])
    return out
