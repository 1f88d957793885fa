"""Convolution on the GPU with Numba: each thread sums one output, from global or shared memory."""

from math import prod
from typing import NamedTuple

import numpy as np

from convgrad.kernels.convolution.geometry import convolve_window, layout, window_shape
from convgrad.kernels.cuda import ARRAYS, cuda, device_kernel
from convgrad.kernels.registry import kernel

_THREADS = 128
_WARP = 32
_RUN_BITS = 3
_RUN = 1 << _RUN_BITS
"""Neighbouring outputs that a thread sums, and taps that it takes at once."""
_WINDOW = 2 * _RUN - 1
"""Samples that it needs for that."""
_STEP = _RUN + 1
"""Places in shared memory from one run of samples to the next: odd, so that threads that read the
same sample of their runs find it in different banks."""
_REGISTERS = 64
"""Of a thread, so that a thousand of them on a multiprocessor wait for memory together."""
_MOST_TAPS = 512
_MOST_SEEN = 31 * 120
"""Samples in shared memory, with what lies between runs and rows."""


class _Tile(NamedTuple):
    """What a block computes, and how it goes about it."""

    high: int
    """Threads along a column, each of one row of outputs."""
    wide: int
    """Threads along a row, each of a run of outputs."""
    tap_rows: int
    tap_columns: int
    """Taps that are in shared memory together."""
    pitch: int
    """Places from a row of samples to the next; rows of a warp lie in different banks."""


