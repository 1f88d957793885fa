"""Descent on the normal equations: steps of k x k that never see the signal."""

import numpy as np
from numba import njit, prange

from convgrad.kernels.vector import add_outer, load_tile, store, totals, width, zero_tile

JOINT_ROWS = 8
"""Rows of the matrix that are taken together: it is padded with zeros to whole ones."""
_SMALLEST_PARTITION = 1 << 19
"""Products, about 10 us of work: less is not worth waking a thread."""
_MOST_PARTITIONS = 64


@njit(cache=True)
def _step(curvature, pull, weights, step, l2, threshold, first, last, result):
    """Set rows ``first`` to ``last`` of the weights after a step, eight rows jointly."""
    lanes = width(weights)
    pitch = curvature.shape[1]
    slope = np.empty(JOINT_ROWS, weights.dtype)
    for row in range(first, last, JOINT_ROWS):
        tile = zero_tile(weights, lanes, JOINT_ROWS)
        for i in range(0, pitch, lanes):
            rows = load_tile(curvature, row * pitch + i, pitch, lanes, JOINT_ROWS)
            tile = add_outer(tile, rows, load_tile(weights, i, 0, lanes, 1))
        store(slope, 0, totals(tile))
        for i in range(min(JOINT_ROWS, pull.size - row)):
            weight = weights[row + i]
            weight -= step * (slope[i] - pull[row + i] + l2 * weight)
            if abs(weight) <= threshold:
                result[row + i] = 0
            elif weight > 0:
                result[row + i] = weight - threshold
            else:
                result[row + i] = weight + threshold


@njit(cache=True)
def _descend(curvature, pull, weights, iterations, step, l2, threshold):
    """Take the steps; both rows of ``weights`` are padded with zeros."""
    for number in range(iterations):
        here, there = weights[number % 2], weights[1 - number % 2]
        _step(curvature, pull, here, step, l2, threshold, 0, pull.size, there)


@njit(cache=True, parallel=True)
def _descend_shared(curvature, pull, weights, iterations, step, l2, threshold, parts):
    joint = len(curvature) // JOINT_ROWS
    for number in range(iterations):
        here, there = weights[number % 2], weights[1 - number % 2]
        for part in prange(parts):
            first = part * joint // parts * JOINT_ROWS
            last = (part + 1) * joint // parts * JOINT_ROWS
            _step(curvature, pull, here, step, l2, threshold, first, last, there)


def descend(curvature, pull, weights, iterations, step, l2, l1):
    """Take the steps on ``A^T A`` and ``A^T y``; return the weights."""
    dtype = weights.dtype
    both = np.zeros((2, curvature.shape[1]), dtype)
    both[0, : weights.size] = weights.ravel()
    factors = [dtype.type(factor) for factor in (step, l2, step * l1)]
    parts = min(curvature.size // _SMALLEST_PARTITION, _MOST_PARTITIONS)
    if parts < 2:
        _descend(curvature, pull.ravel(), both, iterations, *factors)
    else:
        _descend_shared(curvature, pull.ravel(), both, iterations, *factors, parts)
    return both[iterations % 2, : weights.size].reshape(weights.shape).copy()
