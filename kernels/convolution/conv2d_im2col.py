"""`conv2d` and its gradients as matrix products over columns of pixels, by BLAS.

Chellapilla, Puri and Simard, *High performance convolutional neural networks for document
processing*, 2006. One column holds all pixels that one output sees. Columns are made for some rows
of outputs of one image at a time, so that memory stays bounded whatever the batch; one-tap filters
that see the image as it is need none.
"""

from math import prod

import numpy as np

from convgrad.kernels.convolution.conv2d_geometry import (
    inside,
    is_pointwise,
    padded_size,
)
from convgrad.kernels.convolution.geometry import output_sides, patch
from convgrad.kernels.registry import kernel

_BLOCK_BYTES = 4 << 20
"""Columns made at a time: they should still be in the cache when they are multiplied."""


def _block_rows(depth, sides, itemsize):
    """Rows of outputs whose columns, ``depth`` pixels each, go together."""
    return min(max(_BLOCK_BYTES // (depth * sides[1] * itemsize), 1), sides[0])


def _blocks(depth, sides, dtype):
    """List (first row, rows, memory for the columns, shared) of each block of outputs."""
    height, width = sides
    most = _block_rows(depth, sides, dtype.itemsize)
    memory = np.empty(depth * most * width, dtype)
    counts = {first: min(most, height - first) for first in range(0, height, most)}
    return [(first, rows, memory[: depth * rows * width]) for first, rows in counts.items()]


def _columns(images, filter_size, sides, stride, padding, dilation):
    """Make the columns of every image, block by block.

    Yields
    ------
    int
        Number of the image.
    slice
        Outputs of the block among those of the image.
    ndarray, shape (channels * taps, outputs of the block)
        Valid until the next block.
    """
    if is_pointwise(filter_size, stride, padding):
        for number, image in enumerate(images):
            yield number, slice(None), image.reshape(len(image), -1)
        return
    channels, *image_size = images.shape[1:]
    width = sides[1]
    depth = channels * prod(filter_size)
    padded = np.zeros((channels, *padded_size(image_size, padding)), images.dtype)
    centre = padded[inside(image_size, padding)]
    blocks = _blocks(depth, sides, images.dtype)
    for number, image in enumerate(images):
        centre[...] = image
        for first, rows, memory in blocks:
            columns = memory.reshape(channels, *filter_size, rows, width)
            for i, j in np.ndindex(*filter_size):
                below = padded[:, first * stride :]
                columns[:, i, j] = patch(below, (i, j), (rows, width), stride, dilation)
            outputs = slice(first * width, (first + rows) * width)
            yield number, outputs, columns.reshape(depth, -1)


def _workspace_bytes(channels, image_size, filter_size, itemsize, stride, padding, dilation):
    """One image with its zeros, and the columns of one block."""
    if is_pointwise(filter_size, stride, padding):
        return 0
    sides = output_sides(image_size, filter_size, stride, padding, dilation)
    depth = channels * prod(filter_size)
    columns = depth * _block_rows(depth, sides, itemsize) * sides[1]
    return (channels * prod(padded_size(image_size, padding)) + columns) * itemsize


def _workspace(images, filters, *, stride, padding, dilation, **_):
    layer = (images.shape[1], images.shape[2:], filters.shape[2:], images.itemsize)
    return _workspace_bytes(*layer, stride, padding, dilation)


@kernel("conv2d", family="gemm", workspace=_workspace)
def im2col(images, filters, *, stride, padding, dilation, groups, out=None):
    """Gather the pixels of every output into a column, then one matrix product per group.

    As many flops as the definition, at the speed of BLAS; every pixel is copied once per tap. For
    layers with tens of channels and more.
    """
    batch, count = len(images), len(filters)
    sides = output_sides(images.shape[2:], filters.shape[2:], stride, padding, dilation)
    weights = filters.reshape(groups, count // groups, -1)
    if out is None:
        out = np.empty((batch, count, *sides), images.dtype)
    result = out.reshape(batch, groups, count // groups, prod(sides))
    for image, outputs, columns in _columns(
        images, filters.shape[2:], sides, stride, padding, dilation
    ):
        columns = columns.reshape(groups, -1, columns.shape[1])
        np.matmul(weights, columns, out=result[image, ..., outputs])
    return out


def _filter_gradient_workspace(
    images, output_gradient, *, filter_size, stride, padding, dilation, groups
):
    channels, *image_size = images.shape[1:]
    product = output_gradient.shape[1] * channels // groups * prod(filter_size) * images.itemsize
    return product + _workspace_bytes(
        channels, image_size, filter_size, images.itemsize, stride, padding, dilation
    )


@kernel(
    "conv2d_filter_gradient", family="gemm", name="im2col", workspace=_filter_gradient_workspace
)
def filter_gradient_im2col(
    images, output_gradient, *, filter_size, stride, padding, dilation, groups
):
    """Output gradients times columns of pixels, transposed; summed over blocks and images.

    As many flops as the definition, at the speed of BLAS; every pixel is copied once per tap.
    """
    batch, count, *sides = output_gradient.shape
    gradient = output_gradient.reshape(batch, groups, count // groups, -1)
    per_group = images.shape[1] // groups
    result = np.zeros((groups, count // groups, per_group * prod(filter_size)), images.dtype)
    product = np.empty_like(result)
    for image, outputs, columns in _columns(images, filter_size, sides, stride, padding, dilation):
        columns = columns.reshape(groups, -1, columns.shape[1])
        result += np.matmul(gradient[image, ..., outputs], columns.swapaxes(1, 2), out=product)
    return result.reshape(count, per_group, *filter_size)


def _input_gradient_workspace(
    output_gradient, filters, *, image_size, stride, padding, dilation, groups
):
    channels, *filter_size = filters.shape[1:]
    return _workspace_bytes(
        channels * groups, image_size, filter_size, filters.itemsize, stride, padding, dilation
    )


@kernel("conv2d_input_gradient", family="gemm", workspace=_input_gradient_workspace)
def col2im(output_gradient, filters, *, image_size, stride, padding, dilation, groups):
    """Filters, transposed, times output gradients; the columns are added back to their pixels.

    As many flops as the definition, at the speed of BLAS; then one addition to a pixel per tap.
    """
    batch, count, *sides = output_gradient.shape
    per_group, *filter_size = filters.shape[1:]
    channels = groups * per_group
    gradient = output_gradient.reshape(batch, groups, count // groups, -1)
    weights = filters.reshape(groups, count // groups, -1).swapaxes(1, 2)
    if is_pointwise(filter_size, stride, padding):
        return np.matmul(weights, gradient).reshape(batch, channels, *image_size)
    result = np.empty((batch, channels, *image_size), filters.dtype)
    padded = np.empty((channels, *padded_size(image_size, padding)), filters.dtype)
    width = sides[1]
    blocks = _blocks(channels * prod(filter_size), sides, filters.dtype)
    for image in range(batch):
        padded[:] = 0
        for first, rows, memory in blocks:
            outputs = slice(first * width, (first + rows) * width)
            columns = memory.reshape(groups, -1, rows * width)
            np.matmul(weights, gradient[image, ..., outputs], out=columns)
            columns = columns.reshape(channels, *filter_size, rows, width)
            for i, j in np.ndindex(*filter_size):
                below = padded[:, first * stride :]
                patch(below, (i, j), (rows, width), stride, dilation)[...] += columns[:, i, j]
        result[image] = padded[inside(image_size, padding)]
    return result
