"""Linear fit as loops over samples and features: in Python, and the same source compiled."""

import numpy as np
from numba import njit

from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain


def _descend(features, targets, weights, gradient, iterations, step, l2, threshold):
    """Take the steps in place; targets and weights have one column an output."""
    samples, size = features.shape
    for _ in range(iterations):
        gradient[:] = 0
        for i in range(samples):
            for output in range(targets.shape[1]):
                residual = -targets[i, output]
                for j in range(size):
                    residual += features[i, j] * weights[j, output]
                for j in range(size):
                    gradient[j, output] += features[i, j] * residual
        for j in range(size):
            for output in range(targets.shape[1]):
                weight = weights[j, output]
                weight -= step * (gradient[j, output] + l2 * weight)
                if abs(weight) <= threshold:
                    weights[j, output] = 0
                elif weight > 0:
                    weights[j, output] = weight - threshold
                else:
                    weights[j, output] = weight + threshold


_descend_compiled = njit(cache=True)(_descend)


def _run(descend, features, targets, iterations, step, l2, l1, weights):
    dtype = features.dtype
    columns = targets.reshape(len(targets), -1)
    result = weights.copy()
    # Scalars of the arrays' own type: a float64 step would widen the arithmetic of float32.
    factors = (dtype.type(factor) for factor in (step, l2, step * l1))
    current = result.reshape(len(result), -1)
    descend(features, columns, current, np.empty_like(current), iterations, *factors)
    return result


def _workspace(features, targets, *, weights, **_):
    return weights.nbytes


@kernel("fit_linear", family="naive", workspace=_workspace)
def python_loops(features, targets, *, iterations, step, l2, l1, weights):
    """The definition in pure Python, element by element.

    4 n d flops a step, each of them an interpreted operation of about 0.1 us: for tiny sizes,
    and to see what interpretation costs.
    """
    return _run(_descend, features, targets, iterations, step, l2, l1, weights)


@kernel("fit_linear", family="naive", workspace=_workspace)
def numba_loops(features, targets, *, iterations, step, l2, l1, weights):
    """The very source of ``python_loops``, compiled by Numba; one thread.

    Reads each sample once a step. Sums run in the order written, so that the compiler may not
    vectorise the one over features.
    """
    features = plain(features)
    targets = plain(targets)
    return _run(_descend_compiled, features, targets, iterations, step, l2, l1, weights)
