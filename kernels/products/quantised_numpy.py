"""Products with quantised weights by BLAS, which knows floats only."""

import numpy as np

from convgrad.kernels.products.quantised_levels import quantise_weights
from convgrad.kernels.products.quantised_operations import dequantised, quantise_inputs
from convgrad.kernels.registry import kernel


def _workspace(inputs, weights, **_):
    """Levels, and what is made of them."""
    return 3 * weights.nbytes


def _keep_floats(weights, **options):
    kept = dequantised(weights, weights.dtype, **options)
    return lambda inputs, out=None: np.matmul(inputs, kept.T, out=out)


@kernel("dense_quantised", family="gemm", workspace=_workspace, prepare=_keep_floats)
def numpy_floats(inputs, weights, *, out=None, **options):
    """Weights turned back to floats, then one product by BLAS.

    As many flops as the definition, and as many bytes as without quantisation: also where weights
    are kept, they are floats. What `dense_quantised` has to beat; for many rows.
    """
    return _keep_floats(weights, **options)(inputs, out)


def _exact_workspace(inputs, weights, **_):
    """Levels of both, in two precisions, and the sums."""
    sums = len(inputs) * len(weights)
    return (inputs.size + weights.size) * (8 + inputs.itemsize) + 8 * sums


def _keep_doubles(weights, *, scale_per, input_scale):
    levels, scales = quantise_weights(weights, 8, scale_per)
    levels, scales = levels.astype(np.float64), scales.T

    def call(inputs, out=None):
        seen, scale = quantise_inputs(inputs, input_scale, 1)
        sums = (seen.astype(np.float64) @ levels.T).astype(inputs.dtype)
        return np.multiply(sums, scale * scales, out=out)

    return call


@kernel(
    "dense_int8",
    family="gemm",
    algorithm="int8",
    workspace=_exact_workspace,
    prepare=_keep_doubles,
)
def numpy_doubles(inputs, weights, *, out=None, **options):
    """Levels as float64, one product by BLAS: sums of such integers are exact below 2^53.

    NumPy has no BLAS for integers, and float32 is exact for sums up to 2^24 alone, some thousand
    products. As many flops as the definition; 8 bytes a weight. For many rows.
    """
    return _keep_doubles(weights, **options)(inputs, out)
