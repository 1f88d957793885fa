"""`conv2d` with `scipy.signal`, one channel of one image and one filter at a time."""

import numpy as np
from scipy.signal import correlate2d

from convgrad.kernels.convolution.conv2d_geometry import extents, padded_size, stuff
from convgrad.kernels.convolution.geometry import output_sides, pad
from convgrad.kernels.registry import kernel


def _workspace(images, filters, *, stride, padding, dilation, **_):
    """One image with its zeros, the filters with theirs, and a correlation before striding."""
    height, width = padded_size(images.shape[2:], padding)
    rows, columns = extents(filters.shape[2:], dilation)
    stuffed = filters.shape[0] * filters.shape[1] * rows * columns if dilation > 1 else 0
    correlation = (height - rows + 1) * (width - columns + 1)
    return (images.shape[1] * height * width + stuffed + correlation) * images.itemsize


@kernel("conv2d", family="scipy", workspace=_workspace)
def scipy_correlate(images, filters, *, stride, padding, dilation, groups):
    """``scipy.signal.correlate2d`` per channel and filter, summed; one thread.

    Every output is computed and those that a stride skips are thrown away; dilated filters are
    filled with zeros: stride squared times dilation squared the flops of the definition. For one
    to a few channels.
    """
    count, per_group = filters.shape[:2]
    taps = stuff(filters, dilation)
    sides = output_sides(images.shape[2:], filters.shape[2:], stride, padding, dilation)
    result = np.zeros((len(images), count, *sides), images.dtype)
    for image, planes in zip(images, result):
        padded = pad(image, padding)
        for output, plane in enumerate(planes):
            first = output // (count // groups) * per_group
            for channel, channel_taps in enumerate(taps[output], start=first):
                correlation = correlate2d(padded[channel], channel_taps, mode="valid")
                plane += correlation[::stride, ::stride]
    return result
