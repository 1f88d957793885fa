"""Where outputs of a convolution lie: modes of `convolve`, padding and sizes of `conv2d`."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from convgrad.kernels.validation import integer, reject

MODES = ("full", "same", "valid")


def convolve_window(signal_shape, taps_shape, mode):
    """Locate a mode's outputs inside the full convolution.

    Parameters
    ----------
    signal_shape, taps_shape : tuple of int
        Sides; for ``valid`` no side of the taps is longer than the signal's.
    mode : {"full", "same", "valid"}

    Returns
    -------
    tuple of slice
        One per axis, into an array of sides ``signal + taps - 1``.
    """
    sides = zip(signal_shape, taps_shape, strict=True)
    return tuple(slice(*window_along(n, k, mode)) for n, k in sides)


def window_along(n, k, mode):
    """(start, stop) of `convolve_window` along one axis of n samples and k taps."""
    if mode == "full":
        return 0, n + k - 1
    if mode == "same":
        return (k - 1) // 2, (k - 1) // 2 + n
    return k - 1, n


def window_shape(window):
    """Sides of the region that `convolve_window` locates."""
    return tuple(part.stop - part.start for part in window)


class Layout(NamedTuple):
    """How a call looks as a convolution of volumes."""

    shape: tuple
    """Sides of the result."""
    volumes: tuple
    """Sides of signal, taps and result, with ones in front."""
    start: tuple
    """First output in the full convolution."""


@lru_cache(4096)
def layout(signal, taps, mode):
    """`Layout` for sides of signal and taps; kept, as it takes as long as a small convolution."""
    window = convolve_window(signal, taps, mode)
    shape = window_shape(window)
    ones = (1,) * (3 - len(signal))
    start = (0,) * len(ones) + tuple(part.start for part in window)
    return Layout(shape, (ones + signal, ones + taps, ones + shape), start)


def output_size(size, taps, before, after, stride, dilation):
    """Count the outputs along one axis: ``(size + padding - extent) // stride + 1``."""
    return (size + before + after - (taps - 1) * dilation - 1) // stride + 1


def output_sides(image_size, filter_size, stride, padding, dilation):
    """(height, width) of the output, for padding as `resolve_padding` gives it."""
    return tuple(
        output_size(n, k, *zeros, stride, dilation)
        for n, k, zeros in zip(image_size, filter_size, padding, strict=True)
    )


def resolve_padding(padding, image_size, filter_size, stride, dilation):
    """Turn any accepted padding into rows and columns of zeros.

    Parameters
    ----------
    padding : {"same", "valid"}, int, or ((top, bottom), (left, right))
        "same" is TensorFlow's rule: ``ceil(n / stride)`` outputs; where the number of zeros is
        odd, the odd one goes last.
    image_size, filter_size : tuple of int
        (height, width).
    stride, dilation : int

    Returns
    -------
    ((int, int), (int, int))
        ((top, bottom), (left, right)).
    """
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0), (0, 0))
        if padding != "same":
            _reject_padding(repr(padding))
        totals = [
            max((-(-n // stride) - 1) * stride + (k - 1) * dilation + 1 - n, 0)
            for n, k in zip(image_size, filter_size, strict=True)
        ]
        return tuple((total // 2, total - total // 2) for total in totals)
    if np.ndim(padding) == 0:
        zeros = integer("padding", padding, at_least=0)
        return ((zeros, zeros), (zeros, zeros))
    try:
        (top, bottom), (left, right) = padding
    except (TypeError, ValueError):
        _reject_padding(padding)
    top, bottom, left, right = (integer("padding", n, 0) for n in (top, bottom, left, right))
    return ((top, bottom), (left, right))


def _reject_padding(value):
    reject(
        "padding",
        value,
        "'same', 'valid', a non-negative integer or ((top, bottom), (left, right))",
    )


def patch(padded, tap, output_shape, stride, dilation):
    """View of the pixels that one tap multiplies, over all outputs.

    Parameters
    ----------
    padded : ndarray, shape (..., height, width)
        Images with their zeros.
    tap : tuple of int
        (row, column) in the filter.
    output_shape : tuple of int
        (output height, output width).

    Returns
    -------
    ndarray, shape (..., output height, output width)
    """
    window = (
        slice(t * dilation, t * dilation + (n - 1) * stride + 1, stride)
        for t, n in zip(tap, output_shape, strict=True)
    )
    return padded[(..., *window)]


def pad(images, padding):
    """Surround images (..., height, width) with the zeros of ``((top, bottom), (left, right))``."""
    return np.pad(images, [(0, 0)] * (images.ndim - 2) + list(padding))
