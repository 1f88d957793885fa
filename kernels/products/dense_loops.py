"""`dense` as three nested loops."""

import numpy as np
from numba import njit

from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain


def _multiply(inputs, weights, result):
    for row in range(inputs.shape[0]):
        for output in range(weights.shape[0]):
            total = result.dtype.type(0)
            for feature in range(inputs.shape[1]):
                total += inputs[row, feature] * weights[output, feature]
            result[row, output] = total


_multiply_compiled = njit(cache=True)(_multiply)


def _run(multiply, inputs, weights, out):
    if out is None:
        out = np.empty((len(inputs), len(weights)), inputs.dtype)
    multiply(inputs, weights, out)
    return out


@kernel("dense", family="naive")
def python_loops(inputs, weights, *, out=None):
    """The definition in pure Python, an interpreted multiply-add of about 0.2 us each."""
    return _run(_multiply, inputs, weights, out)


@kernel("dense", family="naive")
def numba_loops(inputs, weights, *, out=None):
    """The very source of ``python_loops``, compiled by Numba; one thread.

    A sum is added up in the order written, so that the compiler may not vectorise it.
    """
    return _run(_multiply_compiled, plain(inputs), plain(weights), out)
