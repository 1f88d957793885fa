"""`locally_connected` and its gradients as loops over outputs, channels and taps."""

import numpy as np
from numba import njit

from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain


def _correlate(images, filters, result, top, left):
    height, width = images.shape[2:]
    rows, columns, count, channels, filter_height, filter_width = filters.shape
    for image in range(images.shape[0]):
        for output in range(count):
            for row in range(rows):
                for column in range(columns):
                    total = result.dtype.type(0)
                    for channel in range(channels):
                        for i in range(filter_height):
                            y = row + i - top
                            for j in range(filter_width):
                                x = column + j - left
                                if 0 <= y < height and 0 <= x < width:
                                    weight = filters[row, column, output, channel, i, j]
                                    total += images[image, channel, y, x] * weight
                    result[image, output, row, column] = total


@njit(cache=True)
def _filter_gradient(images, gradient, result, top, left):
    height, width = images.shape[2:]
    rows, columns, count, channels, filter_height, filter_width = result.shape
    for row in range(rows):
        for column in range(columns):
            for output in range(count):
                for channel in range(channels):
                    for i in range(filter_height):
                        y = row + i - top
                        for j in range(filter_width):
                            x = column + j - left
                            total = result.dtype.type(0)
                            if 0 <= y < height and 0 <= x < width:
                                for image in range(images.shape[0]):
                                    pixel = images[image, channel, y, x]
                                    total += pixel * gradient[image, output, row, column]
                            result[row, column, output, channel, i, j] = total


@njit(cache=True)
def _input_gradient(gradient, filters, result, top, left):
    height, width = result.shape[2:]
    rows, columns, count, channels, filter_height, filter_width = filters.shape
    result[:] = 0
    for image in range(gradient.shape[0]):
        for row in range(rows):
            for column in range(columns):
                for output in range(count):
                    slope = gradient[image, output, row, column]
                    for channel in range(channels):
                        for i in range(filter_height):
                            y = row + i - top
                            for j in range(filter_width):
                                x = column + j - left
                                if 0 <= y < height and 0 <= x < width:
                                    weight = filters[row, column, output, channel, i, j]
                                    result[image, channel, y, x] += slope * weight


_correlate_compiled = njit(cache=True)(_correlate)


def _run(function, first, second, shape, padding, out):
    (top, _), (left, _) = padding
    if out is None:
        out = np.empty(shape, first.dtype)
    function(first, second, out, top, left)
    return out


@kernel("locally_connected", family="naive")
def python_loops(images, filters, *, padding, out=None):
    """The definition in pure Python, output by output: for tiny sizes."""
    shape = len(images), filters.shape[2], *filters.shape[:2]
    return _run(_correlate, images, filters, shape, padding, out)


@kernel("locally_connected", family="naive")
def numba_loops(images, filters, *, padding, out=None):
    """The very source of ``python_loops``, compiled by Numba; one thread."""
    shape = len(images), filters.shape[2], *filters.shape[:2]
    return _run(_correlate_compiled, plain(images), plain(filters), shape, padding, out)


@kernel("locally_connected_filter_gradient", family="naive", name="numba_loops")
def filter_gradient_loops(images, output_gradient, *, filter_size, padding, out=None):
    """The definition, weight by weight: a sum over images; compiled, one thread."""
    images, output_gradient = plain(images), plain(output_gradient)
    count, *sides = output_gradient.shape[1:]
    shape = *sides, count, images.shape[1], *filter_size
    return _run(_filter_gradient, images, output_gradient, shape, padding, out)


@kernel("locally_connected_input_gradient", family="naive", name="numba_loops")
def input_gradient_loops(output_gradient, filters, *, image_size, padding, out=None):
    """Every output hands its gradient back to the pixels it saw; compiled, one thread."""
    output_gradient, filters = plain(output_gradient), plain(filters)
    shape = len(output_gradient), filters.shape[3], *image_size
    return _run(_input_gradient, output_gradient, filters, shape, padding, out)
