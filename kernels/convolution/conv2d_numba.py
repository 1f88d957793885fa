"""`conv2d` and its input gradient with Numba: runs of outputs in the cache, taps in threes."""

from itertools import product
from math import prod

import numpy as np
from numba import njit, prange

from convgrad.kernels.convolution.conv2d_numba_planes import (
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

_RUN_BYTES = 2048
"""Outputs of one filter that are worked on together: four runs and what they see fit L1."""
_VECTOR = 16
"""Runs are rounded up to a multiple, so that no output is left over for scalar code."""
_JOINT_FILTERS, _JOINT_TAPS = 4, 3
_SMALLEST_PARTITION = 1 << 17
"""Multiplications, a few microseconds of work: less is not worth waking a thread."""
_MOST_PARTITIONS = 256
_FASTMATH = {"reassoc", "contract", "nsz"}


@njit(cache=True, fastmath=_FASTMATH)
def _sum_four(pixels, offsets, weights, places, pitch, sums):
    """Set the run of outputs of four filters.

    Three taps go together: twelve weights stay in registers, pixels are loaded once for four
    filters, and sums loaded and stored once for three taps. All is read before anything is
    stored, as the compiler does not know that these are different memory.

    Parameters
    ----------
    pixels, offsets : ndarray
        Tap t multiplies the run that begins at ``pixels[offsets[t]]``.
    weights, places, pitch
        Tap t of filter f is ``weights[f * pitch + places[t]]``.
    sums : ndarray, shape (4, length)
    """
    length, taps = sums.shape[1], len(offsets)
    a, b, c, d = sums[0], sums[1], sums[2], sums[3]
    weights_a, weights_b = weights, weights[pitch:]
    weights_c, weights_d = weights[2 * pitch :], weights[3 * pitch :]
    sums[:] = 0
    joint = taps - taps % _JOINT_TAPS
    for tap in range(0, joint, _JOINT_TAPS):
        t0, t1, t2 = places[tap], places[tap + 1], places[tap + 2]
        a0, a1, a2 = weights_a[t0], weights_a[t1], weights_a[t2]
        b0, b1, b2 = weights_b[t0], weights_b[t1], weights_b[t2]
        c0, c1, c2 = weights_c[t0], weights_c[t1], weights_c[t2]
        d0, d1, d2 = weights_d[t0], weights_d[t1], weights_d[t2]
        pixels0, pixels1 = pixels[offsets[tap] :], pixels[offsets[tap + 1] :]
        pixels2 = pixels[offsets[tap + 2] :]
        for i in range(length):
            x0, x1, x2 = pixels0[i], pixels1[i], pixels2[i]
            sum_a = a[i] + (a0 * x0 + a1 * x1 + a2 * x2)
            sum_b = b[i] + (b0 * x0 + b1 * x1 + b2 * x2)
            sum_c = c[i] + (c0 * x0 + c1 * x1 + c2 * x2)
            sum_d = d[i] + (d0 * x0 + d1 * x1 + d2 * x2)
            a[i], b[i], c[i], d[i] = sum_a, sum_b, sum_c, sum_d
    for tap in range(joint, taps):
        t0 = places[tap]
        a0, b0, c0, d0 = weights_a[t0], weights_b[t0], weights_c[t0], weights_d[t0]
        pixels0 = pixels[offsets[tap] :]
        for i in range(length):
            x0 = pixels0[i]
            sum_a, sum_b = a[i] + a0 * x0, b[i] + b0 * x0
            sum_c, sum_d = c[i] + c0 * x0, d[i] + d0 * x0
            a[i], b[i], c[i], d[i] = sum_a, sum_b, sum_c, sum_d


@njit(cache=True, fastmath=_FASTMATH)
def _sum_one(pixels, offsets, weights, places, sums):
    """Set the run of outputs of one filter, three taps at a time."""
    length, taps = len(sums), len(offsets)
    sums[:] = 0
    joint = taps - taps % _JOINT_TAPS
    for tap in range(0, joint, _JOINT_TAPS):
        w0, w1, w2 = weights[places[tap]], weights[places[tap + 1]], weights[places[tap + 2]]
        x0, x1 = pixels[offsets[tap] :], pixels[offsets[tap + 1] :]
        x2 = pixels[offsets[tap + 2] :]
        for i in range(length):
            sums[i] += w0 * x0[i] + w1 * x1[i] + w2 * x2[i]
    for tap in range(joint, taps):
        w0, x0 = weights[places[tap]], pixels[offsets[tap] :]
        for i in range(length):
            sums[i] += w0 * x0[i]


@njit(cache=True)
def _store(sums, start, pitch, columns, place, result):
    """Write outputs from ``start`` on into one image, all but those between two rows."""
    first_row, first_column, step = place
    done = 0
    while done < len(sums):
        row, column = (start + done) // pitch, (start + done) % pitch
        source = sums[done : done + max(columns - column, 0)]
        target = result[first_row + row * step, first_column + column * step :]
        if step == 1:
            for i in range(len(source)):
                target[i] = source[i]
        else:
            for i in range(len(source)):
                target[i * step] = source[i]
        done += pitch - column


@njit(cache=True)
def _sum_items(flat, offsets, weights, places, counts, pitches, target, items, result):
    """Do some items of work: one run of outputs of up to four filters of one image.

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
    blocks = (count + _JOINT_FILTERS - 1) // _JOINT_FILTERS
    furthest = 0
    for offset in offsets:
        furthest = max(furthest, offset)
    scratch = np.empty(_JOINT_FILTERS * run, flat.dtype)
    for item in range(items[0], items[1]):
        block, start = item % blocks, item // blocks % runs * run
        image, group = item // (blocks * runs) // groups, item // (blocks * runs) % groups
        pixels = flat[(image * groups + group) * group_pitch + start :]
        length = min(run, len(pixels) - furthest)
        sums = scratch[: _JOINT_FILTERS * length].reshape(_JOINT_FILTERS, length)
        first = block * _JOINT_FILTERS
        joint = min(_JOINT_FILTERS, count - first)
        own = weights[group * (len(weights) // groups) + first * filter_pitch :]
        if joint == _JOINT_FILTERS:
            _sum_four(pixels, offsets, own, places, filter_pitch, sums)
        else:
            for i in range(joint):
                _sum_one(pixels, offsets, own[i * filter_pitch :], places, sums[i])
        for i in range(joint):
            useful = sums[i, : outputs - start]
            plane = result[image, group * count + first + i]
            _store(useful, start, pitch, columns, target, plane)


@njit(cache=True, parallel=True)
def _sum(flat, offsets, weights, places, counts, pitches, target, items, parts, result):
    """Do all items in parts of equal size."""
    for part in prange(parts):
        own = (part * items // parts, (part + 1) * items // parts)
        _sum_items(flat, offsets, weights, places, counts, pitches, target, own, result)


def _run_length(outputs, itemsize):
    """Outputs of a run: as equal as can be, and whole vectors."""
    runs = -(-outputs * itemsize // _RUN_BYTES)
    return -(-outputs // (runs * _VECTOR)) * _VECTOR


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
    outputs = (rows.count - 1) * layout.pitch + columns.count
    run = _run_length(outputs, flat.itemsize)
    blocks = -(-channels // groups // _JOINT_FILTERS)
    items = batch * groups * blocks * -(-outputs // run)
    work = batch * channels * outputs * places.size
    parts = max(min(work // _SMALLEST_PARTITION, _MOST_PARTITIONS, items), 1)
    counts = groups, rows.count, columns.count, run
    pitches = layout.pitch, len(places) * channel_length, filter_pitch
    target = rows.first, columns.first, step
    work_on = flat, offsets, filters.reshape(-1), places.reshape(-1), counts, pitches, target
    if parts == 1:
        _sum_items(*work_on, (0, items), result)
    else:
        _sum(*work_on, items, parts, result)


def _workspace(images, filters, *, stride, padding, dilation, **_):
    size, filter_size = images.shape[2:], filters.shape[2:]
    sides = output_sides(size, filter_size, stride, padding, dilation)
    *_, layout = forward_layout(size, filter_size, sides, stride, padding, dilation)
    return laid_out_elements(images.shape, layout) * images.itemsize


@kernel("conv2d", family="numba", workspace=_workspace)
def numba_parallel(images, filters, *, stride, padding, dilation, groups, out=None):
    """Four filters and three taps at a time, added to runs of outputs that stay in the L1 cache.

    As many flops as the definition, and a few percent more for outputs between rows. Images are
    copied once to where their zeros are (`conv2d_numba_planes`), unless they need none. Work is
    split over images, filters and runs of rows, so that one image keeps all threads busy.
    """
    size, (count, per_group, *filter_size) = images.shape[2:], filters.shape
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
        axes.append(Axis(first, count, list(reached_taps), [0] * len(shifts), list(shifts)))
    lowest = min((shift for axis in axes for shift in axis.shifts), default=0)
    zeros = max(-lowest, 0)
    shifted = [axis._replace(shifts=[shift + zeros for shift in axis.shifts]) for axis in axes]
    furthest = max(axis.count - 1 + max(axis.shifts, default=0) for axis in axes)
    return shifted, (zeros, max(furthest - outputs + 1, 0))


def _backward_layout(sides, filter_size, image_size, stride, padding, dilation):
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
    return rows, columns, Layout((above, left), ([0], [0]), 1, pitch, length)


def _input_gradient_workspace(
    output_gradient, filters, *, image_size, stride, padding, dilation, **_
):
    sides, filter_size = output_gradient.shape[2:], filters.shape[2:]
    *_, layout = _backward_layout(sides, filter_size, image_size, stride, padding, dilation)
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
    batch, _, *sides = output_gradient.shape
    count, per_group, *filter_size = filters.shape
    *axes, layout = _backward_layout(sides, filter_size, image_size, stride, padding, dilation)
    filters = plain(filters)
    if out is None:
        out = np.empty((batch, groups * per_group, *image_size), filters.dtype)
    planes = lay_out(output_gradient, layout)
    taps = prod(filter_size)
    starts = np.arange(count // groups) * (per_group * taps)
    for rows, columns in product(*axes):
        reached = np.add.outer(np.multiply(rows.taps, filter_size[1]), columns.taps).ravel()
        places = np.add.outer(starts, reached.astype(np.int64))
        _correlate(planes, layout, groups, filters, places, taps, rows, columns, stride, out)
    return out
