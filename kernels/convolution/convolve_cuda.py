"""Convolution on the GPU with Numba: each thread sums one output, from global or shared memory."""

from math import prod

import numpy as np

from convgrad.kernels.convolution.geometry import convolve_window, layout, window_shape
from convgrad.kernels.cuda import cuda, device_kernel
from convgrad.kernels.registry import kernel

_THREADS = 256
_LINE, _SQUARE = (1, 256), (16, 16)
"""(rows, columns) of a block's outputs, and of the taps it takes at a time: series, images."""
_MOST_SEEN = 31 * 31
"""Samples that the outputs of such a block see through as many taps: 1 x 511 or 31 x 31."""


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


@device_kernel("T[:,:,::1], T[:,:,::1], int64, int64, int64, T[:,:,::1]")
def _tiled(signal, taps, start_plane, start_row, start_column, result):
    planes, rows, columns = signal.shape
    tap_planes, tap_rows, tap_columns = taps.shape
    seen = cuda.shared.array(_MOST_SEEN, signal.dtype)
    some_taps = cuda.shared.array(_THREADS, signal.dtype)
    high, wide = cuda.blockDim.y, cuda.blockDim.x
    pitch = 2 * wide - 1
    y, x = cuda.threadIdx.y, cuda.threadIdx.x
    # Blocks are numbered along one axis: the others of a grid end at 65535.
    across = (result.shape[2] + wide - 1) // wide
    down = (result.shape[1] + high - 1) // high
    plane = cuda.blockIdx.x // (across * down)
    row = cuda.blockIdx.x // across % down * high + y
    column = cuda.blockIdx.x % across * wide + x
    p, r, c = start_plane + plane, start_row + row, start_column + column
    total = signal.dtype.type(0)
    for i in range(tap_planes):
        if p - i < 0 or p - i >= planes:  # The same for all threads of a block.
            continue
        for first_row in range(0, tap_rows, high):
            for first_column in range(0, tap_columns, wide):
                cuda.syncthreads()
                if first_row + y < tap_rows and first_column + x < tap_columns:
                    some_taps[y * wide + x] = taps[i, first_row + y, first_column + x]
                # Row 0, column 0 of what is seen belongs to the first output and the last tap.
                top, left = r - y - first_row - high + 1, c - x - first_column - wide + 1
                for j in range(y, 2 * high - 1, high):
                    for k in range(x, pitch, wide):
                        if top + j >= 0 and top + j < rows and left + k >= 0 and left + k < columns:
                            seen[j * pitch + k] = signal[p - i, top + j, left + k]
                cuda.syncthreads()
                for j in range(high):
                    at = r - first_row - j
                    if at < 0 or at >= rows or first_row + j >= tap_rows:
                        continue
                    for k in range(wide):
                        at = c - first_column - k
                        if at >= 0 and at < columns and first_column + k < tap_columns:
                            total += (
                                seen[(y + high - 1 - j) * pitch + x + wide - 1 - k]
                                * some_taps[j * wide + k]
                            )
    if row < result.shape[1] and column < result.shape[2]:
        result[plane, row, column] = total


def _run(launch, signal, taps, mode):
    """Upload volumes, launch on them, download the result."""
    shape, sides, start = layout(signal.shape, taps.shape, mode)
    result = cuda.device_array(sides[2], signal.dtype)
    operands = (np.ascontiguousarray(a).reshape(n) for a, n in zip((signal, taps), sides))
    launch(*map(cuda.to_device, operands), *start, result)
    return result.copy_to_host().reshape(shape)


def _workspace(signal, taps, *, mode):
    """Both operands and the result on the device."""
    outputs = prod(window_shape(convolve_window(signal.shape, taps.shape, mode)))
    return (signal.size + taps.size + outputs) * signal.itemsize


@kernel("convolve", family="cuda", device="cuda", workspace=_workspace)
def cuda_direct(signal, taps, *, mode):
    """One thread an output, all operands read from global memory.

    2 n k flops, two loads each, which the caches serve where neighbours share them. 1-D to 3-D.
    """

    def launch(*arrays):
        blocks = (arrays[-1].size + _THREADS - 1) // _THREADS
        _direct[blocks, _THREADS](*arrays)

    return _run(launch, signal, taps, mode)


@kernel("convolve", family="cuda", device="cuda", workspace=_workspace)
def cuda_tiled(signal, taps, *, mode):
    """One thread an output; a block keeps the taps and the samples it sees in shared memory.

    2 n k flops. Blocks are 256 outputs of a series or 16 x 16 of an image or a plane, and go
    through as many taps at a time, so that filters may have any size: a sample is read from
    global memory once for 64 to 128 multiplications. 1-D to 3-D.
    """

    def launch(*arrays):
        result = arrays[-1]
        high, wide = _LINE if result.shape[1] == 1 else _SQUARE
        planes, rows, columns = result.shape
        blocks = planes * ((rows + high - 1) // high) * ((columns + wide - 1) // wide)
        _tiled[blocks, (wide, high)](*arrays)

    return _run(launch, signal, taps, mode)
