"""Images laid out so that what one tap multiplies, over many outputs, is one run of memory.

Rows lie one after another, with the zeros between them shared by the end of one row and the
beginning of the next. A strided layer gets a plane of its own for every remainder of rows and
columns, so that each tap again sees neighbours. A run of outputs then is a run across rows, of
which the few between two rows are computed and dropped.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit, prange

from convgrad.kernels.validation import plain

PLANS = 4096
"""Plans of layers that are kept: planning takes as long as a small layer does."""
_SLACK = 64
"""Zeros at the end, for runs that are rounded up to whole vectors."""
_SMALLEST_PARALLEL = 1 << 15
"""Elements, a few microseconds of copying: less is not worth waking a thread."""


class Axis(NamedTuple):
    """Outputs along one axis that see the same taps, and where these lie."""

    first: int
    """First output; the others follow at the layer's stride in an input gradient, else at 1."""
    count: int
    taps: tuple
    planes: tuple
    """For each tap, the plane of its pixels."""
    shifts: tuple
    """For each tap, the place in the plane of what it multiplies for the first output."""


class Layout(NamedTuple):
    """How the planes of a channel lie in memory."""

    before: tuple
    """Zeros above, and to the left, of an image."""
    remainders: tuple
    """For rows and for columns, the remainders modulo the stride that need a plane."""
    stride: int
    pitch: int
    """Elements from one row of a plane to the next."""
    length: int
    """Elements of a plane, up to the last that any output sees."""


@lru_cache(PLANS)
def forward_layout(image_size, filter_size, sides, stride, padding, dilation):
    """Lay out the images of a layer.

    Returns
    -------
    rows, columns : Axis
    layout : Layout
    """
    axes, remainders = [], []
    for taps, outputs in zip(filter_size, sides):
        places = [tap * dilation for tap in range(taps)]
        needed = tuple(sorted({place % stride for place in places}))
        planes = tuple(needed.index(place % stride) for place in places)
        shifts = tuple(place // stride for place in places)
        axes.append(Axis(0, outputs, tuple(range(taps)), planes, shifts))
        remainders.append(needed)
    pitch = shared_pitch(image_size[1], padding[1], sides[1], stride)
    before = tuple(zeros for zeros, _ in padding)
    layout = Layout(before, tuple(remainders), stride, pitch, plane_length(*axes, pitch))
    return *axes, layout


def shared_pitch(size, zeros, outputs, stride):
    """Distance of rows in a plane: their pixels and the wider of the two margins."""
    return max(-(-(size + max(zeros)) // stride), outputs)


def plane_length(rows, columns, pitch):
    """Elements of a plane, up to the last that any of the outputs sees."""
    last_row, last_column = (
        axis.count - 1 + max(axis.shifts, default=0) for axis in (rows, columns)
    )
    return last_row * pitch + last_column + 1


@lru_cache(PLANS)
def tap_offsets(channels, channel_length, rows, columns, layout):
    """Places of all taps of all channels of one group, in the order of OIHW filters."""
    across = len(layout.remainders[1])
    taps = [
        (row_plane * across + column_plane) * layout.length + row * layout.pitch + column
        for row_plane, row in zip(rows.planes, rows.shifts)
        for column_plane, column in zip(columns.planes, columns.shifts)
    ]
    starts = np.arange(0, channels * channel_length, channel_length)
    return np.add.outer(starts, np.array(taps, np.int64)).ravel()


def _is_laid_out(image_size, layout):
    """Whether images are such planes as they are."""
    height, width = image_size
    plain = layout.stride == 1 and layout.before == (0, 0) and layout.pitch == width
    return plain and layout.length <= height * width


@lru_cache(PLANS)
def plane_numbers(layout):
    """Planes by the remainder of a row, and of a column; -1 where none is needed."""
    numbers = [np.full(layout.stride, -1) for _ in range(2)]
    for planes, needed in zip(numbers, layout.remainders):
        planes[list(needed)] = np.arange(len(needed))
    return numbers


def channel_length(layout):
    """Elements of all planes of a channel."""
    return len(layout.remainders[0]) * len(layout.remainders[1]) * layout.length


def lay_out(images, layout):
    """Make the planes of all images (batch, channels, height, width).

    Returns
    -------
    ndarray, 1-D
        Channel after channel, plane after plane; the images themselves where they serve.
    int
        Elements of a channel.
    """
    images = plain(images)
    batch, channels, *size = images.shape
    if _is_laid_out(size, layout):
        return images.reshape(-1), size[0] * size[1]
    rows, columns = (np.array(axis, np.int64) for axis in layout.remainders)
    flat = np.empty(laid_out_elements(images.shape, layout), images.dtype)
    flat[-_SLACK:] = 0
    images = images.reshape(-1, *size)
    integers = *layout.before, layout.stride, layout.pitch, layout.length
    if flat.size < _SMALLEST_PARALLEL:
        _fill_channels(images, rows, columns, integers, (0, len(images)), flat)
    else:
        _fill(images, rows, columns, integers, flat)
    return flat, channel_length(layout)


def laid_out_elements(images_shape, layout):
    """Elements that `lay_out` allocates."""
    batch, channels, *size = images_shape
    if _is_laid_out(size, layout):
        return 0
    return batch * channels * channel_length(layout) + _SLACK


@njit(cache=True)
def _fill_channels(images, rows, columns, layout, channels, flat):
    """Fill the planes of some of the images (batch * channels, height, width).

    Parameters
    ----------
    rows, columns : ndarray
        Remainders that need a plane.
    layout : (int, int, int, int, int)
        Zeros above and to the left, stride, pitch, length.
    channels : (int, int)
        First channel, and the one after the last.
    """
    height, width = images.shape[1:]
    top, left, stride, pitch, length = layout
    planes = len(rows) * len(columns)
    for number in range(channels[0] * planes, channels[1] * planes):
        image = images[number // planes]
        plane = flat[number * length : (number + 1) * length]
        plane[:] = 0
        row_remainder = rows[number % planes // len(columns)]
        column_remainder = columns[number % len(columns)]
        first_column = max(-((column_remainder - left) // stride), 0)
        x = first_column * stride + column_remainder - left
        for row in range((length + pitch - 1) // pitch):
            y = row * stride + row_remainder - top
            if 0 <= y < height and x < width:
                source, target = image[y, x:], plane[row * pitch + first_column :]
                count = min((width - x + stride - 1) // stride, len(target))
                if stride == 1:
                    for i in range(count):
                        target[i] = source[i]
                else:
                    for i in range(count):
                        target[i] = source[i * stride]


@njit(cache=True, parallel=True)
def _fill(images, rows, columns, layout, flat):
    """Fill the planes of all images, one a job."""
    for image in prange(len(images)):
        channel = np.int64(image)
        _fill_channels(images, rows, columns, layout, (channel, channel + 1), flat)
