"""Filter fit as loops over outputs and taps, compiled."""

import numpy as np
from numba import njit

from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain


@njit(cache=True)
def _descend(signal, targets, weights, gradient, iterations, step, l2, threshold):
    """Take the steps in place, on images."""
    rows, columns = signal.shape
    height, width = weights.shape
    for _ in range(iterations):
        gradient[:] = 0
        for row in range(rows):
            for column in range(columns):
                residual = -targets[row, column]
                for i in range(min(height, row + 1)):
                    for j in range(min(width, column + 1)):
                        residual += weights[i, j] * signal[row - i, column - j]
                for i in range(min(height, row + 1)):
                    for j in range(min(width, column + 1)):
                        gradient[i, j] += residual * signal[row - i, column - j]
        for i in range(height):
            for j in range(width):
                weight = weights[i, j]
                weight -= step * (gradient[i, j] + l2 * weight)
                if abs(weight) <= threshold:
                    weights[i, j] = 0
                elif weight > 0:
                    weights[i, j] = weight - threshold
                else:
                    weights[i, j] = weight + threshold


def _workspace(signal, targets, *, weights, **_):
    return weights.nbytes


@kernel("fit_filter", family="naive", workspace=_workspace)
def numba_loops(signal, targets, *, taps, iterations, step, l2, l1, weights):
    """The definition, output by output and tap by tap; one thread. A series is one row.

    4 n k flops a step. Only taps that see a sample are visited, and sums run in the order
    written, so that the compiler may not vectorise them.
    """
    signal, targets = (plain(array).reshape(-1, array.shape[-1]) for array in (signal, targets))
    result = weights.copy()
    image = result.reshape(-1, taps[-1])
    factors = (signal.dtype.type(factor) for factor in (step, l2, step * l1))
    _descend(signal, targets, image, np.empty_like(image), iterations, *factors)
    return result