_LINE = _Tile(1, _THREADS, 1, _MOST_TAPS, (_THREADS + _MOST_TAPS // _RUN) * _STEP)
_SQUARE = _Tile(16, 8, 16, 32, 120)


@device_kernel("T[:,:,::1], T[:,:,::1], int64, int64, int64, T[:,:,::1]")
def _direct(signal, taps, start_plane, start_row, start_column, result):
    planes, rows, columns = signal.shape
    tap_planes, tap_rows, tap_columns = taps.shape
    index = cuda.grid(1)
    if index >= result.size:
        return
    plane = index // (result.shape[1] * result.shape[2])
    row = index // result.shape[2] % result.shape[1]
    column = index % result.shape[2]
    p, r, c = start_plane + plane, start_row + row, start_column + column
    total = signal.dtype.type(0)
    for i in range(tap_planes):
        if p - i < 0 or p - i >= planes:
            continue
        for j in range(tap_rows):
            if r - j < 0 or r - j >= rows:
                continue
            for k in range(tap_columns):
                if c - k >= 0 and c - k < columns:
                    total += signal[p - i, r - j, c - k] * taps[i, j, k]
    result[plane, row, column] = total


_TILED = "T[:,:,::1], T[:,:,::1], int64, int64, int64, int64, int64, int64, T[:,:,::1]"


@device_kernel(_TILED, max_registers=_REGISTERS)
def _tiled(
    signal,
    taps,
    start_plane,
    start_row,
    start_column,
    tap_rows_at_once,
    tap_columns_at_once,
    pitch,
    result,
):
    planes, rows, columns = signal.shape
    tap_planes, tap_rows, tap_columns = taps.shape
    result_planes, result_rows, result_columns = result.shape
    seen = cuda.shared.array(_MOST_SEEN, signal.dtype)
    some_taps = cuda.shared.array(_MOST_TAPS, signal.dtype)
    sums = cuda.local.array(_RUN, signal.dtype)
    window = cuda.local.array(_WINDOW, signal.dtype)
    high, wide = cuda.blockDim.y, cuda.blockDim.x
    y, x = cuda.threadIdx.y, cuda.threadIdx.x
    # To load and store, threads stand in rows as long as a warp, or as the block of a series.
    thread = y * wide + x
    across_threads = _WARP if high > 1 else wide
    lane, line = thread % across_threads, thread // across_threads
    lines = high * wide // across_threads
    # Blocks are numbered along one axis: the others of a grid end at 65535.
    across = (result_columns + wide * _RUN - 1) // (wide * _RUN)
    down = (result_rows + high - 1) // high
    plane = cuda.blockIdx.x // (across * down)
    first_row = cuda.blockIdx.x // across % down * high
    first_column = cuda.blockIdx.x % across * wide * _RUN
    for o in range(_RUN):
        sums[o] = 0

    for i in range(tap_planes):
        p = start_plane + plane - i
        if p < 0 or p >= planes:  # The same for all threads of a block.
            continue
        for first_tap_row in range(0, tap_rows, tap_rows_at_once):
            tall = tap_rows - first_tap_row
            if tall > tap_rows_at_once:
                tall = tap_rows_at_once
            for first_tap in range(0, tap_columns, tap_columns_at_once):
                broad = tap_columns - first_tap
                if broad > tap_columns_at_once:
                    broad = tap_columns_at_once
                cuda.syncthreads()
                # The last tap comes first: it meets the first of the samples.
                for j in range(line, tall, lines):
                    for k in range(lane, broad, across_threads):
                        some_taps[j * tap_columns_at_once + k] = taps[
                            i, first_tap_row + tall - 1 - j, first_tap + broad - 1 - k
                        ]
                top = start_row + first_row - first_tap_row - tall + 1
                left = start_column + first_column - first_tap - broad + 1
                for j in range(line, high + tall - 1, lines):
                    row = top + j
                    exists = 0 <= row < rows
                    for k in range(lane, wide * _RUN + broad - 1, across_threads):
                        sample = signal.dtype.type(0)
                        if exists and 0 <= left + k < columns:
                            # Unsigned, an index spares the device to ask if it counts from the end.
                            sample = signal[np.uint64(p), np.uint64(row), np.uint64(left + k)]
                        seen[np.uint64(j * pitch + k + (k >> _RUN_BITS))] = sample
                cuda.syncthreads()
                for j in range(tall):
                    base = (y + j) * pitch + x * _STEP
                    for u in range(_RUN - 1):
                        window[u] = seen[np.uint64(base + u)]
                    for k in range(0, broad, _RUN):
                        at, tap = base + (k >> _RUN_BITS) * _STEP, j * tap_columns_at_once + k
                        window[_RUN - 1] = seen[np.uint64(at + _RUN - 1)]
                        for u in range(_RUN - 1):
                            window[_RUN + u] = seen[np.uint64(at + _STEP + u)]
                        if k + _RUN <= broad:
                            for u in range(_RUN):
                                for o in range(_RUN):
                                    sums[o] += window[u + o] * some_taps[np.uint64(tap + u)]
                        else:  # A tap that is not there must not meet a NaN.
                            for u in range(_RUN - 1):
                                if k + u < broad:
                                    for o in range(_RUN):
                                        sums[o] += window[u + o] * some_taps[np.uint64(tap + u)]
                        for u in range(_RUN - 1):
                            window[u] = window[_RUN + u]

    # Through shared memory, so that neighbouring threads store neighbouring outputs.
    cuda.syncthreads()
    for o in range(_RUN):
        seen[np.uint64(y * pitch + x * _STEP + o)] = sums[o]
    cuda.syncthreads()
    for j in range(line, high, lines):
        for k in range(lane, wide * _RUN, across_threads):
            row, column = first_row + j, first_column + k
            if row < result_rows and column < result_columns:
                output = seen[np.uint64(j * pitch + k + (k >> _RUN_BITS))]
                result[np.uint64(plane), np.uint64(row), np.uint64(column)] = output


def _volumes(signal, taps, mode, out):
    """Signal, taps, (plane, row, column) of the first output, and result, as volumes."""
    _, sides, start = layout(signal.shape, taps.shape, mode)
    signal, taps, result = (array.reshape(n) for array, n in zip((signal, taps, out), sides))
    return signal, taps, *start, result


def _workspace(signal, taps, *, mode):
    """Both operands and the result on the device."""
    outputs = prod(window_shape(convolve_window(signal.shape, taps.shape, mode)))
    return (signal.size + taps.size + outputs) * signal.itemsize


@kernel("convolve", family="cuda", device="cuda", arrays=ARRAYS, workspace=_workspace)
def cuda_direct(signal, taps, *, mode, out):
    """One thread an output, all operands read from global memory.

    2 n k flops, two loads each, which the caches serve where neighbours share them. 1-D to 3-D.
    """
    blocks = (out.size + _THREADS - 1) // _THREADS
    _direct[blocks, _THREADS](*_volumes(signal, taps, mode, out))
    return out


@kernel("convolve", family="cuda", device="cuda", arrays=ARRAYS, workspace=_workspace)
def cuda_tiled(signal, taps, *, mode, out):
    """Eight neighbouring outputs a thread, in registers; taps and samples from shared memory.

    2 n k flops. Blocks are 1024 outputs of a series or 16 x 64 of an image or a plane, and go
    through 512 or 16 x 32 taps at a time, so that filters may have any size. A sample that a
    thread has read serves eight outputs, and so does a tap. 1-D to 3-D.
    """
    *operands, result = _volumes(signal, taps, mode, out)
    planes, rows, columns = result.shape
    tile = _LINE if rows == 1 else _SQUARE
    blocks = planes * -(-rows // tile.high) * -(-columns // (tile.wide * _RUN))
    _tiled[blocks, (tile.wide, tile.high)](*operands, *tile[2:], result)
    return out
