"""`conv2d` of images with few channels, as a first layer has: rows of taps are runs of memory."""

from math import prod

import numba
import numpy as np
from numba import njit, prange
from numba.extending import register_jitable

from convgrad.kernels import vector
from convgrad.kernels.convolution.conv2d_blocked_layout import block_count
from convgrad.kernels.convolution.conv2d_blocked_outputs import unpack_row
from convgrad.kernels.convolution.conv2d_blocked_plan import SMALLEST_PART
from convgrad.kernels.convolution.conv2d_layer import FEW_CHANNELS
from convgrad.kernels.convolution.geometry import output_sides
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

_PIXELS = 12 if vector.register_bytes() == 64 else 6
_MOST, _SOME = (0,) * _PIXELS, (0,) * (_PIXELS // 3)
"""Pixels whose sums stay in registers: with two vectors of filters 24 of 32, or 12 of 16."""
_VECTORS = 2
"""Of filters in a block."""
_FURTHEST = 16
"""Channels, and elements from one pixel to the next, of which each has code of its own."""


@register_jitable(forceinline=True)
def _set_pixels(flat, at, taps, weights, first, sums, to, tile, vectors, apart):
    """Set the sums of some pixels; ``tile``, ``vectors`` and ``apart`` are as long as they say."""
    lanes, (rows, depth, pitch) = vector.width(flat), taps
    step = _VECTORS * lanes
    total = vector.zero_tile(flat, lanes, len(tile))
    for row in range(rows):
        here = at + row * pitch
        half = here + len(tile) // len(vectors) // 2 * len(apart)
        total = vector.add_panel(
            total, flat, here, half, len(apart), 1, weights, first, step, lanes, depth, len(vectors)
        )
        first += depth * step
    vector.store_tile(sums, to, lanes, total)


@register_jitable(forceinline=True)
def _set_row(flat, start, count, taps, weights, first, sums, vectors, apart):
    """Set the sums of a row of outputs, rounded up to whole tiles."""
    lanes, done = vector.width(flat), 0
    while done < count:
        own = flat, start + done * len(apart), taps, weights, first, sums, done * vectors * lanes
        if count - done >= len(_MOST):
            if vectors == 2:
                _set_pixels(*own, _MOST + _MOST, (0, 0), apart)
            else:
                _set_pixels(*own, _MOST, (0,), apart)
            done += len(_MOST)
        else:
            if vectors == 2:
                _set_pixels(*own, _SOME + _SOME, (0, 0), apart)
            else:
                _set_pixels(*own, _SOME, (0,), apart)
            done += len(_SOME)


@njit(cache=True)
def _set_rows(packed, taps, stride, weights, items, apart, result):
    """Set rows of outputs, of one image after the other."""
    lanes = vector.width(packed)
    filters, height, across = result.shape[1:]
    flat, target, plane = packed.reshape(-1), result.reshape(-1), height * across
    step = _VECTORS * lanes
    blocks = (filters + step - 1) // step
    image_pitch, pitch = packed.shape[1] * packed.shape[2], packed.shape[2]
    sums = np.empty((across + len(_MOST) + lanes) * step, packed.dtype)
    square = np.empty(lanes * lanes, packed.dtype)
    for item in range(items[0], items[1]):
        image, row = item // height, item % height
        start = image * image_pitch + row * stride * pitch
        for block in range(blocks):
            vectors = min((filters - block * step + lanes - 1) // lanes, _VECTORS)
            first = block * taps[0] * taps[1] * step
            _set_row(flat, start, across, taps, weights, first, sums, vectors, apart)
            for part in range(vectors):
                number = block * step + part * lanes
                size = min(lanes, filters - number), plane
                place = (image * filters + number) * plane + row * across
                at, wide = part * lanes, vectors * lanes
                unpack_row(sums, at, wide, across, size, square, target, place)


@njit(cache=True, parallel=True)
def _set_rows_shared(packed, taps, stride, weights, items, parts, apart, result):
    for part in prange(parts):
        own = part * items // parts, (part + 1) * items // parts
        _set_rows(packed, taps, stride, weights, own, apart, result)


@njit(cache=True)
def _pack_row(images, top, left, packed, number):
    """Put the channels of each pixel of a row together, with zeros around the pixels."""
    _, channels, height, across = images.shape
    rows = packed.shape[1]
    image, y = number // rows, number % rows - top
    target = packed[image, y + top]
    target[:] = 0
    if 0 <= y < height:
        for channel in range(channels):
            source, own = images[image, channel, y], target[left * channels + channel :]
            for x in range(across):
                own[x * channels] = source[x]


@njit(cache=True)
def _pack(images, top, left, packed):
    for number in range(packed.shape[0] * packed.shape[1]):
        _pack_row(images, top, left, packed, number)


@njit(cache=True, parallel=True)
def _pack_shared(images, top, left, packed):
    for number in prange(packed.shape[0] * packed.shape[1]):
        _pack_row(images, top, left, packed, number)


def _serves(images, filters, *, stride, dilation, groups, **_):
    channels = images.shape[1]
    if channels > FEW_CHANNELS or channels * stride > _FURTHEST:
        return f"more than {FEW_CHANNELS} channels, or {_FURTHEST} from one pixel to the next"
    return None if dilation == groups == 1 else "its dilation and groups are 1"


def _packed_shape(images_shape, padding):
    """Images with their zeros, and a row at the end for tiles that are rounded up."""
    batch, channels, height, across = images_shape
    pitch = (across + sum(padding[1])) * channels
    least = -(-len(_MOST) * _FURTHEST // pitch)
    return batch, height + sum(padding[0]) + least, pitch


def _pack_filters(filters):
    """Weights as (blocks of filters, taps with channels last, filters of a block)."""
    wide = _VECTORS * vector.lanes_of(filters.dtype)
    blocks = block_count(len(filters), filters.dtype, _VECTORS)
    weights = np.zeros((blocks * wide, prod(filters.shape[1:])), filters.dtype)
    weights[: len(filters)] = filters.transpose(0, 2, 3, 1).reshape(len(filters), -1)
    return np.ascontiguousarray(weights.reshape(blocks, wide, -1).swapaxes(1, 2)).ravel()


def _workspace(images, filters, *, padding, **_):
    """Images with channels together, and packed weights."""
    wide = _VECTORS * vector.lanes_of(filters.dtype)
    blocks = block_count(len(filters), filters.dtype, _VECTORS)
    weights = 2 * blocks * wide * prod(filters.shape[1:])
    return (prod(_packed_shape(images.shape, padding)) + weights) * images.itemsize


def _run(images, filters, weights, stride, padding, out):
    size, (count, channels, *filter_size) = images.shape[2:], filters.shape
    sides = output_sides(size, filter_size, stride, padding, 1)
    if out is None:
        out = np.empty((len(images), count, *sides), images.dtype)
    packed = np.empty(_packed_shape(images.shape, padding), images.dtype)
    taps = filter_size[0], filter_size[1] * channels, packed.shape[2]
    items, apart = len(images) * sides[0], (0,) * (stride * channels)
    parts = max(min(out.size * prod(taps[:2]) // SMALLEST_PART, numba.get_num_threads()), 1)
    copied = plain(images), padding[0][0], padding[1][0], packed
    if parts == 1:
        _pack(*copied)
        _set_rows(packed, taps, stride, weights, (0, items), apart, out)
    else:
        _pack_shared(*copied)
        _set_rows_shared(packed, taps, stride, weights, items, min(parts, items), apart, out)
    return out


def _keep(filters, *, stride, padding, **_):
    weights = _pack_filters(filters)
    return lambda images, out=None: _run(images, filters, weights, stride, padding, out)


@kernel("conv2d", family="numba", serves=_serves, workspace=_workspace, prepare=_keep)
def numba_few_channels(images, filters, *, stride, padding, dilation, groups, out=None):
    """Direct sums with filters as lanes, where a pixel has few channels: 12 pixels x 2 vectors.

    Images are copied with the channels of a pixel together, so that a row of taps is one run: 2
    loads of weights and 12 broadcasts for 24 multiply-adds, as in ``numba_blocked``, without the
    lanes that channels leave empty there, at any stride. As many flops as the definition, up to
    three outputs a row more. Sums run in a fixed order. Work is split over rows of outputs.
    Prepared, filters are kept packed. For first layers, of 1 to 8 channels.
    """
    return _run(images, filters, _pack_filters(filters), stride, padding, out)
