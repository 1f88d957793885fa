"""Filter fit with Numba: residual and gradient of a run of outputs while both are in cache."""

from math import prod

import numpy as np
from numba import njit, prange

from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

_RUN = 1024
"""Outputs of one row that are worked on together: their residuals stay in the L1 cache."""
_JOINT_TAPS = 4
_SMALLEST_PARTITION = 1 << 17
"""Multiplications of one pass, about 10 us of work: less is not worth waking a thread."""
_MOST_PARTITIONS = 128
_FASTMATH = {"reassoc", "contract", "nsz"}


@njit(cache=True)
def _seen(padded, sides, tap, row, column, length):
    """View of the samples that one tap, numbered row by row, multiplies in a run of outputs."""
    first = column + sides[1] - 1 - tap % sides[1]
    return padded[row + sides[0] - 1 - tap // sides[1], first : first + length]


@njit(cache=True, fastmath=_FASTMATH)
def _run_gradient(padded, target, weights, sides, row, column, residual, gradient):
    """Add to ``gradient`` what a run of outputs contributes, its residuals formed on the way.

    Four taps go together: they share each load and store of the residuals.
    """
    length, taps = len(residual), len(weights)
    joint = taps - taps % _JOINT_TAPS
    for i in range(length):
        residual[i] = -target[i]
    for tap in range(0, joint, _JOINT_TAPS):
        w0, w1, w2, w3 = weights[tap], weights[tap + 1], weights[tap + 2], weights[tap + 3]
        x0 = _seen(padded, sides, tap, row, column, length)
        x1 = _seen(padded, sides, tap + 1, row, column, length)
        x2 = _seen(padded, sides, tap + 2, row, column, length)
        x3 = _seen(padded, sides, tap + 3, row, column, length)
        for i in range(length):
            residual[i] += (w0 * x0[i] + w1 * x1[i]) + (w2 * x2[i] + w3 * x3[i])
    for tap in range(joint, taps):
        w0 = weights[tap]
        x0 = _seen(padded, sides, tap, row, column, length)
        for i in range(length):
            residual[i] += w0 * x0[i]
    zero = weights.dtype.type(0)
    for tap in range(0, joint, _JOINT_TAPS):
        sum0, sum1, sum2, sum3 = zero, zero, zero, zero
        x0 = _seen(padded, sides, tap, row, column, length)
        x1 = _seen(padded, sides, tap + 1, row, column, length)
        x2 = _seen(padded, sides, tap + 2, row, column, length)
        x3 = _seen(padded, sides, tap + 3, row, column, length)
        for i in range(length):
            sum0 += residual[i] * x0[i]
            sum1 += residual[i] * x1[i]
            sum2 += residual[i] * x2[i]
            sum3 += residual[i] * x3[i]
        gradient[tap] += sum0
        gradient[tap + 1] += sum1
        gradient[tap + 2] += sum2
        gradient[tap + 3] += sum3
    for tap in range(joint, taps):
        total = zero
        x0 = _seen(padded, sides, tap, row, column, length)
        for i in range(length):
            total += residual[i] * x0[i]
        gradient[tap] += total


@njit(cache=True)
def _gradient(padded, targets, weights, sides, part, parts, gradient):
    """Set ``gradient`` to that of one part of the outputs, run by run."""
    rows, columns = targets.shape
    gradient[:] = 0
    residual = np.empty(_RUN, padded.dtype)
    across = (columns + _RUN - 1) // _RUN
    runs = rows * across
    for run in range(part * runs // parts, (part + 1) * runs // parts):
        row, column = run // across, run % across * _RUN
        target = targets[row, column : column + _RUN]
        _run_gradient(
            padded, target, weights, sides, row, column, residual[: len(target)], gradient
        )


@njit(cache=True)
def _step(weights, gradients, step, l2, threshold):
    """Sum the partitions' gradients in order, and take a step with soft thresholding."""
    for partition in range(1, len(gradients)):
        for tap in range(gradients.shape[1]):
            gradients[0, tap] += gradients[partition, tap]
    for tap in range(len(weights)):
        weight = weights[tap]
        weight -= step * (gradients[0, tap] + l2 * weight)
        if abs(weight) <= threshold:
            weights[tap] = 0
        elif weight > 0:
            weights[tap] = weight - threshold
        else:
            weights[tap] = weight + threshold


@njit(cache=True, parallel=True)
def _descend(padded, targets, weights, sides, gradients, iterations, step, l2, threshold):
    parts = len(gradients)
    for _ in range(iterations):
        if parts == 1:
            first, one = np.int64(0), np.int64(1)
            _gradient(padded, targets, weights, sides, first, one, gradients[0])
        else:
            for part in prange(parts):
                number = np.int64(part)
                _gradient(padded, targets, weights, sides, number, parts, gradients[part])
        _step(weights, gradients, step, l2, threshold)


def _partitions(shape, taps):
    """Parts of the outputs: decided by the sizes alone, so that no result depends on threads."""
    runs = prod(shape[:-1]) * -(-shape[-1] // _RUN)
    work = prod(shape) * prod(taps)
    return max(min(work // _SMALLEST_PARTITION, _MOST_PARTITIONS, runs), 1)


def _workspace(signal, targets, *, taps, **_):
    """Padded signal, and for each partition a gradient and the residuals of a run."""
    padded = prod(n + k - 1 for n, k in zip(signal.shape, taps))
    partitions = _partitions(signal.shape, taps)
    return (padded + partitions * (prod(taps) + _RUN)) * signal.itemsize


@kernel("fit_filter", family="numba", workspace=_workspace)
def numba_parallel(signal, targets, *, taps, iterations, step, l2, l1, weights):
    """Residual and gradient in one pass over the signal, run by run of 1024 outputs.

    4 n k flops a step. Zeros before the signal, written once, take the place of border checks.
    Outputs are cut into a fixed number of partitions with a gradient each, summed in order. A
    series is an image of one row. For short filters; with hundreds of taps an FFT needs less.
    """
    dtype = signal.dtype
    sides = (1, *taps)[-2:]
    image = signal.reshape(-1, signal.shape[-1])
    padded = np.zeros([n + k - 1 for n, k in zip(image.shape, sides)], dtype)
    padded[sides[0] - 1 :, sides[1] - 1 :] = image
    targets = plain(targets).reshape(image.shape)
    result = weights.copy()
    gradients = np.empty((_partitions(signal.shape, taps), result.size), dtype)
    factors = (dtype.type(factor) for factor in (step, l2, step * l1))
    _descend(padded, targets, result.ravel(), sides, gradients, iterations, *factors)
    return result
