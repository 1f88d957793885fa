"""Filter gradient of `conv2d` with channels as lanes, over images with channels together."""

from functools import lru_cache
from itertools import product
from math import prod

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.address import address_of, call
from convgrad.kernels.convolution.conv2d_blocked import SMALLEST_PART, serves, unpack_row
from convgrad.kernels.convolution.conv2d_blocked_filter_gradient_tiles import (
    FILTERS,
    VECTORS,
    address_with,
)
from convgrad.kernels.convolution.conv2d_blocked_layout import (
    block_count,
    laid_out_elements,
    lay_out,
)
from convgrad.kernels.convolution.conv2d_blocked_weights import halves
from convgrad.kernels.convolution.conv2d_numba_planes import PLANS
from convgrad.kernels.registry import kernel

_RUN = 128
"""About so many outputs are summed at a time: their gradients, and the pixels of two vectors of
channels, fit L1."""


@njit(cache=True)
def _own_taps(item, taps, own):
    """Taps of an item whose sums begin within a part of all sums."""
    first = min(max((own[0] - item[3] + item[4] - 1) // item[4], 0), taps)
    return first, min(max((own[1] - item[3] + item[4] - 1) // item[4], 0), taps)


@njit(cache=True)
def _write(sums, item, target, own, square, result):
    """Write some taps of an item to their places, channel by channel."""
    lanes, flat = vector.width(sums), result.reshape(-1)
    channels, taps = result.shape[1:]
    for i in range(target[1]):
        at = item[3] + own[0] * item[4] + i * target[4]
        for j in range(0, target[3], lanes):
            some = min(lanes, target[3] - j)
            to = ((target[0] + i) * channels + target[2] + j) * taps + own[0]
            if taps == 1:
                vector.store_first(flat, to, vector.load(sums, at + j, lanes), some)
            else:
                plane, count = (some, taps), own[1] - own[0]
                unpack_row(sums, at + j, item[4], count, plane, square, flat, to, 1)


@njit(cache=True)
def _set_part(slopes, pixels, pitches, pieces, taps, items, addresses, targets, own, sums, result):
    """Set a part of the gradient: some taps of some items.

    Parameters
    ----------
    slopes, pixels : ndarray
        Output gradients and images, with channels together.
    pitches : ndarray, shape (2, 3)
        Of either: from image to image, and from what an output sees to what the next one below
        and beside does.
    pieces : ndarray, shape (pieces, 6)
        Of the outputs: images from, to, rows from, to, columns from, to.
    taps : ndarray, shape (taps, 5)
        Outputs that see pixels: rows from, to, columns from, to; where that of the first would be.
    items : ndarray, shape (items, 5)
        A few filters with a few channels: where these lie in gradients and in pixels, from one
        vector of channels to the next, where their sums begin, and elements of the sums of a tap.
    addresses : ndarray, shape (items, 2)
        Of what adds to these sums.
    targets : ndarray, shape (items, 5)
        Filter and number of filters, channel and number of channels, elements of the sums of a
        filter.
    own : (int, int)
        First of the sums, and the one after the last.
    sums : ndarray
    result : ndarray, shape (filters, channels, taps)
    """
    lanes = vector.width(sums)
    square = np.empty(lanes * lanes, sums.dtype)
    for number in range(len(items)):
        item = items[number]
        first, last = _own_taps(item, len(taps), own)
        for i in range(item[3] + first * item[4], item[3] + last * item[4]):
            sums[i] = 0
    for turn in range(len(pieces)):
        for number in range(len(items)):
            item = items[number]
            some = _own_taps(item, len(taps), own)
            if some[0] < some[1]:
                task = slopes, pixels, pitches, pieces[turn], taps, some, item, sums
                call((addresses[number, 0], addresses[number, 1]), task)
    for number in range(len(items)):
        item = items[number]
        some = _own_taps(item, len(taps), own)
        if some[0] < some[1]:
            _write(sums, item, targets[number], some, square, result)


@njit(cache=True, parallel=True)
def _set_parts(
    do_part, slopes, pixels, pitches, pieces, taps, items, addresses, targets, parts, sums, result
):
    total = items[-1, 3] + len(taps) * items[-1, 4]
    for part in prange(parts):
        own = np.int64(part) * total // parts, (np.int64(part) + 1) * total // parts
        task = slopes, pixels, pitches, pieces, taps, items, addresses, targets
        call(do_part, (*task, own, sums, result))


def _taps_of(size, sides, taps, stride, before, dilation):
    """Along one axis: outputs from, to, that see pixels by each tap, and its shift."""
    shifts = np.arange(taps) * dilation - before
    low = np.clip(-(shifts // stride), 0, sides)
    return low, np.clip((size - 1 - shifts) // stride + 1, low, sides), shifts


def _cut(count, size):
    """Cut so many steps of so many outputs: ends of parts of about a run."""
    parts = min(-(-count * size // _RUN), count)
    ends = [count * part // parts for part in range(parts + 1)]
    return list(zip(ends, ends[1:]))


def _pieces(images, sides):
    """Cut the outputs of all images; see `_set_part`."""
    columns = _cut(sides[1], 1)
    rows = _cut(sides[0], sides[1] // len(columns))
    pieces = product(_cut(images, prod(sides) // len(columns) // len(rows)), rows, columns)
    return [sum(piece, ()) for piece in pieces]


def _tiles(filters, channels, dtype):
    """Filters and channels of all tiles, and the vectors that hold these.

    Yields
    ------
    first filter, filters : int
    first channel, channels : int
    kind : (int, int, int)
        See `address_with`.
    """
    lanes, half = vector.lanes_of(dtype), halves(channels, dtype)
    rows = min(FILTERS, lanes)
    whole = block_count(channels, dtype) - half
    groups = [(first, min(VECTORS, whole - first), 0) for first in range(0, whole, VECTORS)]
    groups += [(whole, 1, 1)] * half
    for first in range(0, filters, rows):
        some = min(rows, filters - first)
        for start, vectors, halved in groups:
            own = min(vectors * lanes, channels - start * lanes)
            yield first, some, start * lanes, own, (some + some % 2, vectors, halved)


@lru_cache(PLANS)
def _plan(sides, size, filter_size, stride, padding, dilation, shape, pitches, dtype, writeable):
    """What `_set_part` takes besides arrays, and the number of sums.

    Parameters
    ----------
    sides, size, filter_size : (int, int)
        Of outputs, images and filters.
    shape : (int, int, int)
        Images, filters and channels.
    pitches : tuple of (int, int, int, int)
        Of output gradients and of images: from vector to vector of channels, and see `_set_part`.
    writeable : (bool, bool)
    """
    (images, filters, channels), lanes = shape, vector.lanes_of(dtype)
    (slope_pitch, *slope_pitches), (pixel_pitch, *pixel_pitches) = pitches
    axes = [
        _taps_of(*axis[:3], stride, axis[3][0], dilation)
        for axis in zip(size, sides, filter_size, padding)
    ]
    shifts = [np.multiply(axis[2], pitch) for axis, pitch in zip(axes, pixel_pitches[1:])]
    by_axis = (list(zip(*axis[:2], shift)) for axis, shift in zip(axes, shifts))
    taps = [(*rows[:2], *columns[:2], rows[2] + columns[2]) for rows, columns in product(*by_axis)]
    items, addresses, targets, place = [], [], [], 0
    for first, rows, start, count, kind in _tiles(filters, channels, dtype):
        width = kind[1] * lanes >> kind[2]
        slope = first // lanes * slope_pitch + first % lanes
        pixel = start // lanes * pixel_pitch
        items.append((slope, pixel, pixel_pitch, place, kind[0] * width))
        addresses.append(address_with(kind, dtype, writeable))
        targets.append((first, rows, start, count, width))
        place += len(taps) * kind[0] * width
    strided = pixel_pitches[0], pixel_pitches[1] * stride, pixel_pitches[2] * stride
    tables = (
        np.array(table, np.int64)
        for table in (
            (slope_pitches, strided),
            _pieces(images, sides),
            taps,
            items,
            addresses,
            targets,
        )
    )
    return tuple(tables), place


def _whole_vectors(images):
    """Images that lie channels last with channels that fill vectors, so that all can be loaded."""
    lanes, last = vector.lanes_of(images.dtype), images.transpose(0, 2, 3, 1)
    if images.flags.carray or not last.flags.carray or last.shape[3] % lanes == 0:
        return images
    whole = np.empty(
        (*last.shape[:3], block_count(last.shape[3], images.dtype) * lanes), images.dtype
    )
    whole[..., : last.shape[3]] = last
    return whole.transpose(0, 3, 1, 2)


def _workspace(images, output_gradient, *, filter_size, stride, padding, **_):
    """Images and output gradients laid out, and the sums."""
    filters, channels = output_gradient.shape[1], images.shape[1]
    tiles = _tiles(filters, channels, images.dtype)
    lanes = vector.lanes_of(images.dtype)
    sums = prod(filter_size) * sum(kind[0] * (kind[1] * lanes >> kind[2]) for *_, kind in tiles)
    laid_out = laid_out_elements(images, _sampled(filter_size, stride, padding))
    return (laid_out + laid_out_elements(output_gradient) + sums) * images.itemsize


def _sampled(filter_size, stride, padding):
    """How far apart the pixels lie that a layer sees, of rows and of columns alike."""
    return stride if filter_size == (1, 1) and not any(map(any, padding)) else 1


def _pitches(pixels):
    """From vector to vector of channels, from image to image, and between rows and pixels."""
    return int(pixels.groups[1]) if len(pixels.groups) > 1 else 0, *map(int, pixels.pitches)


@kernel("conv2d_filter_gradient", family="numba", serves=serves, workspace=_workspace)
def numba_blocked(
    images, output_gradient, *, filter_size, stride, padding, dilation, groups, out=None
):
    """Direct sums over pixels, 8 filters x 2 vectors of channels in registers.

    Images and output gradients are copied so that a vector of their channels lies together (the
    blocked layout of Georganas et al., 2018), what lies channels last is read as it lies: a pixel
    takes 2 loads and 8 broadcasts for 16 multiply-adds, and no sum crosses lanes. Pieces of some
    128 outputs stay in L1 for all taps. Each tap goes over those of its outputs that see pixels, row
    by row: as many flops as the definition, but for the lanes of the last channels, which take half
    a vector where that is enough. Sums run over images and pixels in order. Work is split over
    filters, channels and taps: for layers of some ten of both.
    """
    shape = len(images), output_gradient.shape[1], images.shape[1]
    if out is None:
        out = np.empty((*shape[1:], *filter_size), images.dtype)
    step = _sampled(filter_size, stride, padding)
    pixels, slopes = lay_out(_whole_vectors(images), step), lay_out(_whole_vectors(output_gradient))
    arrays, sides = (slopes.flat, pixels.flat), output_gradient.shape[2:]
    size = tuple(-(-side // step) for side in images.shape[2:])
    layer = sides, size, filter_size, stride // step, padding, dilation
    own = (_pitches(slopes), _pitches(pixels)), images.dtype
    writeable = tuple(array.flags.writeable for array in arrays)
    plan, total = _plan(*layer, shape, *own, writeable)
    sums = np.empty(total + vector.lanes_of(images.dtype) * int(plan[3][:, 4].max()), images.dtype)
    target = out.reshape(*shape[1:], -1)
    work = out.size * len(images) * prod(sides)
    parts = max(min(work // SMALLEST_PART, numba.get_num_threads()), 1)
    if parts == 1:
        _set_part(*arrays, *plan, (0, total), sums, target)
    else:
        task = address_of(_set_part, *arrays, *plan, (0, total), sums, target)
        _set_parts(task, *arrays, *plan, parts, sums, target)
    return out
