"""Input gradient of `conv2d` of images with few channels: products of taps, added to pixels."""

from math import gcd, prod

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.address import address_of, call
from convgrad.kernels.convolution.conv2d_blocked_plan import SMALLEST_PART
from convgrad.kernels.convolution.conv2d_layer import FEW_CHANNELS
from convgrad.kernels.convolution.conv2d_numba import set_sums
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

_RUN = 384
"""About so many outputs are worked on together: their products stay near."""
_ALL, _HALF = (0,) * 8, (0,) * 4
"""Taps of a tile."""


@njit(cache=True)
def _together(rows, columns):
    """Rows of outputs that are worked on together."""
    return max(min(_RUN // columns, rows), 1)


@njit(cache=True)
def _multiply(gradient, begin, length, offsets, weights, places, sums):
    """Set the products of each tap with some gradients, summed over filters."""
    taps, first, zero = len(sums) // length, 0, np.int64(0)
    apart = np.int64(1), length
    while first < taps:
        some = gradient[begin:], offsets, weights
        if taps - first > len(_HALF):
            first = min(first, taps - len(_ALL))
            own = sums[first * length :]
            set_sums(*some, zero + first, places, apart, own, length, _ALL)
            first += len(_ALL)
        else:
            first = taps - len(_HALF)
            own = sums[first * length :]
            set_sums(*some, zero + first, places, apart, own, length, _HALF)
            first = taps


@njit(cache=True)
def _add_row(products, at, count, lines, to):
    """Add products of a tap with a row of gradients to the pixels that it reaches."""
    lanes = vector.width(products)
    for x in range(0, count, lanes):
        total, some = vector.load_tile(lines, to + x, lanes, lanes, 1), count - x
        if some >= lanes:
            more = vector.load(products, at + x, lanes)
        else:
            more = vector.load_first(products, at + x, lanes, some)
        vector.store_tile(lines, to + x, lanes, vector.add_tiles(total, (more,)))


@njit(cache=True)
def _set_part(gradient, weights, taps, steps, before, margin, items, share, result):
    """Set some rows of pixels of some images.

    Parameters
    ----------
    gradient : ndarray, shape (batch, filters, rows, columns)
    weights : ndarray
        Of shape (filters, channels, taps), flat.
    taps : (int, int)
    steps : (int, int)
        Stride and dilation.
    before : (int, int)
        Zeros above and to the left of images.
    margin : (int, int)
        Pixels of a line before the first, and all of them.
    items, share
        Parts of images, and how many there are of one.
    result : ndarray, shape (batch, channels, height, width)
    """
    lanes = vector.width(gradient)
    filters, rows, columns = gradient.shape[1:]
    channels, height, width = result.shape[1:]
    count, (stride, dilation), (left, line) = channels * taps[0] * taps[1], steps, margin
    offsets, places = np.arange(filters) * (rows * columns), np.arange(filters) * count
    several = _together(rows, columns)
    products = np.empty(count * max(several * columns, lanes), gradient.dtype)
    most = channels * ((height + share - 1) // share) * stride * line
    lines = np.empty(most + lanes, gradient.dtype)
    for item in range(items[0], items[1]):
        image, part = item // share, item % share
        top, end = part * height // share, (part + 1) * height // share
        own = end - top
        lines[: channels * own * stride * line] = 0
        flat = gradient[image].reshape(-1)
        low = max((top + before[0] - (taps[0] - 1) * dilation + stride - 1) // stride, 0)
        high = min((end - 1 + before[0]) // stride + 1, rows)
        for first in range(low, high, several):
            last = min(first + several, high)
            length = max((last - first) * columns, lanes)
            begin = min(first * columns, rows * columns - length)
            _multiply(flat, begin, length, offsets, weights, places, products[: count * length])
            for channel in range(channels):
                for y in range(first, last):
                    at = y * columns - begin
                    for i in range(taps[0]):
                        row = y * stride + i * dilation - before[0]
                        if not top <= row < end:
                            continue
                        for j in range(taps[1]):
                            tap = (channel * taps[0] + i) * taps[1] + j
                            x = j * dilation - before[1]
                            to = ((channel * own + row - top) * stride + x % stride) * line
                            to += left + x // stride
                            _add_row(products, tap * length + at, columns, lines, to)
        for channel in range(channels):
            for row in range(top, end):
                target = result[image, channel, row]
                for first in range(min(stride, width)):
                    at = ((channel * own + row - top) * stride + first) * line + left
                    for x in range((width - first - 1) // stride + 1):
                        target[first + x * stride] = lines[at + x]


@njit(cache=True, parallel=True)
def _set_parts(set_part, gradient, weights, taps, steps, before, margin, items, share, result):
    for part in prange(items):
        own = np.int64(part), np.int64(part) + 1
        call(set_part, (gradient, weights, taps, steps, before, margin, own, share, result))


def _serves(output_gradient, filters, *, groups, **_):
    channels, *taps = filters.shape[1:]
    if groups > 1 or channels > FEW_CHANNELS or channels * prod(taps) < len(_ALL):
        return f"one group of at most {FEW_CHANNELS} channels, {len(_ALL)} weights of a filter"
    lanes = vector.lanes_of(filters.dtype)
    if prod(output_gradient.shape[2:]) < lanes:
        return f"at least {lanes} outputs of a filter"
    return None


def _margin(columns, taps, width, stride, before, dilation, dtype):
    """Pixels of a line before the first that is kept, and all of them."""
    shifts = [(tap * dilation - before) // stride for tap in range(taps)]
    lanes, left = vector.lanes_of(dtype), max(-min(shifts), 0)
    right = max(max(shifts) + -(-columns // lanes) * lanes, -(-width // stride))
    return left, left + right


def _parts(output_gradient, filters, height):
    """Parts of the work, and how many there are of an image."""
    batch, _, *sides = output_gradient.shape
    work = batch * prod(sides) * filters.size
    parts = max(min(work // SMALLEST_PART, numba.get_num_threads()), 1)
    share = min(parts // gcd(parts, batch), height)
    return min(parts, batch * share), share


def _workspace(output_gradient, filters, *, image_size, stride, padding, dilation, **_):
    """Products, and pixels with those around them, of each thread."""
    (rows, columns), (channels, *taps) = output_gradient.shape[2:], filters.shape[1:]
    margin = columns, taps[1], image_size[1], stride, padding[1][0], dilation, filters.dtype
    parts, share = _parts(output_gradient, filters, image_size[0])
    products = channels * prod(taps) * _together.py_func(rows, columns) * columns
    lines = channels * -(-image_size[0] // share) * stride * _margin(*margin)[1]
    return parts * (products + lines) * filters.itemsize


@kernel(
    "conv2d_input_gradient",
    family="numba",
    name="numba_few_channels",
    serves=_serves,
    workspace=_workspace,
)
def input_gradient_few_channels(
    output_gradient, filters, *, image_size, stride, padding, dilation, groups, out=None
):
    """Products of each tap with a run of gradients, then one addition to a pixel for each tap.

    Few channels leave lanes and tiles idle, their taps do not: for every filter, 3 vectors of
    gradients meet 8 taps of any channel, as in ``numba_parallel`` at 1 x 1, and nothing is copied.
    The products of a few hundred outputs are added, while near, to lines of pixels, one for each
    remainder of the stride, so that those of a tap are neighbours at any stride; lines are merged
    at last (``col2im`` in small). As many flops as the definition, and taps rounded up to whole
    tiles. Sums run in a fixed order. Work is split over images and rows of pixels.
    For first layers, of 1 to 8 channels.
    """
    channels, *taps = filters.shape[1:]
    gradient, weights = plain(output_gradient), plain(filters).reshape(-1)
    if out is None:
        out = np.empty((len(gradient), channels, *image_size), filters.dtype)
    before = padding[0][0], padding[1][0]
    along = gradient.shape[3], taps[1], image_size[1], stride, before[1], dilation
    margin = _margin(*along, filters.dtype)
    parts, share = _parts(gradient, filters, image_size[0])
    own = gradient, weights, tuple(taps), (stride, dilation), before, margin
    items = len(out) * share
    if parts == 1:
        _set_part(*own, (0, items), share, out)
    else:
        _set_parts(address_of(_set_part, *own, (0, 0), share, out), *own, items, share, out)
    return out
