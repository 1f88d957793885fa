"""`dense_pruned` by libraries: BLAS, zeros and all, and SciPy's sparse matrices."""

import numpy as np
from scipy.sparse import csr_array, issparse

from convgrad.kernels.registry import kernel


def _keep_zeros(weights):
    weights = weights.toarray() if issparse(weights) else weights
    return lambda inputs, out=None: np.matmul(inputs, weights.T, out=out)


@kernel("dense_pruned", family="gemm", prepare=_keep_zeros)
def numpy_zeros(inputs, weights, *, out=None):
    """One product by BLAS that multiplies the zeros too.

    As many flops and bytes as if nothing had been pruned: what a sparse format has to beat.
    """
    return np.matmul(inputs, weights.T, out=out)


def _keep(weights):
    matrix = csr_array(weights)

    def call(inputs, out=None):
        result = (matrix @ np.ascontiguousarray(inputs.T)).T
        if out is None:
            return np.ascontiguousarray(result)
        out[...] = result
        return out

    return call


def _workspace(inputs, weights):
    """A value and a place of each weight, if none is zero; inputs and result turned round."""
    turned = inputs.size + len(inputs) * len(weights)
    return weights.size * (weights.itemsize + 4) + turned * inputs.itemsize


@kernel("dense_pruned", family="scipy", workspace=_workspace, prepare=_keep)
def scipy_csr(inputs, weights, *, out=None):
    """SciPy's compressed sparse rows times the inputs turned round, on one thread.

    2 flops a weight that is left and row of inputs; 8 bytes each in float32, value and column.
    Not prepared, finding the weights that are left takes longer than the product.
    """
    return _keep(weights)(inputs, out)
