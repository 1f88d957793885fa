"""`conv2d` and its input gradient with Numba: tiles of filters and pixels in registers."""

from functools import lru_cache
from itertools import product
from math import prod

import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.address import address_of, call
from convgrad.kernels.convolution.conv2d_numba_planes import (
    PLANS,
    Axis,
    Layout,
    forward_layout,
    laid_out_elements,
    lay_out,
    plane_length,
    shared_pitch,
    tap_offsets,
)
from convgrad.kernels.convolution.geometry import output_sides
from convgrad.kernels.registry import kernel
from convgrad.kernels.validation import plain

_FILTERS = 8 if vector.register_bytes() == 64 else 4
_ALL, _HALF = (0,) * _FILTERS, (0,) * (_FILTERS // 2)
_VECTORS = 3
"""Filters, and vectors of outputs, of a tile; with pixels and a weight it fills the registers."""
_RUN_BYTES = 2048
"""About so many bytes of outputs of a filter are worked on together: what they see fits L2."""
_SMALLEST_PARTITION = 1 << 17
"""Multiplications, a few microseconds of work: less is not worth waking a thread."""
_MOST_PARTITIONS = 256


@njit(cache=True)
def _set_tile(pixels, at, offsets, weights, first, places, pitches, sums, filters, vectors, tile):
    """Set the outputs from ``at`` on of some filters, a few vectors of each.

    Parameters
    ----------
    pixels, offsets : ndarray
        Tap t multiplies the run that begins at ``pixels[offsets[t]]``.
    weights, first, places, pitches
        Tap t of filter f is ``weights[first + f * pitches[0] + places[t]]``.
    sums : ndarray
        Outputs of filter f begin at ``sums[f * pitches[1]]``.
    filters, vectors, tile : tuple
        As long as there are filters, vectors, and vectors in all.
    """
    lanes = vector.width(pixels)
    total = vector.zero_tile(pixels, lanes, len(tile))
    for tap in range(len(offsets)):
        x = vector.load_tile(pixels, at + offsets[tap], lanes, lanes, len(vectors))
        w = vector.broadcast_tile(weights, first + places[tap], pitches[0], lanes, len(filters))
        total = vector.add_outer(total, w, x)
    vector.store_rows(sums, at, pitches[1], total, len(vectors), len(filters))


@njit(cache=True)
def set_sums(pixels, offsets, weights, first, places, pitches, sums, length, filters):
    """Set ``length`` outputs of some filters, at least a vector: the last may overlap others."""
    lanes, at = vector.width(pixels), 0
    own = offsets, weights, first, places, pitches, sums, filters
    while at < length:
        left = length - at
        if left >= _VECTORS * lanes:
            _set_tile(pixels, at, *own, (0, 0, 0), filters + filters + filters)
            at += _VECTORS * lanes
        elif left >= 2 * lanes:
            _set_tile(pixels, at, *own, (0, 0), filters + filters)
            at += 2 * lanes
        else:
            _set_tile(pixels, min(at, length - lanes), *own, (0,), filters)
            at += lanes


@njit(cache=True)
def _set_few(pixels, offsets, weights, places, sums):
    """Set less than a vector of outputs of one filter."""
    for i in range(len(sums)):
        total = sums.dtype.type(0)
        for tap in range(len(offsets)):
            total += weights[places[tap]] * pixels[offsets[tap] + i]
        sums[i] = total


@njit(cache=True)
def _store(sums, at, start, count, pitch, columns, place, result, first, across):
    """Write outputs from ``start`` on into the image at ``first``, but those between two rows."""
    first_row, first_column, step = place
    lanes, done = vector.width(sums), 0
    while done < count:
        row, column = (start + done) // pitch, (start + done) % pitch
        to = first + (first_row + row * step) * across + first_column + column * step
        here, some = at + done, min(columns - column, count - done)
        if step > 1:
            for i in range(some):
                result[to + i * step] = sums[here + i]
        else:
            for i in range(0, some, lanes):
                outputs = vector.load(sums, here + i, lanes)
                if some - i >= lanes:
                    vector.store(result, to + i, outputs)
                else:
                    vector.store_first(result, to + i, outputs, some - i)
        done += pitch - column


@njit(cache=True)
def _sum_items(flat, offsets, weights, places, counts, pitches, target, items, result):
    """Do some items of work: one run of outputs of a tile of filters of one image.

    Parameters
    ----------
    flat, offsets : ndarray
        Planes, and where in those of a group the taps' pixels lie for the first output.
    weights, places : ndarray
        Filters, and where in those of a group the taps of the first filter lie.
    counts : (int, int, int, int)
        Groups; rows and columns of these outputs; outputs of a run.
    pitches : (int, int, int)
        From one row of a plane to the next, from group to group, and from filter to filter.
    target : (int, int, int)
        Row and column of the first output in the result, and how far apart they lie there.
    items : (int, int)
        First item, and the one after the last.
    result : ndarray, shape (batch, channels, height, width)
    """
    groups, rows, columns, run = counts
    pitch, group_pitch, filter_pitch = pitches
    outputs = (rows - 1) * pitch + columns
    runs = (outputs + run - 1) // run
    count = result.shape[1] // groups
    blocks = (count + _FILTERS - 1) // _FILTERS
    furthest = 0
    for offset in offsets:
        furthest = max(furthest, offset)
    lanes, zero = vector.width(flat), np.int64(0)
    sums = np.empty(_FILTERS * run + lanes, flat.dtype)
    across, plane, written = result.shape[3], result.shape[2] * result.shape[3], result.reshape(-1)
    for item in range(items[0], items[1]):
        block, start = item % blocks, item // blocks % runs * run
        image, group = item // (blocks * runs) // groups, item // (blocks * runs) % groups
        pixels = flat[(image * groups + group) * group_pitch + start :]
        useful = min(run, outputs - start)
        length = min(max(useful, lanes), len(pixels) - furthest)
        first = block * _FILTERS
        # A pass over the pixels takes about as long for several filters as for one: tiles overlap.
        if count - first > len(_HALF):
            first = max(min(first, count - _FILTERS), 0)
        elif count - first > 1:
            first = max(min(first, count - len(_HALF)), 0)
        joint = min(_FILTERS, count - first)
        own = weights[group * (len(weights) // groups) + first * filter_pitch :]
        place = (image * result.shape[1] + group * count + first) * plane
        # Outputs of one row that are a vector at least go where they belong at once.
        at_once = rows == target[2] == 1 and length == useful >= lanes
        out, beyond = (written[place + start :], plane) if at_once else (sums, run)
        if length < lanes:
            for i in range(joint):
                few = out[i * beyond : i * beyond + length]
                _set_few(pixels, offsets, own[i * filter_pitch :], places, few)
        elif joint == _FILTERS:
            apart = filter_pitch, beyond
            set_sums(pixels, offsets, own, zero, places, apart, out, length, _ALL)
        else:
            apart, i = (filter_pitch, beyond), 0
            while i < joint:
                if joint - i > 1 and joint >= len(_HALF):
                    i = min(i, joint - len(_HALF))
                    one, row = np.int64(i * filter_pitch), out[i * beyond :]
                    set_sums(pixels, offsets, own, one, places, apart, row, length, _HALF)
                    i += len(_HALF)
                else:
                    one, row = np.int64(i * filter_pitch), out[i * beyond :]
                    set_sums(pixels, offsets, own, one, places, apart, row, length, (0,))
                    i += 1
        if not at_once:
            for i in range(joint):
                to = place + i * plane
                _store(sums, i * run, start, useful, pitch, columns, target, written, to, across)


@njit(cache=True, parallel=True)
def _sum(sum_items, flat, offsets, weights, places, counts, pitches, target, items, parts, result):
    """Do all items in parts of equal size."""
    for part in prange(parts):
        own = np.int64(part) * items // parts, (np.int64(part) + 1) * items // parts
        call(sum_items, (flat, offsets, weights, places, counts, pitches, target, own, result))


def _run_length(outputs, itemsize):
    """Outputs of a run: as equal as can be, and whole tiles."""
    runs = -(-outputs * itemsize // _RUN_BYTES)
    tile = _VECTORS * vector.register_bytes() // itemsize
    return -(-outputs // (runs * tile)) * tile


def _correlate(planes, layout, groups, filters, places, filter_pitch, rows, columns, step, result):
    """Set the outputs that `rows` and `columns` describe, ``step`` apart in the result.

    Parameters
    ----------
    planes : (ndarray, int)
        From `lay_out`.
    filters, places, filter_pitch
        See `_sum_items`; places of shape (inputs, taps).
    rows, columns : Axis
    result : ndarray, shape (batch, channels, height, width)
    """
    flat, channel_length = planes
    batch, channels = result.shape[:2]
    offsets = tap_offsets(len(places), channel_length, rows, columns, layout)
    pitch, down, beside = layout.pitch, rows.count, columns.count
    outputs = (down - 1) * pitch + beside
    if step == 1 and pitch == beside == result.shape[3]:
        # Nothing lies between rows: they are one.
        pitch, down, beside = outputs, 1, outputs
    run = _run_length(outputs, flat.itemsize)
    blocks = -(-channels // groups // _FILTERS)
    items = batch * groups * blocks * -(-outputs // run)
    work = batch * channels * outputs * places.size
    parts = max(min(work // _SMALLEST_PARTITION, _MOST_PARTITIONS, items), 1)
    counts = groups, down, beside, run
    pitches = pitch, len(places) * channel_length, filter_pitch
    target = rows.first, columns.first, step
    work_on = flat, offsets, filters.reshape(-1), places.reshape(-1), counts, pitches, target
    if parts == 1:
        _sum_items(*work_on, (0, items), result)
    else:
        sum_items = address_of(_sum_items, *work_on, (0, items), result)
        _sum(sum_items, *work_on, items, parts, result)


def _workspace(images, filters, *, stride, padding, dilation, **_):
    size, filter_size = images.shape[2:], filters.shape[2:]
    sides = output_sides(size, filter_size, stride, padding, dilation)
    *_, layout = forward_layout(size, filter_size, sides, stride, padding, dilation)
    return laid_out_elements(images.shape, layout) * images.itemsize


@kernel("conv2d", family="numba", workspace=_workspace)
def numba_parallel(images, filters, *, stride, padding, dilation, groups, out=None):
    """Direct sums over register tiles, 8 filters x 3 vectors of outputs (4 on 16 registers).

    For every tap, 3 vectors of pixels meet a weight of each filter, 24 multiply-adds for 11 loads
    (register blocking; Goto and van de Geijn, 2008); sums stay in registers from the first
    channel to the last. A vector of outputs runs across rows, which share the zeros between them:
    images are copied once to where their zeros are (`conv2d_numba_planes`), unless they need none.
    Weights are read as they lie. As many flops as the definition, a few percent more for outputs
    between rows, and up to two vectors a run. Sums run in a fixed order. Work is split over images,
    filters and runs of rows, so that one image keeps all threads busy; the same pixels meet all
    filters before the next, and stay in L2. For layers of some channels, and 1 x 1 above all, where
    nothing is copied; filters beyond a multiple of 8 in a group go in tiles of 4, or singly.
    """
    (count, per_group), filter_size = filters.shape[:2], filters.shape[2:]
    size = images.shape[2:]
    sides = output_sides(size, filter_size, stride, padding, dilation)
    *axes, layout = forward_layout(size, filter_size, sides, stride, padding, dilation)
    filters = plain(filters)
    if out is None:
        out = np.empty((len(images), count, *sides), images.dtype)
    weights = per_group * prod(filter_size)
    places = np.arange(weights).reshape(per_group, -1)
    planes = lay_out(images, layout)
    _correlate(planes, layout, groups, filters, places, weights, *axes, 1, out)
    return out


def _backward_axes(taps, outputs, size, before, stride, dilation):
    """Pixels along one axis, sorted by the taps that reach them.

    Pixel p got its part of the gradient at ``(p + before - tap * dilation) / stride`` where that
    is whole: from the same taps for all pixels that lie a stride apart.

    Returns
    -------
    list of Axis
        One for each remainder of the stride that a pixel has.
    (int, int)
        Zeros before and after the gradient that they reach.
    """
    axes = []
    for first in range(min(stride, size)):
        count = (size - first - 1) // stride + 1
        reached = [(tap, first + before - tap * dilation) for tap in range(taps)]
        reached = [(tap, place // stride) for tap, place in reached if place % stride == 0]
        reached_taps, shifts = zip(*reached) if reached else ((), ())
        axes.append(Axis(first, count, reached_taps, (0,) * len(shifts), shifts))
    lowest = min((shift for axis in axes for shift in axis.shifts), default=0)
    zeros = max(-lowest, 0)
    shifted = [axis._replace(shifts=tuple(shift + zeros for shift in axis.shifts)) for axis in axes]
    furthest = max(axis.count - 1 + max(axis.shifts, default=0) for axis in axes)
    return shifted, (zeros, max(furthest - outputs + 1, 0))


@lru_cache(PLANS)
def backward_layout(sides, filter_size, image_size, stride, padding, dilation):
    """Axes of rows, axes of columns, and the `Layout` of output gradients for all of them."""
    rows, (above, _) = _backward_axes(
        filter_size[0], sides[0], image_size[0], padding[0][0], stride, dilation
    )
    columns, (left, right) = _backward_axes(
        filter_size[1], sides[1], image_size[1], padding[1][0], stride, dilation
    )
    widest = max(axis.count for axis in columns)
    pitch = shared_pitch(sides[1], (left, right), widest, 1)
    length = max(plane_length(*axes, pitch) for axes in product(rows, columns))
    return rows, columns, Layout((above, left), ((0,), (0,)), 1, pitch, length)


def reached_pixels(axes, shape, dtype, out):
    """Pairs of axes whose pixels taps reach, and the result: zeros where there are others.

    All of it is cleared then: pixels that lie apart take longer, one by one.
    """
    pairs = [pair for pair in product(*axes) if all(axis.taps for axis in pair)]
    if len(pairs) == prod(map(len, axes)):
        return pairs, np.empty(shape, dtype) if out is None else out
    if out is None:
        return pairs, np.zeros(shape, dtype)
    out.fill(0)
    return pairs, out


def _input_gradient_workspace(
    output_gradient, filters, *, image_size, stride, padding, dilation, **_
):
    sides, filter_size = output_gradient.shape[2:], filters.shape[2:]
    *_, layout = backward_layout(sides, filter_size, image_size, stride, padding, dilation)
    return laid_out_elements(output_gradient.shape, layout) * filters.itemsize


@kernel(
    "conv2d_input_gradient",
    family="numba",
    name="numba_parallel",
    workspace=_input_gradient_workspace,
)
def input_gradient_parallel(
    output_gradient, filters, *, image_size, stride, padding, dilation, groups, out=None
):
    """The loops of ``numba_parallel`` over output gradients, once for each remainder of a stride.

    As many flops as the definition: the pixels that lie a stride apart are reached by the same
    taps, and are the outputs of a convolution of these alone.
    """
    batch, sides = len(output_gradient), output_gradient.shape[2:]
    (count, per_group), filter_size = filters.shape[:2], filters.shape[2:]
    *axes, layout = backward_layout(sides, filter_size, image_size, stride, padding, dilation)
    shape, filters = (batch, groups * per_group, *image_size), plain(filters)
    pairs, out = reached_pixels(axes, shape, filters.dtype, out)
    planes = lay_out(output_gradient, layout)
    taps = prod(filter_size)
    starts = np.arange(count // groups) * (per_group * taps)
    for rows, columns in pairs:
        reached = np.add.outer(np.multiply(rows.taps, filter_size[1]), columns.taps).ravel()
        places = np.add.outer(starts, reached.astype(np.int64))
        _correlate(planes, layout, groups, filters, places, taps, rows, columns, stride, out)
    return out
