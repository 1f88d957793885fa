"""Linear fit with Numba: one pass over X a step, by all threads."""

import numpy as np
from numba import njit, prange

from convgrad.kernels.registry import kernel

_JOINT_ROWS = 4
_SMALLEST_PARTITION = 1 << 16
"""Multiplications of one pass, about 10 us of work: less is not worth waking a thread."""
_MOST_PARTITIONS = 128
_FASTMATH = {"reassoc", "contract", "nsz"}


@njit(cache=True, fastmath=_FASTMATH)
def _gradient(features, targets, weights, gradient):
    """Set ``gradient`` to ``X^T (X w - y)`` of some rows; weights hold one row an output.

    Four rows go together: their dot products share each load of the weights, their
    contributions each load and store of the gradient, which finds them in the L1 cache.
    """
    samples, size = features.shape
    gradient[:] = 0
    joint = samples - samples % _JOINT_ROWS
    for i in range(0, joint, _JOINT_ROWS):
        row0, row1, row2, row3 = features[i], features[i + 1], features[i + 2], features[i + 3]
        for output in range(len(weights)):
            weight, total = weights[output], gradient[output]
            residual0, residual1 = -targets[i, output], -targets[i + 1, output]
            residual2, residual3 = -targets[i + 2, output], -targets[i + 3, output]
            for j in range(size):
                residual0 += row0[j] * weight[j]
                residual1 += row1[j] * weight[j]
                residual2 += row2[j] * weight[j]
                residual3 += row3[j] * weight[j]
            for j in range(size):
                total[j] += (row0[j] * residual0 + row1[j] * residual1) + (
                    row2[j] * residual2 + row3[j] * residual3
                )
    for i in range(joint, samples):
        row = features[i]
        for output in range(len(weights)):
            weight, total = weights[output], gradient[output]
            residual = -targets[i, output]
            for j in range(size):
                residual += row[j] * weight[j]
            for j in range(size):
                total[j] += row[j] * residual


@njit(cache=True)
def _step(weights, gradients, step, l2, threshold):
    """Sum the partitions' gradients in order, and take a step with soft thresholding."""
    for partition in range(1, len(gradients)):
        gradients[0] += gradients[partition]
    outputs, size = weights.shape
    for output in range(outputs):
        for j in range(size):
            weight = weights[output, j]
            weight -= step * (gradients[0, output, j] + l2 * weight)
            if abs(weight) <= threshold:
                weights[output, j] = 0
            elif weight > 0:
                weights[output, j] = weight - threshold
            else:
                weights[output, j] = weight + threshold


@njit(cache=True, parallel=True)
def _descend(features, targets, weights, gradients, iterations, step, l2, threshold):
    samples, partitions = len(features), len(gradients)
    for _ in range(iterations):
        if partitions == 1:
            _gradient(features, targets, weights, gradients[0])
        else:
            for partition in prange(partitions):
                first = partition * samples // partitions
                last = (partition + 1) * samples // partitions
                _gradient(features[first:last], targets[first:last], weights, gradients[partition])
        _step(weights, gradients, step, l2, threshold)


def _partitions(samples, multiplications):
    """Parts of the rows: decided by the sizes alone, so that no result depends on threads."""
    parts = min(multiplications // _SMALLEST_PARTITION, _MOST_PARTITIONS, samples // 32)
    return max(parts, 1)


def _workspace(features, targets, *, weights, **_):
    """Weights by output, and a gradient for each partition."""
    partitions = _partitions(len(features), features.size * (targets.size // len(targets)))
    return (1 + partitions) * weights.nbytes


@kernel("fit_linear", family="numba", workspace=_workspace)
def numba_fused(features, targets, *, iterations, step, l2, l1, weights):
    """Residual and gradient in one pass over X: each row is used again while it is in cache.

    4 n d flops a step, and n d elements read from memory where two products read 2 n d. Rows
    are cut into a fixed number of partitions with a gradient each, summed in order. For any
    size with few outputs; with many, a library's matrix product does more with each load.
    """
    features, targets = (
        np.require(array, requirements=("C", "A", "W")) for array in (features, targets)
    )
    dtype, samples = features.dtype, len(features)
    columns = targets.reshape(samples, -1)
    by_output = weights.reshape(len(weights), -1).T.copy()
    partitions = _partitions(samples, features.size * columns.shape[1])
    gradients = np.empty((partitions, *by_output.shape), dtype)
    factors = (dtype.type(factor) for factor in (step, l2, step * l1))
    _descend(features, columns, by_output, gradients, iterations, *factors)
    return by_output.T.copy().reshape(weights.shape)
