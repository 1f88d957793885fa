"""Linear fit on BLAS itself: two calls a step, each writing where its result belongs."""

import numpy as np
from scipy.linalg import get_blas_funcs

from convgrad.kernels.gradient_descent.reference import soft_threshold
from convgrad.kernels.registry import kernel


def _workspace(features, targets, *, weights, **_):
    """Residuals, and on the weights' side: gradient, its multiple, and new weights."""
    copied = 0 if features.flags.c_contiguous else features.nbytes
    return copied + targets.nbytes + 3 * weights.nbytes


@kernel("fit_linear", family="scipy", workspace=_workspace)
def scipy_gemv(features, targets, *, iterations, step, l2, l1, weights):
    """Two calls of `scipy.linalg.blas` a step: gemv for one output, gemm for several.

    ``r := X w - r`` with r holding the targets, by BLAS' beta, then ``g := X^T r``, both in
    place. The step itself stays outside: with ``w`` as the summand, BLAS may round once a sample
    at the size of the weights. 4 n d flops a step, X read twice.

    BLAS counts in Fortran order, where an array in C order is its own transpose: every operand
    is handed over as the transpose that it already is, so that nothing is copied.
    """
    features = np.require(features, requirements=("C", "A"))
    weights = weights.copy()
    residuals = np.empty(targets.shape, targets.dtype)
    gradient = np.zeros_like(weights)
    multiply = get_blas_funcs("gemm" if targets.ndim > 1 else "gemv", dtype=features.dtype)
    for _ in range(iterations):
        residuals[...] = targets
        if targets.ndim == 1:
            multiply(1, features.T, weights, -1, residuals, trans=1, overwrite_y=1)
            multiply(1, features.T, residuals, 0, gradient, overwrite_y=1)
        else:
            multiply(1, weights.T, features.T, -1, residuals.T, overwrite_c=1)
            multiply(1, residuals.T, features.T, 0, gradient.T, trans_b=1, overwrite_c=1)
        gradient += l2 * weights
        weights -= step * gradient
        if l1:
            weights = soft_threshold(weights, step * l1)
    return weights
