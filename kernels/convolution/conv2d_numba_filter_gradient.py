"""Filter gradient of `conv2d` with Numba: runs of outputs in the cache, filters times taps."""

from math import prod

import numpy as np
from numba import njit, prange

from convgrad.kernels.convolution.conv2d_numba_planes import (
    Layout,
    forward_layout,
    laid_out_elements,
    lay_out,
    tap_offsets,
)
from convgrad.kernels.registry import kernel

_RUN_BYTES = 4096
"""Pixels of one tap that are summed at a time: four runs of gradients and what they meet fit L1."""
_JOINT_FILTERS, _JOINT_TAPS = 4, 3
_BLOCK_TAPS = 24
"""Taps that a run of gradients meets while it is in the cache."""
_VECTOR = 16
"""Runs are rounded up to a multiple, so that no output is left over for scalar code."""
_SMALLEST_PARTITION = 1 << 17
"""Multiplications, a few microseconds of work: less is not worth waking a thread."""
_MOST_PARTITIONS = 256
_ENOUGH_ITEMS = 64
_FASTMATH = {"reassoc", "contract", "nsz"}


@njit(cache=True, fastmath=_FASTMATH)
def _add_four(pixels, offsets, slopes, pitch, length, sums):
    """Add to ``sums[filter, tap]`` what a run of four filters' output gradients contributes.

    Twelve sums stay in registers; tap t meets the run that begins at ``pixels[offsets[t]]``, and
    the gradients of filter f begin at ``slopes[f * pitch]``.
    """
    taps = len(offsets)
    a, b = slopes, slopes[pitch:]
    c, d = slopes[2 * pitch :], slopes[3 * pitch :]
    zero = sums.dtype.type(0)
    joint = taps - taps % _JOINT_TAPS
    for tap in range(0, joint, _JOINT_TAPS):
        x0, x1 = pixels[offsets[tap] :], pixels[offsets[tap + 1] :]
        x2 = pixels[offsets[tap + 2] :]
        a0, a1, a2, b0, b1, b2 = zero, zero, zero, zero, zero, zero
        c0, c1, c2, d0, d1, d2 = zero, zero, zero, zero, zero, zero
        for i in range(length):
            a0 += a[i] * x0[i]
            a1 += a[i] * x1[i]
            a2 += a[i] * x2[i]
            b0 += b[i] * x0[i]
            b1 += b[i] * x1[i]
            b2 += b[i] * x2[i]
            c0 += c[i] * x0[i]
            c1 += c[i] * x1[i]
            c2 += c[i] * x2[i]
            d0 += d[i] * x0[i]
            d1 += d[i] * x1[i]
            d2 += d[i] * x2[i]
        sums[0, tap] += a0
        sums[0, tap + 1] += a1
        sums[0, tap + 2] += a2
        sums[1, tap] += b0
        sums[1, tap + 1] += b1
        sums[1, tap + 2] += b2
        sums[2, tap] += c0
        sums[2, tap + 1] += c1
        sums[2, tap + 2] += c2
        sums[3, tap] += d0
        sums[3, tap + 1] += d1
        sums[3, tap + 2] += d2
    for tap in range(joint, taps):
        x0 = pixels[offsets[tap] :]
        a0, b0, c0, d0 = zero, zero, zero, zero
        for i in range(length):
            a0 += a[i] * x0[i]
            b0 += b[i] * x0[i]
            c0 += c[i] * x0[i]
            d0 += d[i] * x0[i]
        sums[0, tap] += a0
        sums[1, tap] += b0
        sums[2, tap] += c0
        sums[3, tap] += d0


