"""`locally_connected` and its gradients with Numba: the images of a batch in the lanes.

Filters are not shared over space, but over the batch. Images are laid out pixel by pixel, zeros
around them, the same pixel of all images side by side: a tap then is one load, whatever its place,
and a weight one broadcast, for as many images as a vector holds. Nothing is gathered, and every
weight is read from memory once.
"""

from math import prod

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

_TILE = 4
"""Filters, and taps, that share a load; their sums stay in registers. What is left goes singly."""
_SUMS = _TILE * _TILE
_SMALLEST_PART = 1 << 15
"""Multiply-adds, about 5 us of work: less is not worth waking a thread."""


@njit(cache=True, parallel=True)
def _lay_out(images, top, left, pixels):
    """Copy images to (channels, rows, columns, batch), inside zeros that are there already."""
    batch, channels, height, width = images.shape
    for item in prange(channels * height):
        channel, row = np.int64(item) // height, np.int64(item) % height
        for image in range(batch):
            for column in range(width):
                pixel = images[image, channel, row, column]
                pixels[channel, top + row, left + column, image] = pixel


@njit(cache=True, parallel=True)
def _take_back(pixels, top, left, images):
    """Copy what lies inside the zeros back to (batch, channels, height, width)."""
    batch, channels, height, width = images.shape
    for item in prange(channels * height):
        channel, row = np.int64(item) // height, np.int64(item) % height
        for image in range(batch):
            for column in range(width):
                pixel = pixels[channel, top + row, left + column, image]
                images[image, channel, row, column] = pixel


@njit(cache=True)
def _correlate(pixels, offsets, weights, pitch, shape, places, result):
    """Set the outputs at some places.

    Parameters
    ----------
    pixels : ndarray, 1-D
    offsets : ndarray
        Where the pixels of each tap lie, channels first, for the place (0, 0).
    weights : ndarray, 1-D
    pitch : (int, int)
        From one pixel to the next, and from one row to the next.
    shape : (int, int, int)
        Batch, filters, columns of outputs.
    places : (int, int)
        The first, and the one after the last, counted along rows.
    result : ndarray, shape (batch, filters, places)
    """
    lanes, taps = vector.width(pixels), len(offsets)
    batch, filters, columns = shape
    sums = np.empty(_TILE * lanes, pixels.dtype)
    for place in range(places[0], places[1]):
        at = place // columns * pitch[1] + place % columns * pitch[0]
        first = 0
        while first < filters:
            used, down = (_TILE, taps) if filters - first >= _TILE else (1, 0)
            start = (place * filters + first) * taps
            for image in range(0, batch, lanes):
                total = vector.zero_tile(pixels, lanes, _TILE)
                for tap in range(taps):
                    x = vector.load_tile(pixels, at + offsets[tap] + image, 0, lanes, 1)
                    w = vector.broadcast_tile(weights, start + tap, down, lanes, _TILE)
                    total = vector.add_outer(total, w, x)
                vector.store_tile(sums, 0, lanes, total)
                for i in range(used):
                    for lane in range(min(lanes, batch - image)):
                        result[image + lane, first + i, place] = sums[i * lanes + lane]
            first += used


@njit(cache=True)
def _filter_gradient(pixels, offsets, gradients, pitch, shape, places, result):
    """Set the gradients of the filters at some places; arguments as of `_correlate`.

    Parameters
    ----------
    gradients : ndarray, 1-D
        Of (filters, places, batch).
    result : ndarray, shape (places, filters, taps)
    """
    lanes, taps = vector.width(pixels), len(offsets)
    batch, filters, columns = shape
    apart = len(result) * pitch[0]
    sums = np.empty(_SUMS, pixels.dtype)
    for place in range(places[0], places[1]):
        at = place // columns * pitch[1] + place % columns * pitch[0]
        first = 0
        while first < filters:
            used, down = (_TILE, apart) if filters - first >= _TILE else (1, 0)
            start, tap = first * apart + place * pitch[0], 0
            while tap < taps:
                wide, step = (_TILE, 1) if taps - tap >= _TILE else (1, 0)
                total = vector.zero_tile(pixels, lanes, _SUMS)
                for image in range(0, batch, lanes):
                    g = vector.load_tile(gradients, start + image, down, lanes, _TILE)
                    x = (
                        vector.load(pixels, at + offsets[tap] + image, lanes),
                        vector.load(pixels, at + offsets[tap + step] + image, lanes),
                        vector.load(pixels, at + offsets[tap + 2 * step] + image, lanes),
                        vector.load(pixels, at + offsets[tap + 3 * step] + image, lanes),
                    )
                    total = vector.add_outer(total, g, x)
                vector.store(sums, 0, vector.totals(total))
                for i in range(used):
                    for j in range(wide):
                        result[place, first + i, tap + j] = sums[i * _TILE + j]
                tap += wide
            first += used


