"""Convolution as loops over outputs and taps: in Python, and the same source compiled."""

import numpy as np
from numba import njit

from convgrad.kernels.convolution.geometry import layout
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain


def as_volumes(signal, taps, mode, out=None):
    """Signal, taps and result as plain volumes, the start of `Layout`, and the result as it is."""
    shape, volumes, start = layout(signal.shape, taps.shape, mode)
    if out is None:
        out = np.empty(shape, signal.dtype)
    arrays = plain(signal), plain(taps), out
    return *(array.reshape(sides) for array, sides in zip(arrays, volumes)), start, out


def loops(signal, taps, start, result):
    """Set ``result[s]`` to the full convolution at ``start + s``; all of them volumes."""
    planes, rows, columns = signal.shape
    tap_planes, tap_rows, tap_columns = taps.shape
    for plane in range(result.shape[0]):
        p = start[0] + plane
        for row in range(result.shape[1]):
            r = start[1] + row
            for column in range(result.shape[2]):
                c = start[2] + column
                total = result.dtype.type(0)
                for i in range(max(0, p - planes + 1), min(tap_planes, p + 1)):
                    for j in range(max(0, r - rows + 1), min(tap_rows, r + 1)):
                        for k in range(max(0, c - columns + 1), min(tap_columns, c + 1)):
                            total += signal[p - i, r - j, c - k] * taps[i, j, k]
                result[plane, row, column] = total


loops_compiled = njit(cache=True)(loops)


def _run(implementation, signal, taps, mode):
    signal, taps, result, start, out = as_volumes(signal, taps, mode)
    implementation(signal, taps, start, result)
    return out


@kernel("convolve", family="naive")
def python_loops(signal, taps, *, mode):
    """The definition in pure Python, product by product.

    2 n k flops, each an interpreted operation of about 0.1 us: for tiny sizes, and to see what
    interpretation costs.
    """
    return _run(loops, signal, taps, mode)


@kernel("convolve", family="naive")
def numba_loops(signal, taps, *, mode):
    """The very source of ``python_loops``, compiled by Numba; one thread.

    2 n k flops. Sums run in the order written, so that the compiler may not vectorise the one
    over taps.
    """
    return _run(loops_compiled, signal, taps, mode)
