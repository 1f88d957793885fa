"""`locally_connected` and its gradients with NumPy: a small matrix product for every output.

All of them see their pixels through a view of windows, (rows, columns, batch, channels * taps),
which is copied once; the products are BLAS's.
"""

from math import prod

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from convgrad.kernels.convolution.geometry import pad, patch
from convgrad.kernels.registry import kernel


def _windows(images, filter_size, padding):
    """Copy the pixels that each output sees: (rows, columns, batch, channels * taps)."""
    windows = sliding_window_view(pad(images, padding), filter_size, axis=(2, 3))
    windows = windows.transpose(2, 3, 0, 1, 4, 5)
    return windows.reshape(*windows.shape[:3], -1)


def _columns_bytes(batch, channels, padded, outputs, filter_size, itemsize):
    """Padded images, and a column of pixels for every output."""
    taps = prod(filter_size)
    return batch * channels * (padded + outputs * taps) * itemsize


def _padded(image_size, padding):
    return prod(n + sum(zeros) for n, zeros in zip(image_size, padding))


def _workspace(images, filters, *, padding):
    batch, channels, *image_size = images.shape
    outputs, padded = prod(filters.shape[:2]), _padded(image_size, padding)
    columns = _columns_bytes(batch, channels, padded, outputs, filters.shape[4:], images.itemsize)
    return columns + batch * filters.shape[2] * outputs * images.itemsize


@kernel("locally_connected", family="gemm", workspace=_workspace)
def numpy(images, filters, *, padding):
    """Windows times filters, output by output, by BLAS.

    As many flops as the definition; every pixel is copied once per tap. For tens of images and
    filters: products are small, and one image leaves each a product of matrix and vector.
    """
    windows = _windows(images, filters.shape[4:], padding)
    weights = filters.reshape(*filters.shape[:3], -1)
    result = np.matmul(windows, weights.swapaxes(2, 3))
    return np.ascontiguousarray(result.transpose(2, 3, 0, 1))


def _filter_gradient_workspace(images, output_gradient, *, filter_size, padding):
    batch, channels, *image_size = images.shape
    outputs, padded = prod(output_gradient.shape[2:]), _padded(image_size, padding)
    return _columns_bytes(batch, channels, padded, outputs, filter_size, images.itemsize)


@kernel(
    "locally_connected_filter_gradient",
    family="gemm",
    name="numpy",
    workspace=_filter_gradient_workspace,
)
def filter_gradient_numpy(images, output_gradient, *, filter_size, padding):
    """Output gradients times windows, summed over the batch, output by output, by BLAS."""
    windows = _windows(images, filter_size, padding)
    result = np.matmul(output_gradient.transpose(2, 3, 1, 0), windows)
    result = result.reshape(*result.shape[:3], images.shape[1], *filter_size)
    return np.ascontiguousarray(result)


def _input_gradient_workspace(output_gradient, filters, *, image_size, padding):
    outputs, padded = prod(filters.shape[:2]), _padded(image_size, padding)
    batch, channels = len(output_gradient), filters.shape[3]
    return _columns_bytes(batch, channels, padded, outputs, filters.shape[4:], filters.itemsize)


@kernel(
    "locally_connected_input_gradient",
    family="gemm",
    name="numpy",
    workspace=_input_gradient_workspace,
)
def input_gradient_numpy(output_gradient, filters, *, image_size, padding):
    """Output gradients times filters, by BLAS; the windows are added back to their pixels."""
    weights = filters.reshape(*filters.shape[:3], -1)
    windows = np.matmul(output_gradient.transpose(2, 3, 0, 1), weights)
    windows = windows.reshape(*windows.shape[:3], *filters.shape[3:]).transpose(2, 3, 0, 1, 4, 5)
    padded = pad(np.zeros((*windows.shape[:2], *image_size), filters.dtype), padding)
    for tap in np.ndindex(*filters.shape[4:]):
        pixels = patch(padded, tap, filters.shape[:2], stride=1, dilation=1)
        pixels += windows[(..., *tap)]
    (top, _), (left, _) = padding
    return np.ascontiguousarray(padded[..., top : top + image_size[0], left : left + image_size[1]])