@njit(cache=True)
def _input_gradient(gradients, weights, offsets, pitch, shape, places, taps, pixels):
    """Add to the pixels of some taps what every place hands back; arguments as of `_correlate`.

    Parameters
    ----------
    gradients : ndarray, 1-D
        Of (filters, places, batch).
    taps : (int, int)
        The first, and the one after the last.
    """
    lanes = vector.width(pixels)
    batch, filters, columns = shape
    sums = np.empty(_TILE * lanes, pixels.dtype)
    for place in range(places):
        at = place // columns * pitch[1] + place % columns * pitch[0]
        tap = taps[0]
        while tap < taps[1]:
            used, step = (_TILE, 1) if taps[1] - tap >= _TILE else (1, 0)
            for image in range(0, batch, lanes):
                total = vector.zero_tile(pixels, lanes, _TILE)
                for i in range(filters):
                    start = (i * places + place) * pitch[0] + image
                    g = vector.load_tile(gradients, start, 0, lanes, 1)
                    own = (place * filters + i) * len(offsets) + tap
                    w = vector.broadcast_tile(weights, own, step, lanes, _TILE)
                    total = vector.add_outer(total, w, g)
                vector.store_tile(sums, 0, lanes, total)
                for i in range(used):
                    to = at + offsets[tap + i] + image
                    more = vector.load(sums, i * lanes, lanes)
                    vector.store(pixels, to, vector.load(pixels, to, lanes) + more)
            tap += used


@njit(cache=True, parallel=True)
def _correlate_shared(pixels, offsets, weights, pitch, shape, parts, result):
    places = result.shape[2]
    for part in prange(parts):
        own = np.int64(part) * places // parts, (np.int64(part) + 1) * places // parts
        _correlate(pixels, offsets, weights, pitch, shape, own, result)


@njit(cache=True, parallel=True)
def _filter_gradient_shared(pixels, offsets, gradients, pitch, shape, parts, result):
    places = len(result)
    for part in prange(parts):
        own = np.int64(part) * places // parts, (np.int64(part) + 1) * places // parts
        _filter_gradient(pixels, offsets, gradients, pitch, shape, own, result)


@njit(cache=True, parallel=True)
def _input_gradient_shared(
    gradients, weights, offsets, pitch, shape, places, channels, parts, pixels
):
    taps = len(offsets) // channels
    for part in prange(parts):
        own = np.int64(part) * channels // parts, (np.int64(part) + 1) * channels // parts
        own = own[0] * taps, own[1] * taps
        _input_gradient(gradients, weights, offsets, pitch, shape, places, own, pixels)


class _Layout:
    """Where pixels lie: channel by channel, row by row, whole vectors of images for each."""

    def __init__(self, batch, channels, image_size, filter_size, padding, dtype):
        (self.top, _), (self.left, _) = padding
        height, width = (n + sum(zeros) for n, zeros in zip(image_size, padding))
        self.images = whole_vectors(batch, dtype)
        self.pitch = self.images, self.images * width
        self.shape = channels, height, width, self.images
        places = np.arange(channels * height * width).reshape(channels, height, width)
        rows, columns = filter_size
        self.offsets = places[:, :rows, :columns].ravel() * self.images


