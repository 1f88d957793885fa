"""Sizes of a convolution layer, from the options that its kernels get."""

from math import prod

import numpy as np


def extents(filter_size, dilation):
    """(height, width) of the pixels that a filter spans."""
    return tuple((k - 1) * dilation + 1 for k in filter_size)


def padded_size(image_size, padding):
    """(height, width) of an image with its zeros."""
    return tuple(n + sum(zeros) for n, zeros in zip(image_size, padding))


def inside(image_size, padding):
    """Index of an image, (..., height, width), inside its zeros."""
    return (..., *(slice(before, before + n) for n, (before, _) in zip(image_size, padding)))


def is_pointwise(filter_size, stride, padding):
    """Whether every output sees just the pixel at its own place."""
    return prod(filter_size) == 1 and stride == 1 and not np.any(padding)


def stuff(values, step):
    """Put ``step - 1`` zeros between the values along the last two axes."""
    if step == 1:
        return values
    spread = np.zeros((*values.shape[:-2], *extents(values.shape[-2:], step)), values.dtype)
    spread[..., ::step, ::step] = values
    return spread
