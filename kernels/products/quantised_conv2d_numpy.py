"""`conv2d_int8` by BLAS, which knows floats only."""

import numpy as np

from convgrad.kernels.convolution import reference
from convgrad.kernels.convolution.geometry import output_sides
from convgrad.kernels.products.quantised_conv2d_operation import quantise_filters
from convgrad.kernels.products.quantised_operations import quantise_inputs
from convgrad.kernels.registry import kernel


def _workspace(images, filters, *, stride, padding, dilation, **_):
    """Levels in two precisions, the zeros around them, pixels of a tap, and sums twice."""
    sides = output_sides(images.shape[2:], filters.shape[2:], stride, padding, dilation)
    padded = [n + sum(zeros) for n, zeros in zip(images.shape[2:], padding)]
    pixels = len(images) * images.shape[1] * (np.prod(padded) + np.prod(sides))
    sums = 2 * len(images) * len(filters) * np.prod(sides)
    levels = (images.size + filters.size) * (8 + 2 * images.itemsize)
    return int(8 * (pixels + sums) + levels)


@kernel("conv2d_int8", family="gemm", algorithm="int8", workspace=_workspace)
def numpy_doubles(images, filters, *, scale_per, input_scale, **layer):
    """Levels as float64, a product by BLAS for each tap: sums of such integers are exact.

    As many flops as the definition, at 8 bytes a number: NumPy has no BLAS for integers.
    """
    levels, scale = quantise_inputs(images, input_scale, (1, 2, 3))
    weights, scales = quantise_filters(filters, scale_per)
    geometry = layer["stride"], layer["padding"], layer["dilation"]
    sides = output_sides(images.shape[2:], filters.shape[2:], *geometry)
    pair = levels.astype(np.float64), weights.astype(np.float64)
    sums = reference.conv2d(*pair, output_size=sides, **layer).astype(images.dtype)
    return sums * (scale * scales.reshape(-1, 1, 1))