def whole_vectors(batch, dtype):
    """Images with those that fill up the last vector."""
    lanes = vector.lanes_of(dtype)
    return -(-batch // lanes) * lanes


def _padded(images, layout):
    pixels = np.zeros(layout.shape, images.dtype)
    _lay_out(plain(images), layout.top, layout.left, pixels)
    return pixels.reshape(-1)


def _parts(products, most):
    return max(min(products // _SMALLEST_PART, numba.get_num_threads(), most), 1)


def _pixel_bytes(batch, channels, image_size, padding, dtype):
    pixels = prod(n + sum(zeros) for n, zeros in zip(image_size, padding))
    return channels * pixels * whole_vectors(batch, dtype) * dtype.itemsize


def _gradient_bytes(output_gradient):
    batch, *outputs = output_gradient.shape
    return prod(outputs) * whole_vectors(batch, output_gradient.dtype) * output_gradient.itemsize


def _workspace(images, filters, *, padding):
    batch, channels, *image_size = images.shape
    return _pixel_bytes(batch, channels, image_size, padding, images.dtype)


@kernel("locally_connected", family="numba", workspace=_workspace)
def numba_batch(images, filters, *, padding, out=None):
    """Direct sums of 4 filters in registers, as many images as a vector holds.

    As many flops as the definition, for whole vectors of images; images are copied once, weights
    read once for each vector of images, from memory for the first. Sums run in a fixed order.
    Work is split over outputs. For batches; of a single image only the weights' reading counts.
    """
    batch, channels, *image_size = images.shape
    rows, columns, count, _, *filter_size = filters.shape
    if out is None:
        out = np.empty((batch, count, rows, columns), images.dtype)
    layout = _Layout(batch, channels, image_size, filter_size, padding, images.dtype)
    _correlate_shared(
        _padded(images, layout),
        layout.offsets,
        plain(filters).reshape(-1),
        layout.pitch,
        (batch, count, columns),
        _parts(filters.size * batch, rows * columns),
        out.reshape(batch, count, -1),
    )
    return out


def _filter_gradient_workspace(images, output_gradient, *, filter_size, padding):
    batch, channels, *image_size = images.shape
    pixels = _pixel_bytes(batch, channels, image_size, padding, images.dtype)
    return pixels + _gradient_bytes(output_gradient)


@kernel(
    "locally_connected_filter_gradient",
    family="numba",
    name="numba_batch",
    workspace=_filter_gradient_workspace,
)
def filter_gradient_batch(images, output_gradient, *, filter_size, padding, out=None):
    """Sums over images of 4 filters and 4 taps in registers, added up over lanes at the end.

    As many flops as the definition, for whole vectors of images, and a shuffle or two a weight.
    Work is split over outputs. For batches.
    """
    batch, channels, *image_size = images.shape
    count, *sides = output_gradient.shape[1:]
    if out is None:
        out = np.empty((*sides, count, channels, *filter_size), images.dtype)
    layout = _Layout(batch, channels, image_size, filter_size, padding, images.dtype)
    flat = _Layout(batch, count, sides, (1, 1), ((0, 0), (0, 0)), images.dtype)
    _filter_gradient_shared(
        _padded(images, layout),
        layout.offsets,
        _padded(output_gradient, flat),
        layout.pitch,
        (batch, count, sides[1]),
        _parts(out.size * batch, prod(sides)),
        out.reshape(prod(sides), count, -1),
    )
    return out


def _input_gradient_workspace(output_gradient, filters, *, image_size, padding):
    batch, channels = len(output_gradient), filters.shape[3]
    pixels = _pixel_bytes(batch, channels, image_size, padding, filters.dtype)
    return pixels + _gradient_bytes(output_gradient)


@kernel(
    "locally_connected_input_gradient",
    family="numba",
    name="numba_batch",
    workspace=_input_gradient_workspace,
)
def input_gradient_batch(output_gradient, filters, *, image_size, padding, out=None):
    """Sums over filters of 4 taps in registers, added to their pixels, output by output.

    As many flops as the definition, for whole vectors of images. Work is split over channels, so
    that no pixel belongs to two threads. For batches of images with several channels.
    """
    batch, count, *sides = output_gradient.shape
    channels, *filter_size = filters.shape[3:]
    if out is None:
        out = np.empty((batch, channels, *image_size), filters.dtype)
    layout = _Layout(batch, channels, image_size, filter_size, padding, filters.dtype)
    flat = _Layout(batch, count, sides, (1, 1), ((0, 0), (0, 0)), filters.dtype)
    pixels = np.zeros(layout.shape, filters.dtype)
    _input_gradient_shared(
        _padded(output_gradient, flat),
        plain(filters).reshape(-1),
        layout.offsets,
        layout.pitch,
        (batch, count, sides[1]),
        prod(sides),
        channels,
        _parts(filters.size * batch, channels),
        pixels.reshape(-1),
    )
    _take_back(pixels, layout.top, layout.left, out)
    return out