@njit(cache=True, fastmath=_FASTMATH)
def _add_one(pixels, offsets, slopes, length, sums):
    """Add to ``sums[tap]`` what a run of one filter's output gradients contributes."""
    taps = len(offsets)
    zero = sums.dtype.type(0)
    joint = taps - taps % _JOINT_TAPS
    for tap in range(0, joint, _JOINT_TAPS):
        x0, x1 = pixels[offsets[tap] :], pixels[offsets[tap + 1] :]
        x2 = pixels[offsets[tap + 2] :]
        sum0, sum1, sum2 = zero, zero, zero
        for i in range(length):
            sum0 += slopes[i] * x0[i]
            sum1 += slopes[i] * x1[i]
            sum2 += slopes[i] * x2[i]
        sums[tap] += sum0
        sums[tap + 1] += sum1
        sums[tap + 2] += sum2
    for tap in range(joint, taps):
        x0 = pixels[offsets[tap] :]
        sum0 = zero
        for i in range(length):
            sum0 += slopes[i] * x0[i]
        sums[tap] += sum0


@njit(cache=True)
def _add_items(flat, slopes, offsets, counts, pitches, run, items, partial):
    """Do some items of work: the runs of one share of the outputs, for some filters and taps.

    Parameters
    ----------
    flat, offsets : ndarray
        Planes, and where in those of a group the taps' pixels lie for the first output.
    slopes : ndarray
        Output gradients, one filter after another, in rows as far apart as those of the planes.
    counts : (int, int, int, int)
        Images, groups, runs of outputs of an image, and their length in all.
    pitches : (int, int, int)
        From group to group of the planes; from filter to filter of the output gradients; from
        the beginning of one run to the next.
    run : int
        Elements of a run.
    partial : ndarray, shape (shares, filters, taps of a group)
        Set by the items, each its own part.
    """
    batch, groups, runs, outputs = counts
    group_pitch, pitch, step = pitches
    shares, filters, taps = partial.shape
    count = filters // groups
    blocks = (count + _JOINT_FILTERS - 1) // _JOINT_FILTERS
    tap_blocks = (taps + _BLOCK_TAPS - 1) // _BLOCK_TAPS
    furthest = 0
    for offset in offsets:
        furthest = max(furthest, offset)
    sums = np.empty((_JOINT_FILTERS, _BLOCK_TAPS), flat.dtype)
    for item in range(items[0], items[1]):
        tap_block, block = item % tap_blocks, item // tap_blocks % blocks
        group = item // (tap_blocks * blocks) % groups
        share = item // (tap_blocks * blocks * groups)
        some_taps = slice(tap_block * _BLOCK_TAPS, min((tap_block + 1) * _BLOCK_TAPS, taps))
        some_offsets = offsets[some_taps]
        joint = min(_JOINT_FILTERS, count - block * _JOINT_FILTERS)
        first = group * count + block * _JOINT_FILTERS
        sums[:] = 0
        for number in range(share * batch * runs // shares, (share + 1) * batch * runs // shares):
            image, start = number // runs, number % runs * step
            pixels = flat[(image * groups + group) * group_pitch + start :]
            length = min(run, outputs - start, len(pixels) - furthest)
            own = slopes[(image * filters + first) * pitch + start :]
            if joint == _JOINT_FILTERS:
                _add_four(pixels, some_offsets, own, pitch, length, sums)
            else:
                for i in range(joint):
                    _add_one(pixels, some_offsets, own[i * pitch :], length, sums[i])
        for i in range(joint):
            target = partial[share, first + i, some_taps]
            for tap in range(len(target)):
                target[tap] = sums[i, tap]


@njit(cache=True, parallel=True)
def _gradient(flat, slopes, offsets, counts, pitches, run, items, parts, partial):
    """Do all items in parts of equal size."""
    for part in prange(parts):
        own = (part * items // parts, (part + 1) * items // parts)
        _add_items(flat, slopes, offsets, counts, pitches, run, own, partial)


def _layouts(image_size, filter_size, sides, stride, padding, dilation):
    """Lay out images, and output gradients in rows as far apart, filled up to whole vectors.

    Returns
    -------
    rows, columns : Axis
    images, gradients : Layout
    """
    *axes, images = forward_layout(image_size, filter_size, sides, stride, padding, dilation)
    outputs = (sides[0] - 1) * images.pitch + sides[1]
    length = -(-outputs // _VECTOR) * _VECTOR
    return *axes, images, Layout((0, 0), ([0], [0]), 1, images.pitch, length)


def _cut(batch, outputs, itemsize, filters, groups, taps):
    """Cut the work, by its sizes alone, so that results do not depend on threads.

    Returns
    -------
    run : int
        Outputs of a run, as equal as can be.
    shares : int
        Shares of all outputs with a gradient each; more than one where filters are few.
    items : int
    """
    runs = -(-outputs * itemsize // _RUN_BYTES)
    run = -(-outputs // (runs * _VECTOR)) * _VECTOR
    items = groups * -(-filters // groups // _JOINT_FILTERS) * -(-taps // _BLOCK_TAPS)
    work = batch * outputs * filters * taps
    most = min(batch * -(-outputs // run), work // _SMALLEST_PARTITION + 1)
    shares = min(-(-_ENOUGH_ITEMS // items), most)
    return run, shares, items * shares


def _workspace(images, output_gradient, *, filter_size, stride, padding, dilation, groups):
    """Planes of images and output gradients, and the shares of the gradient."""
    batch, filters, *sides = output_gradient.shape
    *_, layout, slope_layout = _layouts(
        images.shape[2:], filter_size, sides, stride, padding, dilation
    )
    planes = laid_out_elements(images.shape, layout)
    planes += laid_out_elements(output_gradient.shape, slope_layout)
    taps = images.shape[1] // groups * prod(filter_size)
    _, shares, _ = _cut(batch, slope_layout.length, images.itemsize, filters, groups, taps)
    partial = shares * filters * taps if shares > 1 else 0
    return (planes + partial) * images.itemsize


@kernel("conv2d_filter_gradient", family="numba", workspace=_workspace)
def numba_parallel(images, output_gradient, *, filter_size, stride, padding, dilation, groups):
    """Sums over runs of outputs, for four filters and three taps at a time, in registers.

    As many flops as the definition, and a few percent more for places between rows, where the
    gradient is filled with zeros. Images are copied once to where their zeros are
    (`conv2d_numba_planes`), unless they need none. Work is split over filters and taps, and over
    images and rows where these are few.
    """
    batch, filters, *sides = output_gradient.shape
    rows, columns, layout, slope_layout = _layouts(
        images.shape[2:], filter_size, sides, stride, padding, dilation
    )
    flat, channel_length = lay_out(images, layout)
    slopes, slope_pitch = lay_out(output_gradient, slope_layout)
    per_group = images.shape[1] // groups
    offsets = tap_offsets(per_group, channel_length, rows, columns, layout)
    outputs = slope_layout.length
    run, shares, items = _cut(batch, outputs, flat.itemsize, filters, groups, len(offsets))
    work = batch * outputs * filters * len(offsets)
    parts = max(min(work // _SMALLEST_PARTITION, _MOST_PARTITIONS, items), 1)

    def gradient(runs, run, step):
        partial = np.empty((shares, filters, len(offsets)), flat.dtype)
        counts = batch, groups, runs, outputs
        pitches = per_group * channel_length, slope_pitch, step
        if parts == 1:
            _add_items(flat, slopes, offsets, counts, pitches, run, (0, items), partial)
        else:
            _gradient(flat, slopes, offsets, counts, pitches, run, items, parts, partial)
        return partial.sum(axis=0) if shares > 1 else partial[0]

    result = gradient(-(-outputs // run), run, run)
    if not np.isfinite(result.min()) or not np.isfinite(result.max()):
        # Zeros between rows make NaN of an infinite pixel that they meet: go row by row instead.
        result = gradient(rows.count, columns.count, layout.pitch)
    return result.reshape(filters, per_group, *filter_size)
