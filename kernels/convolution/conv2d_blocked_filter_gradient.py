"""Filter gradient of `conv2d` as products of matrices, over images with channels together."""

from math import prod

import numba
import numpy as np
from numba import njit, prange

from convgrad.kernels import vector
from convgrad.kernels.address import address_of, call
from convgrad.kernels.convolution.conv2d_blocked import serves
from convgrad.kernels.convolution.conv2d_blocked_filter_gradient_plan import is_turned, plan_of
from convgrad.kernels.convolution.conv2d_blocked_filter_gradient_tiles import ROWS, VECTORS
from convgrad.kernels.convolution.conv2d_blocked_layout import (
    block_count,
    laid_out_elements,
    lay_out,
    sampled,
)
from convgrad.kernels.convolution.conv2d_blocked_outputs import unpack_row
from convgrad.kernels.convolution.conv2d_blocked_plan import SMALLEST_PART
from convgrad.kernels.registry import kernel

_SUMS = 1 << 16
"""Sums that a thread works on at a time: they stay in L2, and serve many times what they see."""


@njit(cache=True)
def _own_taps(item, taps, own):
    """First tap of an item whose sums begin in a range of all sums, and the one after the last."""
    first = min(max((own[0] - item[4] + item[5] - 1) // item[5], 0), taps)
    return first, min(max((own[1] - item[4] + item[5] - 1) // item[5], 0), taps)


@njit(cache=True)
def _write(sums, at, step, target, steps, own, taps, square, result):
    """Write the sums of some taps of an item, those of a tap ``step`` after those of another."""
    lanes, (below, beside) = vector.width(sums), steps
    rows, columns, width = target[1], target[2], target[3]
    for j in range(0, columns, lanes):
        plane = min(lanes, columns - j), beside
        to = target[0] + j * beside + own[0]
        if taps == 1 and beside > 1:
            unpack_row(sums, at + j, width, rows, plane, square, result, to)
            continue
        for i in range(rows):
            place = at + i * width + j
            if taps == 1:
                line = vector.load(sums, place, lanes)
                vector.store_first(result, to + i * below, line, plane[0])
            else:
                count = own[1] - own[0]
                unpack_row(sums, place, step, count, plane, square, result, to + i * below)


@njit(cache=True)
def _set_part(left, right, pitches, pieces, taps, items, addresses, targets, steps, own, result):
    """Set a part of the gradient: some taps of some items.

    Parameters
    ----------
    left, right : ndarray
        Output gradients and images, or these and those, with channels together. Rows of tiles are
        channels of the left ones, their lanes channels of the right ones.
    pitches : ndarray, shape (2, 3)
        Of either: from image to image, and from what an output sees to what the next one below
        and beside does.
    pieces : ndarray, shape (pieces, 6)
        Of the outputs: images from, to, rows from, to, columns from, to.
    taps : ndarray, shape (taps, 6)
        Outputs that see pixels: rows from, to, columns from, to; where what the first one sees
        would be, left and right.
    items : ndarray, shape (items, 6)
        Tiles: where the first half of their rows lies, and the second; where their lanes lie, and
        from one vector of these to the next; where their sums begin, and how many a tap has.
    addresses : ndarray, shape (items, 2)
        Of what adds to these sums.
    targets : ndarray, shape (items, 4)
        Where the first sum goes in the result; rows and columns, and elements of the
        sums of a row.
    steps : (int, int)
        From row to row and from column to column in the result.
    own : (int, int)
        First of the sums, and the one after the last.
    result : ndarray, 1-D
    """
    lanes, count = vector.width(right), len(taps)
    square = np.empty(lanes * lanes, right.dtype)
    step = items[:, 5].max()
    sums = np.empty(min(own[1] - own[0], _SUMS) + (lanes + 1) * step, right.dtype)
    low = 0
    for begin in range(own[0], own[1], _SUMS):
        some = begin, min(begin + _SUMS, own[1])
        while low < len(items) - 1 and items[low, 4] + count * items[low, 5] <= begin:
            low += 1
        high = low
        while high < len(items) and items[high, 4] < some[1]:
            high += 1
        for i in range(len(sums)):
            sums[i] = 0
        for turn in range(len(pieces)):
            for number in range(low, high):
                item = items[number]
                first, last = _own_taps(item, count, some)
                task = left, right, pitches, pieces[turn], taps, (first, last, begin), item, sums
                call((addresses[number, 0], addresses[number, 1]), task)
        for number in range(low, high):
            item = items[number]
            own_taps = _own_taps(item, count, some)
            at = item[4] - begin + own_taps[0] * item[5]
            if own_taps[0] < own_taps[1]:
                task = sums, at, item[5], targets[number], steps, own_taps
                _write(*task, count, square, result)


@njit(cache=True, parallel=True)
def _set_parts(
    do_part, left, right, pitches, pieces, taps, items, addresses, targets, steps, parts, result
):
    total = items[-1, 4] + len(taps) * items[-1, 5]
    for part in prange(parts):
        own = np.int64(part) * total // parts, (np.int64(part) + 1) * total // parts
        task = left, right, pitches, pieces, taps, items, addresses, targets, steps
        call(do_part, (*task, own, result))


def _is_ragged(images):
    """Whether images lie channels last, with channels that do not fill vectors."""
    last = images.transpose(0, 2, 3, 1).flags.carray and not images.flags.carray
    return last and images.shape[1] % vector.lanes_of(images.dtype) > 0


def _lay_out(images, step=1):
    """Put the channels of a pixel together, whole vectors of them, so that all can be loaded."""
    if _is_ragged(images):
        batch, channels, *size = images.shape
        lanes = block_count(channels, images.dtype) * vector.lanes_of(images.dtype)
        whole = np.empty((batch, *size, lanes), images.dtype)
        whole[..., :channels] = images.transpose(0, 2, 3, 1)
        images = whole.transpose(0, 3, 1, 2)
    return lay_out(images, step)


def _laid_out_elements(images, step=1):
    """Elements that `_lay_out` allocates."""
    if _is_ragged(images):
        lanes = block_count(images.shape[1], images.dtype) * vector.lanes_of(images.dtype)
        return images[:, 0].size * lanes
    return laid_out_elements(images, step)


def _workspace(images, output_gradient, *, filter_size, stride, padding, **_):
    """Images and output gradients laid out, and the sums that threads work on."""
    pair, lanes = (output_gradient.shape[1], images.shape[1]), vector.lanes_of(images.dtype)
    laid_out = _laid_out_elements(images, sampled(filter_size, stride, padding))
    laid_out += _laid_out_elements(output_gradient)
    most = min(ROWS, lanes) * VECTORS * lanes
    sums = min(prod(filter_size) * prod(pair), _SUMS) + (lanes + 1) * most
    return (laid_out + numba.get_num_threads() * sums) * images.itemsize


def _pitches(pixels):
    """From vector to vector of channels, from image to image, and between rows and pixels."""
    return int(pixels.groups[1]) if len(pixels.groups) > 1 else 0, *map(int, pixels.pitches)


@kernel("conv2d_filter_gradient", family="numba", serves=serves, workspace=_workspace)
def numba_blocked(
    images, output_gradient, *, filter_size, stride, padding, dilation, groups, out=None
):
    """Direct sums over outputs, 8 filters x 2 vectors of channels in registers.

    Images and output gradients are copied so that a vector of their channels lies together (the
    blocked layout of Georganas et al., 2018): an output takes 2 loads and 8 broadcasts for 16
    multiply-adds, and no sum crosses lanes. Filters are in the lanes, and channels are broadcast,
    where that leaves fewer lanes idle; the last vector is half of one where that is enough. Each
    tap goes over those of its outputs that see pixels, row by row: as many flops as the definition,
    but for idle lanes. Pieces of some 128 outputs stay in L1 for all taps. Sums run over images and
    pixels in order. Work is split over filters, channels and taps: for layers of some ten of both.
    """
    pair = output_gradient.shape[1], images.shape[1]
    if out is None:
        out = np.empty((*pair, *filter_size), images.dtype)
    step = sampled(filter_size, stride, padding)
    sides = _lay_out(output_gradient), _lay_out(images, step)
    turned = is_turned(*pair, images.dtype)
    if turned:
        pair, sides = pair[::-1], sides[::-1]
    left, right = (pixels.flat for pixels in sides)
    size = tuple(-(-side // step) for side in images.shape[2:])
    layer = output_gradient.shape[2:], size, filter_size, stride // step, padding, dilation
    pitches, writeable = zip(*((_pitches(p), p.flat.flags.writeable) for p in sides))
    kind = images.dtype, writeable
    plan = plan_of(*layer, (len(images), *pair), turned, pitches, kind)
    target = out.reshape(-1)
    work = out.size * output_gradient[:, 0].size
    parts = max(min(work // SMALLEST_PART, numba.get_num_threads()), 1)
    total = int(plan[3][-1, 4] + len(plan[2]) * plan[3][-1, 5])
    if parts == 1:
        _set_part(left, right, *plan, (0, total), target)
    else:
        task = address_of(_set_part, left, right, *plan, (0, total), target)
        _set_parts(task, left, right, *plan, parts, target)
    return out
