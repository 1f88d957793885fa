"""`conv2d` and its gradients as loops over outputs, channels and taps."""

import numpy as np
from numba import njit

from convgrad.kernels.convolution.geometry import output_sides
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain


def _correlate(images, filters, result, stride, top, left, dilation):
    """Set ``result`` to the cross-correlation; the groups follow from the shapes."""
    batch, channels, height, width = images.shape
    count, per_group, filter_height, filter_width = filters.shape
    filters_per_group = count * per_group // channels
    for image in range(batch):
        for output in range(count):
            first = output // filters_per_group * per_group
            for row in range(result.shape[2]):
                for column in range(result.shape[3]):
                    total = result.dtype.type(0)
                    for channel in range(per_group):
                        for i in range(filter_height):
                            y = row * stride + i * dilation - top
                            for j in range(filter_width):
                                x = column * stride + j * dilation - left
                                if 0 <= y < height and 0 <= x < width:
                                    pixel = images[image, first + channel, y, x]
                                    total += pixel * filters[output, channel, i, j]
                    result[image, output, row, column] = total


@njit(cache=True)
def _filter_gradient(images, gradient, result, stride, top, left, dilation):
    batch, channels, height, width = images.shape
    count, per_group, filter_height, filter_width = result.shape
    filters_per_group = count * per_group // channels
    for output in range(count):
        first = output // filters_per_group * per_group
        for channel in range(per_group):
            for i in range(filter_height):
                for j in range(filter_width):
                    total = result.dtype.type(0)
                    for image in range(batch):
                        for row in range(gradient.shape[2]):
                            y = row * stride + i * dilation - top
                            for column in range(gradient.shape[3]):
                                x = column * stride + j * dilation - left
                                if 0 <= y < height and 0 <= x < width:
                                    pixel = images[image, first + channel, y, x]
                                    total += pixel * gradient[image, output, row, column]
                    result[output, channel, i, j] = total


@njit(cache=True)
def _input_gradient(gradient, filters, result, stride, top, left, dilation):
    batch, channels, height, width = result.shape
    count, per_group, filter_height, filter_width = filters.shape
    filters_per_group = count * per_group // channels
    result[:] = 0
    for image in range(batch):
        for output in range(count):
            first = output // filters_per_group * per_group
            for row in range(gradient.shape[2]):
                for column in range(gradient.shape[3]):
                    slope = gradient[image, output, row, column]
                    for channel in range(per_group):
                        for i in range(filter_height):
                            y = row * stride + i * dilation - top
                            for j in range(filter_width):
                                x = column * stride + j * dilation - left
                                if 0 <= y < height and 0 <= x < width:
                                    step = slope * filters[output, channel, i, j]
                                    result[image, first + channel, y, x] += step


_correlate_compiled = njit(cache=True)(_correlate)


def _run(correlate, images, filters, out, stride, padding, dilation):
    (top, _), (left, _) = padding
    if out is None:
        sides = output_sides(images.shape[2:], filters.shape[2:], stride, padding, dilation)
        out = np.empty((len(images), len(filters), *sides), images.dtype)
    correlate(images, filters, out, stride, top, left, dilation)
    return out


@kernel("conv2d", family="naive")
def python_loops(images, filters, *, stride, padding, dilation, groups, out=None):
    """The definition in pure Python, output by output.

    Seven nested loops, an interpreted multiply-add of about 0.5 us each: for tiny sizes, and to
    see what interpretation costs.
    """
    return _run(_correlate, images, filters, out, stride, padding, dilation)


@kernel("conv2d", family="naive")
def numba_loops(images, filters, *, stride, padding, dilation, groups, out=None):
    """The very source of ``python_loops``, compiled by Numba; one thread.

    A sum is added up in the order written, border checks included, so that the compiler may not
    vectorise it.
    """
    return _run(_correlate_compiled, plain(images), plain(filters), out, stride, padding, dilation)


@kernel("conv2d_filter_gradient", family="naive", name="numba_loops")
def filter_gradient_loops(
    images, output_gradient, *, filter_size, stride, padding, dilation, groups, out=None
):
    """The definition, tap by tap: a sum over images and outputs; compiled, one thread."""
    images, output_gradient = plain(images), plain(output_gradient)
    if out is None:
        shape = output_gradient.shape[1], images.shape[1] // groups, *filter_size
        out = np.empty(shape, images.dtype)
    (top, _), (left, _) = padding
    _filter_gradient(images, output_gradient, out, stride, top, left, dilation)
    return out


@kernel("conv2d_input_gradient", family="naive", name="numba_loops")
def input_gradient_loops(
    output_gradient, filters, *, image_size, stride, padding, dilation, groups, out=None
):
    """Every output hands its gradient back to the pixels it saw; compiled, one thread."""
    output_gradient, filters = plain(output_gradient), plain(filters)
    if out is None:
        shape = len(output_gradient), filters.shape[1] * groups, *image_size
        out = np.empty(shape, filters.dtype)
    (top, _), (left, _) = padding
    _input_gradient(output_gradient, filters, out, stride, top, left, dilation)
    return out
